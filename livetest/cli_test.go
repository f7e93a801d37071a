package livetest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gilscope/internal/testpy"
)

// outcome is how a command line ended.
type outcome struct {
	code           int // 128+n if signal n ended it
	stdout, stderr string
}

// nobody is a user without any privilege.
const nobody = 65534

// runLimit bounds each run of gilscope.
const runLimit = 30 * time.Second

// command prepares gilscope; options change it before it starts.
func command(args []string, options ...func(*exec.Cmd)) *exec.Cmd {
	cmd := exec.Command(gilscope, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	for _, o := range options {
		o(cmd)
	}
	return cmd
}

// asNobody runs gilscope without privileges.
func asNobody(cmd *exec.Cmd) {
	// The harness keeps its folder private; nobody must be able to reach the binary.
	_ = os.Chmod(filepath.Dir(gilscope), 0o755)
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	cmd.Dir = "/"
}

// underSudo runs gilscope as root on behalf of nobody.
func underSudo(cmd *exec.Cmd) {
	_ = os.Chmod(filepath.Dir(gilscope), 0o755)
	cmd.Env = append(os.Environ(), fmt.Sprint("SUDO_UID=", nobody), fmt.Sprint("SUDO_GID=", nobody))
}

// withInput gives gilscope a stdin.
func withInput(text string) func(*exec.Cmd) {
	return func(cmd *exec.Cmd) { cmd.Stdin = strings.NewReader(text) }
}

// run runs gilscope to its end.
func run(t testing.TB, args []string, options ...func(*exec.Cmd)) outcome {
	t.Helper()
	return runCommand(t, command(args, options...))
}

func runCommand(t testing.TB, cmd *exec.Cmd) outcome {
	t.Helper()
	var out, words bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &words
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(runLimit, func() { // where it hangs is worth more than its exit code
		t.Logf("gilscope hangs; its threads in the kernel:\n%s", kernelStacks(cmd.Process.Pid))
		cmd.Process.Signal(syscall.SIGQUIT)
		time.AfterFunc(runLimit, func() { cmd.Process.Kill() })
	})
	defer timer.Stop()
	err := cmd.Wait()
	return outcome{exitOf(t, err), out.String(), words.String()}
}

// exitOf is the code a shell would show for the error of Wait.
func exitOf(t testing.TB, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if ws := exit.Sys().(syscall.WaitStatus); ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return exit.ExitCode()
}

// wants ends the test unless gilscope ended with the code and said every word.
func (o outcome) wants(t testing.TB, code int, words ...string) {
	t.Helper()
	var wrong []string
	if o.code != code {
		wrong = append(wrong, fmt.Sprintf("exit code %d, want %d", o.code, code))
	}
	for _, w := range words {
		if !strings.Contains(o.stdout+o.stderr, w) {
			wrong = append(wrong, fmt.Sprintf("it does not say %q", w))
		}
	}
	if len(wrong) > 0 {
		t.Fatalf("%s\nstdout:\n%.2000s\nstderr:\n%.2000s", strings.Join(wrong, "; "), o.stdout, o.stderr)
	}
}

// busyScript keeps the GIL contended until its stdin ends.
const busyScript = `
import sys, threading
def work():
    while True: pass
for i in range(2): threading.Thread(target=work, name="worker-%d" % i, daemon=True).start()
print("ready"); sys.stdin.read()
`

func startBusy(t testing.TB) *testpy.Proc {
	t.Helper()
	return testpy.Start(t, testpy.One(t, "3.13"), busyScript)
}

// readyScript waits for its stdin and then ends, busy with nothing.
const readyScript = `
import sys
print("ready"); sys.stdin.read()
`

var (
	attachedIn = regexp.MustCompile(`attached in (\S+)`)
	detachedIn = regexp.MustCompile(`detached in (\S+)`)
)

// TestAttachTime holds attaching and detaching to 300 ms each, as a user sees it.
func TestAttachTime(t *testing.T) {
	p := startBusy(t)
	for _, detail := range []string{"waits", "full"} {
		t.Run(detail, func(t *testing.T) {
			var attach, detach, wall []time.Duration
			for range 5 {
				begun := time.Now()
				r := startRecord(t, "-p", fmt.Sprint(p.PID), "-d", "20ms", "--detail", detail)
				wall = append(wall, time.Since(begun))
				r.wait(t)
				attach = append(attach, saidTime(t, r, attachedIn))
				detach = append(detach, saidTime(t, r, detachedIn))
			}
			t.Logf("attach %v (from the start of the program %v), detach %v", median(attach), median(wall), median(detach))
			if median(attach) > 300*time.Millisecond || median(detach) > 300*time.Millisecond {
				t.Errorf("slower than 300 ms: attach %v, detach %v", attach, detach)
			}
		})
	}
	if err := p.Stop(); err != nil {
		t.Errorf("the target was harmed: %v", err)
	}
}

func saidTime(t testing.TB, r *recorder, form *regexp.Regexp) time.Duration {
	t.Helper()
	m := form.FindStringSubmatch(r.said())
	if m == nil {
		t.Fatalf("it does not say %v:\n%s", form, r.said())
	}
	d, err := time.ParseDuration(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func median(d []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(d))[len(d)/2]
}

// stallScript reads the clock all the time. It tells its longest time off the
// CPU that was not a lack of CPU, so a stop, and a sum that a disturbed program
// would not get right.
const stallScript = `
import os, sys, threading, time
stdin = threading.Thread(target=sys.stdin.read); stdin.start()
fd = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
delay = lambda: int(os.pread(fd, 96, 0).split()[1])
sys.setswitchinterval(1000)
print("ready")
worst = total = n = 0
wall, cpu, queued = time.monotonic_ns(), time.thread_time_ns(), delay()
while stdin.is_alive():
    total = (total * 31 + n) % 1000003; n += 1
    w, c = time.monotonic_ns(), time.thread_time_ns()
    if w - wall > 2000000:
        q = delay()
        worst = max(worst, (w - wall) - (c - cpu) - (q - queued))
        queued = q
    wall, cpu = w, c
    if n % 1000 == 0: time.sleep(0); wall, cpu, queued = time.monotonic_ns(), time.thread_time_ns(), delay()
again = 0
for i in range(n): again = (again * 31 + i) % 1000003
print(worst, again == total); sys.exit(7)
`

// TestNeverStopped attaches, at both details, to a program that watches its own
// clock, while we watch its state.
func TestNeverStopped(t *testing.T) {
	p := testpy.Start(t, testpy.One(t, "3.11"), stallScript)
	for _, detail := range []string{"waits", "full"} {
		unwatch := watchState(t, p.PID)
		r := startRecord(t, "-p", fmt.Sprint(p.PID), "-d", "100ms", "--detail", detail)
		r.wait(t)
		unwatch()
	}
	if code := exitOf(t, p.Stop()); code != 7 {
		t.Errorf("the target ended with %d, want its 7", code)
	}
	var worst int64
	var same string
	if _, err := fmt.Sscan(p.Last, &worst, &same); err != nil || same != "True" {
		t.Fatalf("the target printed %q: its output is not what it is without a recorder", p.Last)
	}
	t.Logf("longest stall %.3f ms", ms(worst))
	if worst > 20e6 {
		t.Errorf("the target stood still for %.3f ms", ms(worst))
	}
}

// watchState reads the state of a process again and again until the returned
// function is called, which fails the test if it was ever stopped or traced.
func watchState(t testing.TB, pid int) func() {
	t.Helper()
	bad, done := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(bad)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			if s := stateOf(pid); !regexp.MustCompile(`State:\t[RSD]`).MatchString(s) || !strings.Contains(s, "TracerPid:\t0\n") {
				bad <- s
				return
			}
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	}()
	return func() {
		close(done)
		if s, stopped := <-bad; stopped {
			t.Errorf("the target was stopped or traced:\n%s", s)
		}
	}
}

func stateOf(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return string(b)
}
