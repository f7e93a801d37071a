package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"gilscope/collector"
	"gilscope/internal/trace"
)

// writeTrace makes a Perfetto file of a text trace of the viewer's testdata.
func writeTrace(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "viewer", "testdata", name+".trace"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tr, err := trace.ParseText(f)
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	w := trace.NewWriter(&buf, trace.WriterOptions{Level: 1, Release: "6.6.0", Machine: "x86_64", CPUs: 2})
	replay(w, tr)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name+".pftrace")
	if err := os.WriteFile(path, buf.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// replay writes a trace whose ids are in the order the writer gives them.
func replay(w *trace.Writer, tr *trace.Trace) {
	for _, s := range tr.Strings[1:] {
		w.String(s)
	}
	for _, f := range tr.Frames[1:] {
		w.Frame(f)
	}
	for _, s := range tr.Stacks[1:] {
		w.Stack(s)
	}
	for _, p := range tr.Processes {
		w.Process(p)
	}
	for _, th := range tr.Threads {
		w.Thread(th)
	}
	end := len(tr.Notes)
	if tr.Complete {
		end--
	}
	for _, n := range tr.Notes[:end] {
		w.Note(n)
	}
	for i := range tr.Events {
		w.Event(&tr.Events[i])
	}
	for _, n := range tr.Notes[end:] {
		w.Note(n)
	}
}

// gilscope runs a command line as main does.
func gilscope(args ...string) (code int, stdout, stderr string) {
	var out, words bytes.Buffer
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&words)
	err := root.Execute()
	complain(&words, err)
	return exitCode(err), out.String(), words.String()
}

func TestCommands(t *testing.T) {
	hog, full, hostile := writeTrace(t, "hog"), writeTrace(t, "full"), writeTrace(t, "hostile")
	dir := t.TempDir()
	plain, foreign := filepath.Join(dir, "plain"), filepath.Join(dir, "foreign")
	if err := errors.Join(os.WriteFile(plain, []byte("just words\n"), 0o600), os.WriteFile(foreign, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(plain, link); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args   []string
		code   int
		stdout string // part of it; "" with a code that is not 0: nothing
		stderr string // part of it
	}{
		{[]string{"version"}, 0, "gilscope " + version, ""},
		{[]string{}, 0, "Usage:", ""},
		{[]string{"report", hog}, 0, "Threads waited 300 ms for the GIL", ""},
		{[]string{"report", hog, full, "--format", "md"}, 0, "# " + full, ""},
		{[]string{"report", hog, "--json"}, 0, `"schema": "gilscope.report/v1"`, ""},
		{[]string{"report", hostile}, 0, "WARNING: 5 events lost", ""},
		{[]string{"check", hog, "--assert", "gil.wait.max<1s"}, 0, "pass", ""},
		{[]string{"check", hog, "--assert", "gil.wait.max<1ms"}, 1, "breach", "a budget is breached"},
		{[]string{"check", hog, "--assert", "gil.wait.max<1ms", "--assert", "gil.hold.max<1s"}, 1, "inconclusive", "breached"},
		{[]string{"check", hog, "--assert", "gil.hold.max<1ms"}, 3, "inconclusive", "inconclusive"},
		{[]string{"check", hostile, "--assert", "gil.wait.max<1ms"}, 3, "inconclusive", "inconclusive"},
		{[]string{"check", hog, "--assert", "gil.wait.max<1s", "--out", "junit=-"}, 0, "<testsuite", ""},
		{[]string{"export", hog, "--to", "collapsed"}, 0, "io (10);poll (a.py:3) 300000000", ""},
		{[]string{"export", hog, "--to", "text"}, 0, "gil.wait.begin pid=1 tid=10", ""},
		{[]string{"export", hostile, "--to", "text"}, 0, "gil.wait.begin", "WARNING: 5 events lost"},
		{[]string{"export", hog, "--to", "collapsed", "--type", "gil_hold"}, 2, "", "use --type gil_blame"},

		{[]string{"reprot"}, 2, "", "did you mean report"},
		{[]string{"report"}, 2, "", "no trace given"},
		{[]string{"report", hog, "--format", "html"}, 2, "", "use text, json or md"},
		{[]string{"report", hog, "--top", "0"}, 2, "", "give 1 or more"},
		{[]string{"report", hog, "--colour"}, 2, "", "unknown flag"},
		{[]string{"check", hog}, 2, "", "no budget given"},
		{[]string{"check", hog, hog, "--assert", "gil.wait.max<1s"}, 2, "", "takes 1 trace"},
		{[]string{"check", hog, "--assert", "gil.wait<1s"}, 2, "", "known are gil.wait.p50"},
		{[]string{"check", hog, "--assert", "gil.wait.max<1s", "--out", "sarif=x"}, 2, "", "github, json, junit, text"},
		{[]string{"export", hog, "--to", "svg"}, 2, "", "use pprof"},
		{[]string{"export", hog, "--to", "pprof", "--type", "heap"}, 2, "", "known are gil_wait"},
		{[]string{"view", hog, "--port", "70000"}, 2, "", "give 0 to 65535"},
		{[]string{"version", "x"}, 2, "", "takes no argument"},

		{[]string{"report", filepath.Join(dir, "absent")}, 5, "", "open trace"},
		{[]string{"report", plain}, 5, "", "gilscope"},
		{[]string{"report", foreign}, 5, "", "gilscope"},
		{[]string{"view", plain, "--no-open"}, 5, "", "gilscope"},
		{[]string{"report", hog, "-o", link}, 5, "", "refused to write"},
		{[]string{"report", hog, "-o", filepath.Join(dir, "absent", "x")}, 5, "", "create it first"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			code, stdout, stderr := gilscope(c.args...)
			if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) {
				t.Errorf("exit %d, want %d\nstdout: %s\nstderr: %s", code, c.code, stdout, stderr)
			}
			if c.code != 0 && c.stdout == "" && stdout != "" {
				t.Errorf("an error left data on stdout: %s", stdout)
			}
		})
	}
	if got, _ := os.ReadFile(plain); string(got) != "just words\n" {
		t.Error("-o followed a link")
	}
}

