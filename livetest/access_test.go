package livetest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gilscope/internal/testpy"
	"gilscope/internal/trace"
)

// asCaller runs a copy of gilscope with file capabilities as nobody.
func asCaller(path string) func(*exec.Cmd) {
	return func(cmd *exec.Cmd) {
		cmd.Path = path
		asNobody(cmd)
	}
}

// everything is what an administrator might give a file, and more than it needs.
var everything = []string{"BPF", "PERFMON", "SYS_PTRACE", "DAC_READ_SEARCH", "CHECKPOINT_RESTORE", "SYS_ADMIN"}

// startRecordAs is startRecord for a caller that is not root: the trace is in a
// folder of nobody's.
func startRecordAs(t testing.TB, as func(*exec.Cmd), args ...string) *recorder {
	t.Helper()
	path := filepath.Join(dirOf(t, nobody), "t.pftrace")
	return startRecorder(t, path, command(append([]string{"record", "-v", "-o", path}, args...), as))
}

// hiddenScript is a process that its user may not trace: it gave up being dumpable.
const hiddenScript = `
import ctypes
assert ctypes.CDLL(None).prctl(4, 0, 0, 0, 0) == 0 # PR_SET_DUMPABLE
` + busyScript

// TestAccess: with file capabilities, a user records own processes and no others.
func TestAccess(t *testing.T) {
	own, hidden := startAs(t, nobody, busyScript), startAs(t, nobody, hiddenScript)
	roots, others := startBusy(t), startAs(t, other, busyScript)
	for _, names := range [][]string{{"BPF", "PERFMON"}, everything} {
		t.Run(strings.Join(names, ","), func(t *testing.T) {
			as := asCaller(withFileCapabilities(t, names...))
			for _, detail := range []string{"waits", "full"} {
				path := filepath.Join(dirOf(t, nobody), "t.pftrace")
				run(t, []string{"record", "--detail", detail, "-d", "150ms", "-o", path, "-p", fmt.Sprint(own.PID)}, as).wants(t, 0)
				if tr := readTrace(t, path); len(tr.Events) == 0 {
					t.Error("no events of an own process")
				}
			}
			run(t, []string{"doctor", "-p", fmt.Sprint(own.PID)}, as).wants(t, 4, "detail full: backend condvar",
				"[fail] read memory") // of its parent, which is root's here
			for _, c := range []struct {
				pid  int
				says string
			}{
				{roots.PID, fmt.Sprint("it runs as uid 0, its recorder as uid ", nobody)},
				{others.PID, fmt.Sprint("it runs as uid ", other, ", its recorder as uid ", nobody)},
				{hidden.PID, "it has privileges of its own"},
				{1, "it runs as uid 0"},
			} {
				path := filepath.Join(dirOf(t, nobody), "t.pftrace")
				args := []string{"record", "-d", "100ms", "-o", path, "-p", fmt.Sprint(c.pid)}
				run(t, args, as).wants(t, 4, "not permitted to trace it", c.says, "run gilscope as root (sudo)")
				run(t, append(args, "--force"), as).wants(t, 4, "not permitted to trace it")
				run(t, append(args, "-p", fmt.Sprint(own.PID)), as).wants(t, 4, c.says)
				if _, err := os.Stat(path); err == nil {
					t.Error("a refused recording left a file")
				}
			}
			o := run(t, []string{"doctor", "-p", fmt.Sprint(others.PID)}, as)
			o.wants(t, 4, "[fail] state of the process", "not permitted to trace it")
			if strings.Contains(o.stdout, "interpreter:") {
				t.Errorf("doctor tells of a process that is not the caller's:\n%s", o.stdout)
			}
		})
	}
	for _, p := range []*testpy.Proc{own, hidden, roots, others} {
		if err := p.Stop(); err != nil {
			t.Errorf("a process was harmed: %v", err)
		}
	}
}

// TestAccessByName: of the processes of a name, those that are the caller's.
func TestAccessByName(t *testing.T) {
	as := asCaller(withFileCapabilities(t, everything...))
	script := `open("/proc/self/comm", "w").write("shared-name")` + busyScript
	theirs := startAs(t, other, script)
	args := []string{"record", "-d", "100ms", "--name", "shared-name", "-o", filepath.Join(dirOf(t, nobody), "t.pftrace")}
	run(t, args, as).wants(t, 4, "--name shared-name", "not permitted to trace it")
	own := startAs(t, nobody, script)
	o := run(t, args, as)
	o.wants(t, 0, fmt.Sprintf("recording pid %d", own.PID))
	if strings.Contains(o.stderr, fmt.Sprint(theirs.PID)) {
		t.Errorf("it found another user's process:\n%s", o.stderr)
	}
}

// TestAccessSetuid: a setuid program does nothing at all.
func TestAccessSetuid(t *testing.T) {
	path := filepath.Join(publicDir(t), "gilscope")
	copyFile(t, gilscope, path)
	if err := unix.Chmod(path, 0o4755); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"version"}, {"doctor"}, {"report", "/etc/shadow"}, {"record", "--", "id"}} {
		o := run(t, args, asCaller(path))
		o.wants(t, 4, "installed setuid", "chmod u-s", "sudo")
		if o.stdout != "" {
			t.Errorf("%v: it said %q", args, o.stdout)
		}
	}
}

