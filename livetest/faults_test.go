package livetest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gilscope/analyze"
	"gilscope/internal/testpy"
	"gilscope/internal/trace"
	"gilscope/oracle"
)

// awaitGrowth returns once the file has been written to n more times.
func awaitGrowth(t testing.TB, path string, n int) {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, err := unix.InotifyAddWatch(fd, path, unix.IN_MODIFY); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, unix.SizeofInotifyEvent) // a file that is watched itself has no name: one event a read
	for range n {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if ready, err := unix.Poll(poll, int(runLimit/time.Millisecond)); err != nil || ready == 0 {
			t.Fatalf("%s does not grow: %v", path, err)
		}
		if _, err := unix.Read(fd, buf); err != nil {
			t.Fatal(err)
		}
	}
}

// endScript ends the way it is told.
const endScript = `
import os, resource, signal, sys, threading, time
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
def work():
    while True: time.sleep(.001)
threading.Thread(target=work, daemon=True).start()
print("ready"); how = sys.stdin.readline().strip()
if how == "exit": sys.exit(3)
if how == "_exit": os._exit(4)
os.kill(os.getpid(), getattr(signal, how))
`

// TestTargetEnds: the recording ends with its last target, and knows how that ended.
func TestTargetEnds(t *testing.T) {
	for _, c := range []struct {
		how          string
		code, signal int64
		said         string
	}{
		{"exit", 3, 0, "ended with code 3"},
		{"_exit", 4, 0, "ended with code 4"},
		{"SIGKILL", 0, 9, "was killed by signal 9 (killed)"},
		{"SIGSEGV", 0, 11, "was killed by signal 11 (segmentation fault)"},
	} {
		t.Run(c.how, func(t *testing.T) {
			p := testpy.Start(t, testpy.One(t, "3.10"), endScript)
			r := startRecord(t, "-p", fmt.Sprint(p.PID))
			p.Send(t, c.how)
			p.Stop()
			begun := time.Now()
			r.wait(t)
			if took := time.Since(begun); took > 300*time.Millisecond {
				t.Errorf("the recording ended %v after its target", took)
			}
			if want := fmt.Sprintf("pid %d %s", p.PID, c.said); !strings.Contains(r.said(), want) {
				t.Errorf("it does not say %q:\n%s", want, r.said())
			}
			report := analyze.Analyze(readTrace(t, r.trace))
			if e := report.Processes[0].Exit; e == nil || *e != (analyze.Exit{Code: c.code, Signal: c.signal}) {
				t.Errorf("the report says %+v of the target's end", e)
			}
		})
	}
}

// TestOneOfTwoEnds: the recording goes on with the other target.
func TestOneOfTwoEnds(t *testing.T) {
	first, second := testpy.Start(t, testpy.One(t, "3.10"), endScript), startBusy(t)
	r := startRecord(t, "-p", fmt.Sprint(first.PID), "-p", fmt.Sprint(second.PID), "-d", "600ms")
	first.Send(t, "exit")
	first.Stop()
	r.wait(t)
	if !strings.Contains(r.said(), "(duration)") || !strings.Contains(r.said(), "ended with code 3") {
		t.Errorf("it says:\n%s", r.said())
	}
	if n := len(analyze.Analyze(readTrace(t, r.trace)).Processes); n != 2 {
		t.Errorf("the report has %d processes, want 2", n)
	}
}

var probeSite = regexp.MustCompile(`  (\w+) at (/\S+)\+(0x[0-9a-f]+): `)

// probed reads the byte at each probed site, in the process and in its file.
func probed(t testing.TB, pid int, said string) (live, file []byte) {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range probeSite.FindAllStringSubmatch(said, -1) {
		off, _ := strconv.ParseInt(m[3], 0, 64)
		live = append(live, byteAt(t, fmt.Sprintf("/proc/%d/mem", pid), addressOf(t, string(maps), m[2], off)))
		file = append(file, byteAt(t, m[2], off))
	}
	return live, file
}

