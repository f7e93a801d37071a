package cpython

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// maxMappings bounds the mappings read; the kernel's default limit is 65530.
const maxMappings = 1 << 18

// Mapping is one line of /proc/PID/maps.
type Mapping struct {
	Start, End uint64
	Offset     uint64 // of the file
	Exec       bool
	Shared     bool   // what is written there, others see who have the file mapped, too
	Dev        uint64 // as in stat(2); 0: no file
	Inode      uint64
	Path       string // as the process sees it, "" for anonymous memory
}

// readMaps reads the mappings of pid, sorted by address.
func readMaps(pid int) ([]Mapping, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return nil, procError("read the mappings", pid, err)
	}
	defer f.Close()
	var maps []Mapping
	lines := bufio.NewScanner(f)
	lines.Buffer(make([]byte, 0, 8192), 1<<20)
	for lines.Scan() && len(maps) < maxMappings {
		if m, ok := parseMapping(lines.Text()); ok {
			maps = append(maps, m)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, procError("read the mappings", pid, err)
	}
	if len(maps) == 0 { // a zombie, or a kernel thread
		return nil, fmt.Errorf("process %d has no memory: %w; pick a process that runs", pid, ErrGone)
	}
	return maps, nil
}

// parseMapping reads "start-end perm offset major:minor inode   path".
func parseMapping(line string) (Mapping, bool) {
	var m Mapping
	field := func() string {
		line = strings.TrimLeft(line, " ")
		f, rest, _ := strings.Cut(line, " ")
		line = rest
		return f
	}
	from, to, _ := strings.Cut(field(), "-")
	perm := field()
	offset, dev, inode := field(), field(), field()
	major, minor, _ := strings.Cut(dev, ":")
	var bad error
	hex := func(s string, base int) uint64 {
		v, err := strconv.ParseUint(s, base, 64)
		bad = cmp.Or(bad, err)
		return v
	}
	m.Start, m.End, m.Offset = hex(from, 16), hex(to, 16), hex(offset, 16)
	m.Dev, m.Inode = makedev(hex(major, 16), hex(minor, 16)), hex(inode, 10)
	m.Exec, m.Shared = len(perm) == 4 && perm[2] == 'x', len(perm) == 4 && perm[3] == 's'
	m.Path = strings.TrimLeft(line, " ")
	return m, bad == nil && m.Start < m.End
}

// makedev joins device numbers as stat(2) does.
func makedev(major, minor uint64) uint64 {
	return (major&0xfff)<<8 | (major&^0xfff)<<32 | minor&0xff | (minor&^0xff)<<12
}

// findMapping returns the mapping that contains addr, nil if none does.
func findMapping(maps []Mapping, addr uint64) *Mapping {
	i, ok := slices.BinarySearchFunc(maps, addr, func(m Mapping, a uint64) int {
		switch {
		case a < m.Start:
			return 1
		case a >= m.End:
			return -1
		}
		return 0
	})
	if !ok {
		return nil
	}
	return &maps[i]
}

// procError wraps an error about process pid with the sentinel and the remedy.
func procError(operation string, pid int, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH):
		return fmt.Errorf("%s of process %d: %w; check the pid", operation, pid, ErrGone)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s of process %d: %w (%v); run gilscope as root or with CAP_SYS_PTRACE", operation, pid, ErrPermission, err)
	}
	return fmt.Errorf("%s of process %d: %w", operation, pid, err)
}
