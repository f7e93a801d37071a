package livetest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"gilscope/internal/testpy"
	"gilscope/internal/trace"
)

// workerScript computes what it is asked for while two other threads want the
// GIL, each of them some ten thousand times a second. It ends with code 7.
const workerScript = `
import sys, threading, time
def work():
    while True: time.sleep(0)
for i in range(2): threading.Thread(target=work, daemon=True).start()
print("ready")
for line in sys.stdin:
    n = total = int(line)
    for i in range(n): total = (total * 31 + i) % 1000003; time.sleep(0)
    print(total)
sys.exit(7)
`

// startWorker starts workerScript.
func startWorker(t testing.TB) *testpy.Proc {
	t.Helper()
	return startOwnLibc(t, workerScript)
}

// startOwnLibc starts a script with a libc of its own, which is where most probes
// are: others of this machine, for whoever has the same file, are not in it.
func startOwnLibc(t testing.TB, script string) *testpy.Proc {
	t.Helper()
	libc, err := filepath.EvalSymlinks("/lib/x86_64-linux-gnu/libc.so.6")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	copyFile(t, libc, filepath.Join(dir, "libc.so.6"))
	cmd := testpy.One(t, "3.12").Command("-u", "-c", script)
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+dir)
	return testpy.StartCommand(t, cmd)
}

// turns is how often a worker takes and drops the GIL for an answer, at least.
const turns = 2000

// answers asks a worker to take and drop the GIL n times, and checks what it
// computed meanwhile. It returns how long that took.
func answers(t testing.TB, p *testpy.Proc, n int) time.Duration {
	t.Helper()
	begun := time.Now()
	p.Send(t, fmt.Sprint(n))
	want := n
	for i := range n {
		want = (want*31 + i) % 1000003
	}
	if got := p.Line(t); got != fmt.Sprint(want) {
		t.Errorf("the target computed %q, want %d", got, want)
	}
	return time.Since(begun)
}

// unharmed: a worker still answers, its code is what is in its files, and it ends as it does by itself.
func unharmed(t testing.TB, p *testpy.Proc) {
	t.Helper()
	answers(t, p, turns)
	cleanCode(t, p.PID)
	if code := exitOf(t, p.Stop()); code != 7 {
		t.Errorf("the target ended with %d, want its 7", code)
	}
}

// cleanCode: no breakpoint is in what a process runs. Another recorder of this
// machine may have some in the same files for a moment.
func cleanCode(t testing.TB, pid int) {
	t.Helper()
	var diff string
	for limit := time.Now().Add(3 * time.Second); ; {
		if diff = differentCode(t, pid); diff == "" {
			return
		}
		if time.Now().After(limit) {
			break
		}
		<-time.After(50 * time.Millisecond)
	}
	t.Errorf("a probe stayed behind: %s", diff)
}

// differentCode says where the code of a process is not what its files have.
func differentCode(t testing.TB, pid int) string {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for line := range strings.Lines(string(maps)) {
		var from, to, off int64
		var perms, dev, name string
		var inode uint64
		n, _ := fmt.Sscanf(line, "%x-%x %s %x %s %d %s", &from, &to, &perms, &off, &dev, &inode, &name)
		if n != 7 || !strings.Contains(perms, "x") || inode == 0 {
			continue
		}
		live := bytesAt(t, fmt.Sprintf("/proc/%d/mem", pid), from, to-from)
		file := bytesAt(t, fmt.Sprintf("/proc/%d/map_files/%x-%x", pid, from, to), off, to-from)
		for i := range file {
			if live[i] != file[i] {
				return fmt.Sprintf("%s+%#x is %#x, in the file %#x", name, off+int64(i), live[i], file[i])
			}
		}
		checked++
	}
	if checked < 2 {
		t.Fatalf("pid %d has %d mappings with code", pid, checked)
	}
	return ""
}

