package livetest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gilscope/internal/testpy"
)

// restlessScript takes and drops the GIL as often as it can, so that detail auto
// takes its probes off and tries them again.
const restlessScript = `
import sys, threading, time
def work():
    while True: time.sleep(0)
for i in range(3): threading.Thread(target=work, daemon=True).start()
print("ready"); sys.stdin.read()
`

// victimScript says whether there ever was a breakpoint at the begin of its
// libc's pthread_cond_signal.
const victimScript = `
import ctypes, sys, threading
addr = ctypes.cast(ctypes.CDLL(None).pthread_cond_signal, ctypes.c_void_p).value
stdin = threading.Thread(target=sys.stdin.read); stdin.start()
print("ready")
first, hit = ctypes.string_at(addr, 16), False
while stdin.is_alive():
    hit = hit or ctypes.string_at(addr, 16) != first
    stdin.join(.005)
print("hit" if hit else "clean")
`

// startWithLibc starts a Python of nobody's with a libc of its own.
func startWithLibc(t testing.TB, dir, script string) *testpy.Proc {
	t.Helper()
	return testpy.StartCommand(t, exec.Command("setpriv", fmt.Sprint("--reuid=", nobody), fmt.Sprint("--regid=", nobody), "--clear-groups",
		"env", "LD_LIBRARY_PATH="+dir, system, "-u", "-c", script))
}

// TestSwappedFile: probes go into the file whose code was looked at, and not
// into what lies at its path by then. With that, who may replace a file of an
// own process could have breakpoints put anywhere into any file, for everybody.
func TestSwappedFile(t *testing.T) {
	libc, err := filepath.EvalSymlinks("/lib/x86_64-linux-gnu/libc.so.6")
	if err != nil {
		t.Fatal(err)
	}
	own, others := dirOf(t, nobody), dirOf(t, nobody)
	for _, dir := range []string{own, others} {
		copyFile(t, libc, filepath.Join(dir, "libc.so.6"))
	}
	target, victim := startWithLibc(t, own, restlessScript), startWithLibc(t, others, victimScript)
	as := asCaller(withFileCapabilities(t, "BPF", "PERFMON"))
	r := startRecordAs(t, as, "--follow", "--detail", "auto", "--max-overhead", "10%", "-d", "6s", "-p", fmt.Sprint(target.PID))
	swapped := filepath.Join(own, "libc.so.6")
	if err := os.Remove(swapped); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(others, "libc.so.6"), swapped); err != nil {
		t.Fatal(err)
	}
	r.wait(t)
	if err := victim.Stop(); err != nil || victim.Last != "clean" {
		t.Errorf("a process that is no target: %q, %v", victim.Last, err)
	}
	if err := target.Stop(); err != nil {
		t.Errorf("the target was harmed: %v", err)
	}
	levels, _ := levelsOf(readTrace(t, r.trace))
	if got := strings.Join(levels, " "); !strings.HasPrefix(got, "full waits full") {
		t.Errorf("levels %s: the probes were not tried again, so this shows nothing", got)
	}
}
