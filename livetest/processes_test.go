package livetest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gilscope/analyze"
	"gilscope/internal/testpy"
	"gilscope/internal/trace"
)

// TestNotFollowed: without --follow a process's children are counted, and it is said how to have them.
func TestNotFollowed(t *testing.T) {
	in, other := testpy.One(t, "3.12"), testpy.One(t, "3.9")
	dir := t.TempDir()
	p := testpy.StartCommand(t, in.Command("-W", "ignore", processesScript(t, "family"), dir, "fork", "nested", other.Path))
	r := startRecord(t, "-p", fmt.Sprint(p.PID))
	if err := p.Stop(); err != nil {
		t.Fatalf("family.py was harmed: %v", err)
	}
	r.wait(t)
	rec := open(t, r, nil)
	if n := len(members(t, dir)); n != 4 {
		t.Fatalf("%d children ran, want 4", n)
	}
	if len(rec.report.Processes) != 1 || rec.report.Processes[0].ChildrenNotRecorded != 3 {
		t.Errorf("the report has %+v, want one process with 3 children that are not recorded", rec.report.Processes)
	}
	if want := "child processes not recorded: 3; pass --follow"; !strings.Contains(rec.words, want) {
		t.Errorf("it does not say %q:\n%s", want, rec.words)
	}
	o := run(t, []string{"report", r.trace})
	o.wants(t, 0, "3")
}