func addressOf(t testing.TB, maps, path string, off int64) int64 {
	t.Helper()
	for line := range strings.Lines(maps) {
		var from, to, at int64
		var perms, dev, name string
		var inode uint64
		n, _ := fmt.Sscanf(line, "%x-%x %s %x %s %d %s", &from, &to, &perms, &at, &dev, &inode, &name)
		if n == 7 && name == path && strings.Contains(perms, "x") && off >= at && off < at+to-from {
			return from + off - at
		}
	}
	t.Fatalf("%s+%#x is not mapped", path, off)
	return 0
}

func byteAt(t testing.TB, path string, off int64) byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], off); err != nil {
		t.Fatal(err)
	}
	return b[0]
}

// TestRecorderKilled: no probe stays behind, the target goes on, and what was
// written opens everywhere and says that it is not whole.
func TestRecorderKilled(t *testing.T) {
	p := startBusy(t)
	r := startRecord(t, "-p", fmt.Sprint(p.PID), "--detail", "full")
	live, file := probed(t, p.PID, r.said())
	const int3 = 0xcc
	if len(live) != 2 || !bytes.Equal(live, []byte{int3, int3}) {
		t.Fatalf("bytes at the probed sites %x (in the file %x), want two int3", live, file)
	}
	held := objectsOf(t, r.cmd.Process.Pid)
	awaitGrowth(t, r.trace, 2)
	r.cmd.Process.Kill()
	<-r.ended
	held.gone(t)
	if live, _ := probed(t, p.PID, r.said()); !bytes.Equal(live, file) {
		t.Errorf("a probe stayed behind: bytes %x, in the file %x", live, file)
	}
	if err := p.Stop(); err != nil {
		t.Errorf("the target was harmed: %v", err)
	}
	tr, err := trace.ReadFile(r.trace)
	if err != nil {
		t.Fatal(err)
	}
	if tr.Complete || len(tr.Events) == 0 {
		t.Errorf("complete: %v, %d events; want a cut trace with some", tr.Complete, len(tr.Events))
	}
	checkSaysCut(t, r.trace)
	oracle.Check(t, r.trace)
}

// checkSaysCut holds report and check to what they must say of a cut trace.
func checkSaysCut(t testing.TB, path string) {
	t.Helper()
	o := run(t, []string{"report", path})
	o.wants(t, 0, "no end")
	if first, _, _ := strings.Cut(o.stdout, "\n\n"); !strings.Contains(first, "no end") {
		t.Errorf("the report does not begin with it:\n%s", o.stdout)
	}
	run(t, []string{"check", path, "--assert", "gil.wait.max<1h"}).wants(t, 3, "inconclusive")
}

// TestTruncatedTrace: a file cut in its middle is read up to the cut.
func TestTruncatedTrace(t *testing.T) {
	r := startRecord(t, "-p", fmt.Sprint(startBusy(t).PID), "-d", "700ms")
	r.wait(t)
	st, err := os.Stat(r.trace)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(r.trace, st.Size()*7/10); err != nil {
		t.Fatal(err)
	}
	checkSaysCut(t, r.trace)
}

// TestDiskFull: the recording ends, what is on the disk can be read, the target goes on.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("gilscope-test", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	p := startTruth(t, "convoy")
	path := filepath.Join(dir, "t.pftrace")
	o := run(t, []string{"record", "-p", fmt.Sprint(p.PID), "-o", path, "--detail", "full"})
	o.wants(t, 5, "no space left on device", path, "so far it can be read")
	cleanCode(t, p.PID)
	if err := p.Stop(); err != nil {
		t.Errorf("the target was harmed: %v", err)
	}
	tr, err := trace.ReadFile(path)
	if err != nil || tr.Complete || len(tr.Events) == 0 {
		t.Fatalf("the prefix reads as %v", err)
	}
	checkSaysCut(t, path)
}

// startTruth starts a truth program.
func startTruth(t testing.TB, program string) *testpy.Proc {
	t.Helper()
	script, err := filepath.Abs(filepath.Join("..", "testdata", "truth", program+".py"))
	if err != nil {
		t.Fatal(err)
	}
	return testpy.StartCommand(t, exec.Command(testpy.One(t, "3.13").Path, "-u", script))
}
