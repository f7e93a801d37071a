package livetest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gilscope/internal/testpy"
	"gilscope/internal/trace"
	"gilscope/oracle"
)

// launch records a command from its start. The trace is at the path returned.
func launch(t testing.TB, argv []string, options ...func(*exec.Cmd)) (outcome, string) {
	t.Helper()
	path := filepath.Join(publicDir(t), "t.pftrace")
	args := append([]string{"record", "-v", "-o", path, "--no-event-callstacks", "--"}, argv...)
	return run(t, args, options...), path
}

// publicDir is a new folder that every user can reach.
func publicDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gilscope-public-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// readTrace reads a trace that must be whole and true to its rules.
func readTrace(t testing.TB, path string) *trace.Trace {
	t.Helper()
	tr, err := trace.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !tr.Complete {
		t.Errorf("%s has no footer", path)
	}
	if errs := tr.Validate(); len(errs) > 0 {
		t.Errorf("%s breaks %d rules, the first: %v", path, len(errs), errs[0])
	}
	return tr
}

// notes are the notes of that name.
func notes(tr *trace.Trace, name string) []trace.Note {
	var out []trace.Note
	for _, n := range tr.Notes {
		if n.Name == name {
			out = append(out, n)
		}
	}
	return out
}

func args(n trace.Note) string {
	var b strings.Builder
	for _, a := range n.Args {
		if a.Text != "" {
			fmt.Fprintf(&b, "%s=%s ", a.Key, a.Text)
		} else {
			fmt.Fprintf(&b, "%s=%d ", a.Key, a.Num)
		}
	}
	return b.String()
}

// TestLaunchExit: the command's own end is gilscope's, and stands in the trace.
func TestLaunchExit(t *testing.T) {
	python := testpy.One(t, "3.12").Path
	for _, c := range []struct {
		body string
		code int
		note string
		said string
	}{
		{"pass", 0, "code=0 signal=0", "ended with code 0"},
		{"sys.exit(7)", 7, "code=7 signal=0", "ended with code 7"},
		{"os.kill(os.getpid(), signal.SIGKILL)", 137, "code=0 signal=9", "killed by signal 9"},
		{"os.kill(os.getpid(), signal.SIGTERM)", 143, "code=0 signal=15", "killed by signal 15"},
	} {
		t.Run(c.body, func(t *testing.T) {
			o, path := launch(t, []string{python, "-c", "import os, signal, sys\n" + c.body})
			o.wants(t, c.code, "wrote "+path, c.said)
			tr := readTrace(t, path)
			if n := notes(tr, trace.NoteExit); len(n) != 1 || !strings.HasPrefix(args(n[0]), c.note) {
				t.Errorf("exit notes %v, want %s", n, c.note)
			}
		})
	}
}

// TestLaunchStreams: stdin, stdout and stderr are the command's own.
func TestLaunchStreams(t *testing.T) {
	script := "import sys; sys.stdout.write(sys.stdin.read().upper()); sys.stderr.write('a word\\n')"
	o, _ := launch(t, []string{testpy.One(t, "3.9").Path, "-c", script}, withInput("data\n"))
	o.wants(t, 0, "a word\n")
	if o.stdout != "DATA\n" {
		t.Errorf("stdout is %q, want what the command wrote and no more", o.stdout)
	}
}