// bytesAt reads up to n bytes: the last page of a mapping goes beyond its file.
func bytesAt(t testing.TB, path string, off, n int64) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, n)
	got, err := f.ReadAt(b, off)
	if got == 0 {
		t.Fatal(err)
	}
	return b[:got]
}

// bpfObjects are the programs and links that a process has, by id.
type bpfObjects struct{ programs, links []uint32 }

// objectsOf lists them.
func objectsOf(t testing.TB, pid int) (o bpfObjects) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // closed meanwhile
		}
		var id uint32
		for line := range bytes.Lines(b) {
			if n, _ := fmt.Sscanf(string(line), "link_id: %d", &id); n == 1 {
				o.links = append(o.links, id)
			}
			if n, _ := fmt.Sscanf(string(line), "prog_id: %d", &id); n == 1 {
				o.programs = append(o.programs, id)
			}
		}
	}
	if len(o.programs) == 0 || len(o.links) == 0 {
		t.Fatalf("the recorder has %d programs and %d links", len(o.programs), len(o.links))
	}
	return o
}

// gone: the kernel has freed them, which it does a moment after the last use.
func (o bpfObjects) gone(t testing.TB) {
	t.Helper()
	for limit := time.Now().Add(5 * time.Second); ; {
		left := o.left()
		if left == "" {
			return
		}
		if time.Now().After(limit) {
			t.Errorf("of the recorder there is still %s", left)
			return
		}
		<-time.After(20 * time.Millisecond)
	}
}

func (o bpfObjects) left() string {
	for _, id := range o.programs {
		if p, err := ebpf.NewProgramFromID(ebpf.ProgramID(id)); !errors.Is(err, os.ErrNotExist) {
			defer p.Close() // or it would stay because of us
			return fmt.Sprintf("program %d (%v, %v)", id, p, err)
		}
	}
	for _, id := range o.links {
		if l, err := link.NewFromID(link.ID(id)); !errors.Is(err, os.ErrNotExist) {
			if err == nil {
				defer l.Close()
			}
			return fmt.Sprintf("link %d (%v)", id, err)
		}
	}
	return ""
}

// finish asks a recorder to end, and waits for it.
func (r *recorder) finish(t testing.TB) {
	t.Helper()
	if err := r.cmd.Process.Signal(unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	r.wait(t)
}

// bootTime is the clock of traces.
func bootTime(t testing.TB) trace.Time {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		t.Fatal(err)
	}
	return trace.Time(ts.Nano())
}

// checkExact: what was produced was stored or lost, and each loss has a place.
func checkExact(t testing.TB, tr *trace.Trace) (lost int64) {
	t.Helper()
	end := note(t, tr, trace.NoteEnd)
	if end["produced"] != end["stored"]+end["lost"] || end["stored"] == 0 {
		t.Errorf("%d produced, %d stored, %d lost", end["produced"], end["stored"], end["lost"])
	}
	var placed int64
	for _, n := range notes(tr, trace.NoteLost) {
		var begin, events int64
		for _, a := range n.Args {
			switch a.Key {
			case "begin_ns":
				begin = a.Num
			case "events":
				events = a.Num
			}
		}
		if begin == 0 || begin > int64(n.Time) || events <= 0 {
			t.Errorf("a loss of %d events from %d to %d", events, begin, n.Time)
		}
		placed += events
	}
	if placed != end["lost"] {
		t.Errorf("%d events were lost, %d have a place", end["lost"], placed)
	}
	return end["lost"]
}

// saysLoss: report begins with it, check proves nothing.
func saysLoss(t testing.TB, path string) {
	t.Helper()
	o := run(t, []string{"report", path})
	if !strings.HasPrefix(o.stdout, "WARNING: ") || !strings.Contains(o.stdout[:min(60, len(o.stdout))], "events lost in ") {
		t.Errorf("the report does not begin with the loss:\n%s", o.stdout)
	}
	run(t, []string{"check", path, "--assert", "gil.wait.max<1h"}).wants(t, 3, "inconclusive")
}
