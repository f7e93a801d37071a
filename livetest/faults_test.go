package livetest

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gilscope/analyze"
	"gilscope/internal/testpy"
	"gilscope/internal/trace"
	"gilscope/oracle"
)

// openTerminal makes a pseudo terminal.
func openTerminal(t testing.TB) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}

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

// TestSignals: the first signal finishes the file.
func TestSignals(t *testing.T) {
	p := startBusy(t)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(sig.String(), func(t *testing.T) {
			r := startRecord(t, "-p", fmt.Sprint(p.PID))
			if err := r.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			r.wait(t)
			if !strings.Contains(r.said(), "(signal)") {
				t.Errorf("it does not say why it ended:\n%s", r.said())
			}
			readTrace(t, r.trace)
		})
	}
	if err := p.Stop(); err != nil {
		t.Errorf("the target was harmed: %v", err)
	}
}

// pauseScript says when it is up and what signals it gets; only SIGTERM ends it.
const pauseScript = `
import signal, sys
signal.signal(signal.SIGINT, lambda *a: sys.stderr.write("not yet\\n"))
sys.stderr.write("up\\n")
while True: signal.pause()
`

// launchPaused launches pauseScript, and returns once it is up.
func launchPaused(t testing.TB) (cmd *exec.Cmd, said lines, path string) {
	t.Helper()
	stdin, hold, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close(); hold.Close() })
	path = filepath.Join(t.TempDir(), "t.pftrace")
	cmd = command([]string{"record", "-o", path, "--", testpy.Need(t, "3.11").Path, "-c", pauseScript})
	cmd.Stdin = stdin
	words, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	said = newLines(words)
	said.await(t, "up")
	return cmd, said, path
}

// TestSecondSignal: while gilscope waits for a command that does not end, the next one ends it at once.
func TestSecondSignal(t *testing.T) {
	cmd, said, path := launchPaused(t)
	tree, _ := exec.Command("ps", "-o", "pid=", "--ppid", fmt.Sprint(cmd.Process.Pid)).Output()
	child, _ := strconv.Atoi(strings.TrimSpace(string(tree)))
	if child <= 0 {
		t.Fatalf("no child: %q", tree)
	}
	defer syscall.Kill(child, syscall.SIGKILL)
	cmd.Process.Signal(syscall.SIGINT)
	said.await(t, "not yet")
	cmd.Process.Signal(syscall.SIGINT)
	begun := time.Now()
	state, _ := cmd.Process.Wait()
	if ws := state.Sys().(syscall.WaitStatus); !ws.Signaled() || time.Since(begun) > 300*time.Millisecond {
		t.Errorf("after a second SIGINT it went on for %v and ended with %v", time.Since(begun), state)
	}
	if _, err := trace.ReadFile(path); err != nil {
		t.Error(err)
	}
}

// TestLaunchTerminated: a SIGTERM goes on to the command, and the file is finished.
func TestLaunchTerminated(t *testing.T) {
	cmd, said, path := launchPaused(t)
	cmd.Process.Signal(syscall.SIGTERM)
	said.await(t, "wrote "+path)
	if code := exitOf(t, cmd.Wait()); code != 128+int(syscall.SIGTERM) {
		t.Errorf("exit code %d, want that of a command ended by SIGTERM", code)
	}
	readTrace(t, path)
}

// TestNobodyListens: words that nobody reads any more do not end the recording.
func TestNobodyListens(t *testing.T) {
	first, second := testpy.Start(t, testpy.Need(t, "3.10"), endScript), startBusy(t)
	path := filepath.Join(t.TempDir(), "t.pftrace")
	cmd := command([]string{"record", "-o", path, "-d", "500ms", "-p", fmt.Sprint(first.PID), "-p", fmt.Sprint(second.PID)})
	words, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(words).ReadString('\n'); !strings.HasPrefix(line, "recording ") {
		t.Fatalf("it says %q: %v", line, err)
	}
	words.Close()
	first.Send(t, "exit") // which gilscope remarks on
	first.Stop()
	if code := exitOf(t, cmd.Wait()); code != 0 {
		t.Errorf("exit code %d", code)
	}
	readTrace(t, path)
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
			p := testpy.Start(t, testpy.Need(t, "3.10"), endScript)
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
	first, second := testpy.Start(t, testpy.Need(t, "3.10"), endScript), startBusy(t)
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
	awaitGrowth(t, r.trace, 2)
	r.cmd.Process.Kill()
	<-r.ended
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
	return testpy.StartCommand(t, exec.Command(testpy.Need(t, "3.13").Path, "-u", script))
}

// seize traces a process, without stopping it, until the test ends.
func seize(t testing.TB, pid int) {
	t.Helper()
	attached, done := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine, and with it the tracing
		attached <- unix.PtraceSeize(pid)
		<-done
	}()
	if err := <-attached; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(done) })
}