// startNamed starts a copy of a truth program under another name.
func startNamed(t testing.TB, in testpy.Interpreter, program, name string) *testpy.Proc {
	t.Helper()
	truth, err := filepath.Abs(filepath.Join("..", "testdata", "truth"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(truth, program+".py"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := in.Command("-u", path)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+truth)
	return testpy.StartCommand(t, cmd)
}

// TestByName: processes of two interpreters are found by the name of their
// script, and recorded as one; a pid that is given as well is one target.
func TestByName(t *testing.T) {
	name := fmt.Sprintf("shop-%d.py", os.Getpid())
	running := map[*testpy.Proc]testpy.Interpreter{}
	var some *testpy.Proc
	for _, in := range testpy.Some(t, "3.8", "3.14") {
		some = startNamed(t, in, "convoy", name)
		running[some] = in
	}
	r := startRecord(t, "--name", name, "-p", fmt.Sprint(some.PID), "-p", fmt.Sprint(some.PID), "-d", "1s")
	r.wait(t)
	rec := open(t, r, nil)
	if n := notes(rec.trace, trace.NoteTarget); len(n) != len(running) || len(rec.report.Processes) != len(running) {
		t.Errorf("%d targets and %d processes, want %d", len(n), len(rec.report.Processes), len(running))
	}
	for p, in := range running {
		truth := truthOf(t, p, in.Name)
		one := rec
		one.truth = truth
		one.report = &analyze.Report{GIL: gilsOf(rec.report, int32(p.PID))}
		checkWaits(t, one, 0.02)
		checkBlame(t, one)
		if row := processOf(rec.report, int32(p.PID)); row == nil || row.Python == nil || row.Python.Version != in.Version {
			t.Errorf("the report has %s, want Python %s", rowText(row), in.Version)
		}
	}
}

// TestNoSuchName: a name that finds nothing, or no Python, is an error with a word.
func TestNoSuchName(t *testing.T) {
	out := filepath.Join(t.TempDir(), "t.pftrace")
	run(t, []string{"record", "--name", "no-such-shop.py", "-o", out}).wants(t, 4, "no-such-shop.py", "no process has that name", "-p PID")
	sleep := filepath.Join(t.TempDir(), fmt.Sprintf("nap-%d", os.Getpid()))
	path, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, sleep); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(sleep, "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	run(t, []string{"record", "--name", filepath.Base(sleep), "-o", out}).wants(t, 4, filepath.Base(sleep), "runs Python")
	if _, err := os.Stat(out); err == nil {
		t.Error("a refused recording left a file")
	}
}

// startBecoming starts a program that contends and then becomes another one.
func startBecoming(t testing.TB, in testpy.Interpreter, argv ...string) (p *testpy.Proc, dir string) {
	t.Helper()
	dir = t.TempDir()
	return testpy.StartCommand(t, in.Command(append([]string{processesScript(t, "become"), dir}, argv...)...)), dir
}

// TestBecomes: a target that execs is what it has become. Another Python is
// recorded further; with something else the recording ends.
func TestBecomes(t *testing.T) {
	in, other := testpy.One(t, "3.9"), testpy.One(t, "3.13")
	// This one is given up 10 s after the exec; meanwhile there is more to do.
	long, _ := startBecoming(t, in, "/bin/sleep", "600")
	givenUp := startRecord(t, "-p", fmt.Sprint(long.PID))
	long.Send(t, "begin")
	begun := time.Now()
	for _, detail := range []string{"waits", "full"} {
		t.Run("Python/"+detail, steady(func(t testing.TB) { becomesPython(t, in, other, detail) }))
	}
	t.Run("sleep", func(t *testing.T) {
		p, dir := startBecoming(t, in, "/bin/sleep", "0.2")
		r := startRecord(t, "-p", fmt.Sprint(p.PID))
		if err := p.Stop(); err != nil {
			t.Fatal(err)
		}
		ended := time.Now()
		r.wait(t)
		t.Logf("the recording ended %v after sleep", time.Since(ended))
		checkBecame(t, open(t, r, nil), int32(p.PID), members(t, dir))
		if want := fmt.Sprintf("no Python was found in sleep (pid %d)", p.PID); !strings.Contains(r.said(), want) {
			t.Errorf("it does not say %q:\n%s", want, r.said())
		}
	})
	givenUp.wait(t)
	t.Logf("sleep 600 was given up %v after the program was told to begin", time.Since(begun))
	if !strings.Contains(givenUp.said(), "no Python was found in sleep") || !strings.Contains(givenUp.said(), "(targets gone)") {
		t.Errorf("it says:\n%s", givenUp.said())
	}
	if row := processOf(open(t, givenUp, nil).report, int32(long.PID)); row == nil || row.Exit != nil {
		t.Errorf("the report has %s, want a process that goes on", rowText(row))
	}
}

// becomesPython: before and after the exec, both interpreters' waits are there.
func becomesPython(t testing.TB, in, other testpy.Interpreter, detail string) {
	after := t.TempDir()
	p, before := startBecoming(t, in, other.Path, processesScript(t, "contend"), after, "after", "5")
	r := startRecord(t, "-p", fmt.Sprint(p.PID), "--detail", detail)
	if code := exitOf(t, p.Stop()); code != 5 {
		t.Fatalf("it ended with %d\n%s", code, r.said())
	}
	r.wait(t)
	rec := open(t, r, nil)
	checkBecame(t, rec, int32(p.PID), members(t, before))
	checkBecame(t, rec, int32(p.PID), members(t, after))
	checkProcessCounts(t, rec, int32(p.PID))
	if n := notes(rec.trace, trace.NoteTarget); len(n) != 2 || !strings.Contains(args(n[0]), "python="+in.Version) ||
		!strings.Contains(args(n[1]), "python="+other.Version) {
		t.Errorf("targets %v, want Python %s and then %s", n, in.Version, other.Version)
	}
	if row := processOf(rec.report, int32(p.PID)); row.Exit == nil || row.Exit.Code != 5 || row.Python.Version != other.Version {
		t.Errorf("the report has %s", rowText(row))
	}
}

// checkBecame holds one of the programs that a process was to what it measured.
func checkBecame(t testing.TB, r recording, pid int32, found map[int32]member) {
	t.Helper()
	m, ok := found[pid]
	if !ok {
		t.Fatalf("pid %d left nothing: %v", pid, found)
	}
	checkMeasured(t, r, m, pid)
}