func TestOutputFiles(t *testing.T) {
	hog, dir := writeTrace(t, "hog"), t.TempDir()
	report, junit, profile := filepath.Join(dir, "r.json"), filepath.Join(dir, "j.xml"), filepath.Join(dir, "p.pb.gz")
	for _, args := range [][]string{
		{"report", hog, "--format", "json", "-o", report},
		{"check", hog, "--assert", "gil.wait.max<1s", "--out", "junit=" + junit},
		{"export", hog, "--to", "pprof", "-o", profile},
	} {
		if code, _, stderr := gilscope(args...); code != 0 {
			t.Fatalf("%v: exit %d: %s", args, code, stderr)
		}
	}
	for _, path := range []string{report, junit, profile} {
		st, err := os.Stat(path)
		if err != nil || st.Mode().Perm() != 0o600 || st.Size() == 0 {
			t.Errorf("%s: %v, %v", path, st, err)
		}
	}
	data, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	for key, value := range doc {
		if value == nil && key != "scaling" {
			t.Errorf("%s is null", key)
		}
	}
}

// TestSameThroughTheFile: writing a trace and reading it back changes no report.
func TestSameThroughTheFile(t *testing.T) {
	for _, name := range []string{"hog", "convoy", "full", "quiet"} {
		_, got, _ := gilscope("report", writeTrace(t, name), "--json")
		want, err := os.ReadFile(filepath.Join("..", "..", "viewer", "testdata", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: the report differs after the file:\n%s", name, got)
		}
	}
}

func TestExitCode(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errBreached, 1},
		{usageErrorf("x"), 2},
		{errInconclusive, 3},
		{fmt.Errorf("record: %w", collector.ErrTarget), 4},
		{errors.New("never heard of"), 4},
		{&fs.PathError{Op: "open", Path: "/proc/1/mem", Err: fs.ErrPermission}, 4},
		{&fs.PathError{Op: "open", Path: "/tmp/x", Err: fs.ErrNotExist}, 5},
		{fmt.Errorf("read: %w", trace.ErrNotTrace), 5},
		{fmt.Errorf("record: %w", collector.ErrOutput), 5},
		{&commandError{42}, 42},
		{errors.Join(&commandError{42}, errBreached), 42},
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("%v: exit %d, want %d", c.err, got, c.want)
		}
	}
}

// TestHelp: every command that shows itself says what it does, and how.
func TestHelp(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		if !cmd.Hidden && (cmd.Short == "" || cmd.Long == "" || !strings.Contains(cmd.Example, "gilscope")) {
			t.Errorf("%s lacks Short, Long or an Example", cmd.CommandPath())
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(newRoot())
}

// TestComplainIsHarmless: an error may quote a target.
func TestComplainIsHarmless(t *testing.T) {
	var out bytes.Buffer
	complain(&out, errors.New("thread \x1b[31m\u202e\nsecond"))
	if got := out.String(); got != "gilscope: thread \\x1b[31m\\u202e\nsecond\n" {
		t.Errorf("%q", got)
	}
}