// becomingRootScript takes a while, then is root's, in two ways: the child of a
// process, and the process itself. It says who it is and when it is done.
const becomingRootScript = `
import os, subprocess, sys, threading, time
def planted_for_root():
    end = time.monotonic() + .4
    while time.monotonic() < end: pass
    time.sleep(0)
if os.geteuid() == 0:
    print("root", os.getpid(), flush=True)
    threads = [threading.Thread(target=planted_for_root, name="planted-name-%d" % i) for i in range(2)]
    for th in threads: th.start()
    for th in threads: th.join()
    if os.fork() == 0: planted_for_root(); os._exit(0)
    os.wait()
    sys.exit(0)
print("ready", flush=True)
if sys.stdin.readline() == "child\n": subprocess.run([sys.argv[1], "-c", sys.argv[2]])
else: os.execv(sys.argv[1], [sys.argv[1], "-c", sys.argv[2]])
print("done", flush=True)
`

// setuidPython is a Python that is root whoever starts it.
func setuidPython(t testing.TB) string {
	t.Helper()
	path := filepath.Join(publicDir(t), "python3.11")
	copyFile(t, system, path)
	if err := unix.Chmod(path, 0o4755); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestAccessLost: what becomes another user's, by an exec of a setuid program, is
// not recorded further for a caller who may not trace it, nor are its children;
// root's recorder goes on.
func TestAccessLost(t *testing.T) {
	python := setuidPython(t)
	capable := withFileCapabilities(t, everything...)
	for _, how := range []string{"child", "itself"} {
		for _, caller := range []string{"root", "nobody"} {
			t.Run(how+"/"+caller, func(t *testing.T) {
				target := testpy.StartCommand(t, exec.Command("setpriv", fmt.Sprint("--reuid=", nobody), fmt.Sprint("--regid=", nobody),
					"--clear-groups", system, "-u", "-c", becomingRootScript, python, becomingRootScript))
				as := asCaller(capable)
				if caller == "root" {
					as = func(*exec.Cmd) {}
				}
				r := startRecordAs(t, as, "--follow", "--detail", "full", "-p", fmt.Sprint(target.PID))
				target.Send(t, how)
				var root int
				if _, err := fmt.Sscanf(target.Line(t), "root %d", &root); err != nil {
					t.Fatal(err)
				}
				if err := target.Stop(); err != nil {
					t.Errorf("the target was harmed: %v", err)
				}
				r.wait(t)
				checkLost(t, r, root, caller == "root")
			})
		}
	}
}

// checkLost: of a process that became root's, there is all or nothing.
func checkLost(t testing.TB, r *recorder, root int, all bool) {
	t.Helper()
	tr := readTrace(t, r.trace)
	var exec trace.Time
	for _, n := range notes(tr, trace.NoteExec) {
		if int(n.PID) == root {
			exec = n.Time
		}
	}
	after := 0
	for i := range tr.Events {
		if e := &tr.Events[i]; (int(e.PID) == root || int(e.TID) == root) && e.Time > exec {
			after++
		}
	}
	data := inflated(t, r.trace)
	planted := bytes.Contains(data, []byte("planted_for_root")) || bytes.Contains(data, []byte("planted-name"))
	refused := strings.Contains(r.said(), fmt.Sprintf("pid %d: target cannot be recorded: not permitted to trace it", root))
	// Refused at its fork, it has no note of an exec, nor events.
	if all && exec == 0 || all != (after > 0) || all != planted || all == refused {
		t.Errorf("exec at %d, %d events after it, planted names in the trace: %v\n%s", exec, after, planted, r.said())
	}
}

// TestAccessTakenAway: a process that stops being dumpable is not recorded further.
func TestAccessTakenAway(t *testing.T) {
	script := `
import ctypes, sys, threading
def work():
    while True: pass
threading.Thread(target=work, daemon=True).start()
print("ready", flush=True)
sys.stdin.readline()
ctypes.CDLL(None).prctl(4, 0, 0, 0, 0) # PR_SET_DUMPABLE
sys.stdin.read()
`
	target := startAs(t, nobody, script)
	r := startRecordAs(t, asCaller(withFileCapabilities(t, "BPF", "PERFMON")), "--detail", "waits", "-p", fmt.Sprint(target.PID))
	if out, err := exec.Command("setpriv", fmt.Sprint("--reuid=", nobody), fmt.Sprint("--regid=", nobody), "--clear-groups",
		"cat", fmt.Sprintf("/proc/%d/environ", r.cmd.Process.Pid)).CombinedOutput(); err == nil || !strings.Contains(string(out), "denied") {
		t.Errorf("its caller can look into it: %s", out)
	}
	target.Send(t, "hide")
	select {
	case <-r.ended:
	case <-time.After(runLimit):
		t.Fatalf("it goes on:\n%s", r.said())
	}
	if r.err != nil || !strings.Contains(r.said(), "not recorded further: pid") {
		t.Errorf("%v\n%s", r.err, r.said())
	}
	readTrace(t, r.trace)
}
