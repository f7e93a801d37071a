package livetest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gilscope/analyze"
	"gilscope/internal/trace"
)

// memoryGroup makes a cgroup, of version 1 or 2, with a limit of memory.
func memoryGroup(t testing.TB, limit int) (procs string) {
	t.Helper()
	dir, file := "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
	if _, err := os.Stat(dir); err != nil {
		dir, file = "/sys/fs/cgroup", "memory.max"
		// Refused if it is a group with processes, not the root: then it has the controller or the test cannot be made.
		_ = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+memory"), 0o644)
	}
	group := filepath.Join(dir, fmt.Sprintf("gilscope-test-%d-%d", os.Getpid(), limit))
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(group); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(filepath.Join(group, file), []byte(fmt.Sprint(limit)), 0o644); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(group, "cgroup.procs")
}

// TestMemoryLimit: where memory is limited the buffer is smaller, which is said;
// with hardly any nothing is begun, since the kernel would kill somebody.
func TestMemoryLimit(t *testing.T) {
	for _, c := range []struct {
		limit int
		args  []string
		code  int
		says  string
	}{
		{12 << 20, nil, 4, "the memory limit of this cgroup leaves"},
		{32 << 20, nil, 0, "MiB, not 16; events are lost sooner"},
		{64 << 20, []string{"--ring", "64", "--keep", "1m"}, 0, "the event buffer has 16 MiB, not 64; events are lost sooner"},
	} {
		t.Run(fmt.Sprint(c.limit>>20, " MiB"), func(t *testing.T) {
			p := startWorker(t)
			procs, path := memoryGroup(t, c.limit), filepath.Join(t.TempDir(), "t.pftrace")
			o := run(t, append([]string{"record", "-p", fmt.Sprint(p.PID), "-d", "700ms", "-o", path, "--detail", "full"}, c.args...), func(cmd *exec.Cmd) {
				cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", `echo $$ > "$0" && exec "$@"`, procs, gilscope}, cmd.Args[1:]...)
			})
			o.wants(t, c.code, c.says)
			if c.code == 0 {
				checkExact(t, readTrace(t, path))
			} else if _, err := os.Stat(path); err == nil {
				t.Error("a refused recording left a file")
			}
			unharmed(t, p)
		})
	}
}

// TestFrozen: it is said that a target is frozen; once it is thawed it is recorded. One
// that stays frozen to the end is free of probes nevertheless.
func TestFrozen(t *testing.T) {
	p := startWorker(t)
	thaw := freeze(t, p.PID)
	r := startRecord(t, "-p", fmt.Sprint(p.PID), "--detail", "full", "-d", "300ms")
	r.wait(t)
	for _, want := range []string{
		fmt.Sprintf("pid %d is frozen by cgroup /gilscope-test", p.PID), fmt.Sprintf("nothing happened in pid %d", p.PID),
	} {
		if !strings.Contains(r.said(), want) {
			t.Errorf("it does not say %q:\n%s", want, r.said())
		}
	}
	checkExactlyNothing(t, r.trace)
	cleanCode(t, p.PID)
	r = startRecord(t, "-p", fmt.Sprint(p.PID), "--detail", "full")
	thaw()
	answers(t, p, turns)
	r.finish(t)
	checkTurns(t, r.trace)
	unharmed(t, p)
}

func checkExactlyNothing(t testing.TB, path string) {
	t.Helper()
	tr := readTrace(t, path)
	if end := note(t, tr, trace.NoteEnd); end["lost"] != 0 || end["produced"] != end["stored"] {
		t.Errorf("the closing note says %v", end)
	}
	if r := analyze.Analyze(tr); len(r.GIL) > 0 && r.GIL[0].Waits > 0 {
		t.Errorf("a frozen process waited: %+v", r.GIL[0])
	}
}

// TestTargetStopped: a target that is stopped and goes on while it is recorded waits for nothing meanwhile but is still there.
func TestTargetStopped(t *testing.T) {
	p := startWorker(t)
	r := startRecord(t, "-p", fmt.Sprint(p.PID), "--detail", "full")
	stop(t, p.PID)
	if err := syscall.Kill(p.PID, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	answers(t, p, turns)
	r.finish(t)
	unharmed(t, p)
	checkTurns(t, r.trace)
}
