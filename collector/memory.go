package collector

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"

	"gilscope/probes"
)

// What a recorder needs besides its ring, of which a part is there when it looks:
// measured, 21 MB in all (livetest: TestMemoryLimit).
const (
	leastRoom  = 16e6
	besideRing = 14e6
	ofPrograms = 8e6 // of it, what the BPF maps take
	usualRing  = 16 << 20
)

// openProbes loads the programs, with a ring for which there is room. In a cgroup
// with a limit the kernel would else kill us, or the target, if that is in the same.
func (s *session) openProbes() error {
	want := s.o.RingBytes
	if want == 0 {
		want = usualRing
	}
	ring, room := want, memoryRoom()
	if room >= 0 {
		if room < leastRoom {
			return fmt.Errorf("the memory limit of this cgroup leaves %.1f MB: %w: recording needs %.0f MB; raise the limit, or record from outside of it",
				float64(room)/1e6, probes.ErrKernel, float64(leastRoom)/1e6)
		}
		ring = fitting(ring, room)
		debug.SetMemoryLimit(max(room-int64(ring)-ofPrograms, 8e6))
	}
	var err error
	if s.probes, err = probes.Open(probes.Options{SampleHz: s.o.SampleHz, RingBytes: ring}); err != nil {
		return err
	}
	if got := s.probes.RingBytes(); got < want {
		fmt.Fprintf(s.o.Words, "warning: memory is limited here: the event buffer has %d MiB, not %d; events are lost sooner\n", got>>20, want>>20)
	}
	return nil
}

// fitting is the largest ring up to want, a power of two, that takes no more than
// half of what is left.
func fitting(want int, room int64) int {
	for want > probes.MinRingBytes && int64(want) > (room-besideRing)/2 {
		want /= 2
	}
	return want
}

// memoryController is where a version of cgroups has the limits of memory.
type memoryController struct{ name, mount, limit, usage, files, moreFiles string }

var memoryControllers = []memoryController{
	{"", "/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file ", "active_file "},
	{"", "/sys/fs/cgroup/unified", "memory.max", "memory.current", "inactive_file ", "active_file "},
	{"memory", "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file ", "total_active_file "},
}

// memoryRoom is how much memory the cgroups that we are in leave; negative: no limit.
func memoryRoom() int64 {
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return -1
	}
	least := int64(-1)
	for line := range strings.Lines(string(b)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for _, c := range memoryControllers {
			if c.name == parts[1] {
				if room := c.room(parts[2]); room >= 0 && (least < 0 || room < least) {
					least = room
				}
			}
		}
	}
	return least
}

// room is what a group and those around it leave; negative: no limit.
func (c *memoryController) room(group string) int64 {
	least := int64(-1)
	for dir := filepath.Join("/", group); ; dir = filepath.Dir(dir) {
		at := c.mount + dir
		limit, limited := readNumber(filepath.Join(at, c.limit))
		usage, known := readNumber(filepath.Join(at, c.usage))
		if limited && known && limit < 1<<50 {
			room := max(limit-usage+c.reclaimable(at), 0)
			if least < 0 || room < least {
				least = room
			}
		}
		if dir == "/" {
			return least
		}
	}
}

// reclaimable is what the kernel can take back at once: pages of files.
func (c *memoryController) reclaimable(dir string) (sum int64) {
	b, err := os.ReadFile(filepath.Join(dir, "memory.stat"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		for _, name := range []string{c.files, c.moreFiles} {
			if rest, ok := strings.CutPrefix(line, name); ok {
				n, _ := strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
				sum += n
			}
		}
	}
	return sum
}

// readNumber reads a file with one number; "max" and what cannot be read is none.
func readNumber(path string) (int64, bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	return n, err == nil && n >= 0
}