// TestLaunchAsInvokingUser: under sudo the command is the user's, and so is the trace.
func TestLaunchAsInvokingUser(t *testing.T) {
	script := `
import os
links = []
for fd in os.listdir("/proc/self/fd"):
    try: links.append(os.readlink("/proc/self/fd/" + fd))
    except OSError: pass
print(os.getuid(), os.geteuid(), os.getgid(), os.getgroups(), os.environ["USER"])
print([l for l in links if any(w in l for w in ("bpf", "perf", "pidfd", ".pftrace"))])
`
	o, path := launch(t, []string{"/usr/bin/python3.11", "-c", script}, underSudo)
	o.wants(t, 0)
	// Nothing that root opened is open in it.
	if want := fmt.Sprintf("%d %d %d [%d] nobody\n[]\n", nobody, nobody, nobody, nobody); o.stdout != want {
		t.Errorf("the command ran as %q, want %q", o.stdout, want)
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if sys := st.Sys().(*syscall.Stat_t); sys.Uid != nobody || sys.Gid != nobody || st.Mode().Perm() != 0o600 {
		t.Errorf("the trace belongs to %d:%d with mode %o", sys.Uid, sys.Gid, st.Mode().Perm())
	}
}

// TestLaunchWholeLife: what the program measured from its first thread on is in the trace.
func TestLaunchWholeLife(t *testing.T) {
	script, err := filepath.Abs(filepath.Join("..", "testdata", "truth", "native_hold.py"))
	if err != nil {
		t.Fatal(err)
	}
	stdin, hold, err := os.Pipe() // the program works until its stdin ends
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	defer hold.Close()
	o, path := launch(t, []string{testpy.One(t, "3.13").Path, "-u", script, "1.5"}, func(c *exec.Cmd) { c.Stdin = stdin })
	o.wants(t, 0, "ready")
	lines := strings.Split(strings.TrimSpace(o.stdout), "\n")
	truth, err := oracle.ParseTruth([]byte(lines[len(lines)-1]))
	if err != nil {
		t.Fatal(err)
	}
	r := open(t, &recorder{trace: path, words: bytes.NewBufferString(o.stderr)}, truth)
	r.from, r.to = allMeasured(truth)
	checkWaits(t, r, 0.02)
	checkBlame(t, r)
	names := map[int32]string{}
	for _, th := range r.trace.Threads {
		names[th.TID] = th.Name
	}
	for tid, th := range truth.Threads {
		if names[tid] != th.Name {
			t.Errorf("thread %d is %q in the trace, want %q", tid, names[tid], th.Name)
		}
		if first := firstStart(r.trace, tid); first == 0 {
			t.Errorf("the start of thread %d (%s) was not seen", tid, th.Name)
		}
	}
}

// allMeasured is when all threads measured: before, they wait for the GIL to run at all.
func allMeasured(truth *oracle.Truth) (from, to int64) {
	to = math.MaxInt64
	for _, th := range truth.Threads {
		if n := len(th.Waits); n > 0 {
			from, to = max(from, th.Waits[0][0]), min(to, th.Waits[n-1][1])
		}
	}
	return from, to
}

func firstStart(tr *trace.Trace, tid int32) trace.Time {
	for i := range tr.Events {
		if e := &tr.Events[i]; e.Kind == trace.ThreadStart && e.TID == tid {
			return e.Time
		}
	}
	return 0
}

// TestLaunchWrapped: a shell, and a shim like those of version managers, become the interpreter.
func TestLaunchWrapped(t *testing.T) {
	in := testpy.One(t, "3.11")
	shim := filepath.Join(publicDir(t), "python3")
	text := fmt.Sprintf("#!/usr/bin/env bash\nset -e\nversion=$(basename %s)\nexec %s \"$@\"\n", in.Path, in.Path)
	if err := os.WriteFile(shim, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	work := "import time\nfor i in range(3): time.sleep(.05)"
	for _, argv := range [][]string{{"sh", "-c", `exec "$0" -c "$1"`, in.Path, work}, {shim, "-c", work}} {
		o, path := launch(t, argv)
		o.wants(t, 0)
		n := notes(readTrace(t, path), trace.NoteTarget)
		if len(n) != 1 || !strings.Contains(args(n[0]), "python="+in.Version) {
			t.Errorf("%s: targets %v, want one with Python %s", argv[0], n, in.Version)
		}
	}
}

// TestLaunchChild: Python that is started as a child is recorded, or it is said that it is not.
func TestLaunchChild(t *testing.T) {
	script := testpy.One(t, "3.11").Path + " -c pass; exit 3"
	o, path := launch(t, []string{"sh", "-c", script})
	o.wants(t, 3, "no Python was found in", "pid ")
	if n := len(notes(readTrace(t, path), trace.NoteTarget)); n != 1 {
		t.Errorf("%d interpreters in the trace, want that of the child", n)
	}
	run(t, []string{"record", "--follow=false", "-o", path, "--", "sh", "-c", script}).wants(t, 3, "child processes not recorded: 1")
}

// TestLaunchNotPython: scheduling only, and a word about it.
func TestLaunchNotPython(t *testing.T) {
	o, path := launch(t, []string{"sh", "-c", "exit 5"})
	o.wants(t, 5, "no Python was found in", "its scheduling only was recorded")
	tr := readTrace(t, path)
	if len(notes(tr, trace.NoteTarget)) != 0 || len(tr.Events) == 0 {
		t.Errorf("%d targets and %d events, want none and some", len(notes(tr, trace.NoteTarget)), len(tr.Events))
	}
	run(t, []string{"report", path}).wants(t, 0)
}

// TestLaunchNotFound: nothing runs, and a trace that is there stays as it is.
func TestLaunchNotFound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.pftrace")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, []string{"record", "-o", path, "--", "no-such-command"}).wants(t, 4, "launch no-such-command", "PATH")
	if b, _ := os.ReadFile(path); string(b) != "precious" {
		t.Errorf("the file that was there is now %d bytes", len(b))
	}
}

// lines reads what a program prints, line by line.
type lines chan string

func newLines(r io.Reader) lines {
	l := make(lines, 1024)
	go func() {
		defer close(l)
		for s := bufio.NewScanner(r); s.Scan(); {
			l <- s.Text()
		}
	}()
	return l
}

// await waits for a line that contains the text, and returns it.
func (l lines) await(t testing.TB, text string) string {
	t.Helper()
	var seen []string
	limit := time.After(runLimit)
	for {
		select {
		case line, ok := <-l:
			if strings.Contains(line, text) {
				return line
			}
			if seen = append(seen, line); !ok {
				t.Fatalf("it ended without saying %q:\n%s", text, strings.Join(seen, "\n"))
			}
		case <-limit:
			t.Fatalf("it does not say %q:\n%s", text, strings.Join(seen, "\n"))
		}
	}
}

// TestExec: a program that becomes another one is looked into anew, and its probes with it.
func TestExec(t *testing.T) {
	script := `
import os, sys, threading, time
def work():
    end = time.monotonic() + .3
    while time.monotonic() < end: pass
threads = [threading.Thread(target=work) for i in range(2)]
for th in threads: th.start()
for th in threads: th.join()
if len(sys.argv) > 2: os.execv(sys.argv[2], [sys.argv[2], "-c", sys.argv[1], sys.argv[1]])
`
	in := testpy.One(t, "3.11")
	path := filepath.Join(t.TempDir(), "t.pftrace")
	o := run(t, []string{"record", "--detail", "full", "-o", path, "--", in.Path, "-c", script, script, testpy.One(t, "3.13").Path})
	o.wants(t, 0)
	tr := readTrace(t, path)
	targets := notes(tr, trace.NoteTarget)
	if len(targets) != 2 || !strings.Contains(args(targets[0]), "python=3.11") || !strings.Contains(args(targets[1]), "python=3.13") {
		t.Fatalf("targets: %v, want Python 3.11 and then 3.13", targets)
	}
	totals := notes(tr, trace.NoteGIL)
	if len(totals) != 2 {
		t.Fatalf("sums of the GIL %v, want one for each program", totals)
	}
	unknown := 0
	for i := range tr.Events {
		if e := &tr.Events[i]; e.Kind == trace.GILHoldEnd && trace.DropReason(e.Arg) == trace.DropUnknown {
			unknown++
		}
	}
	if unknown > 2 { // each program's last
		t.Errorf("%d holds ended by another take: probes are attached twice", unknown)
	}
}
