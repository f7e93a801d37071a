package testpy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// whoami prints what a test must be able to rely on, whatever the interpreter;
// argv[1] is a folder that exists outside, argv[2] a file that cannot be made.
const whoami = `
import json, os, platform, sys
gil = getattr(sys, "_is_gil_enabled", lambda: True)()
try:
    open(sys.argv[2], "x").close()
    kept = True
except OSError:
    kept = False
print("ready")
print(json.dumps({"pid": os.getpid(), "version": platform.python_version(), "gil": gil, "cwd": os.getcwd(),
    "files": sorted(os.listdir(sys.argv[1])), "kept": kept}))
print(sys.stdin.readline().strip())
`

type answer struct {
	PID     int
	Version string
	GIL     bool
	Cwd     string
	Files   []string
	Kept    bool
}

// TestInterpreters: each one starts as the very process that was started, is
// what the matrix says, and sees the tests' files under their names. In CI,
// none is missing.
func TestInterpreters(t *testing.T) {
	cwd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range known(t) {
		t.Run(i.Name, func(t *testing.T) {
			dir := t.TempDir()
			script := filepath.Join(dir, "whoami.py")
			if err := os.WriteFile(script, []byte(whoami), 0o600); err != nil {
				t.Fatal(err)
			}
			want := answer{Version: i.Version, GIL: i.GIL, Cwd: cwd, Files: []string{"whoami.py"}}
			// An interpreter that has its own root must not write into the tree; the others could.
			forbidden := filepath.Join(dir, "missing", "x")
			if i.Root != "" {
				forbidden = filepath.Join(Tree(), "written-by-"+i.Name)
			}
			checkAnswer(t, StartScript(t, i, script, dir, forbidden), want)
			checkAnswer(t, Start(t, i, whoami, dir, forbidden), want)
		})
	}
}

func checkAnswer(t *testing.T, p *Proc, want answer) {
	t.Helper()
	var got answer
	if err := json.Unmarshal([]byte(p.Line(t)), &got); err != nil {
		t.Fatal(err)
	}
	want.PID = p.PID
	if got.PID != want.PID || got.Version != want.Version || got.GIL != want.GIL || got.Cwd != want.Cwd || got.Kept ||
		!slices.Equal(got.Files, want.Files) {
		t.Errorf("the process says %+v, want %+v", got, want)
	}
	p.Send(t, "over")
	if line := p.Line(t); line != "over" {
		t.Errorf("stdin gave %q", line)
	}
	if err := p.Stop(); err != nil {
		t.Errorf("ended with %v", err)
	}
}

func TestGunicorn(t *testing.T) {
	for _, i := range where(All(t), func(i Interpreter) bool { return !i.FreeThreaded }) {
		i.Env = append(i.Env[:len(i.Env):len(i.Env)], "PYTHONPATH="+Gunicorn(t))
		out, err := i.Command("-c", "import gunicorn.arbiter, gunicorn.workers.gthread; print(gunicorn.__version__)").CombinedOutput()
		if want := GunicornVersion + "\n"; err != nil || string(out) != want {
			t.Errorf("%s: gunicorn says %q, error %v; want %q", i.Name, out, err, want)
		}
	}
}

// TestGroups: what a test asks for by group is disjoint and what it says.
func TestGroups(t *testing.T) {
	for _, i := range All(t) {
		if i.Minor < 8 || !i.GIL {
			t.Errorf("All has %s", i.Name)
		}
	}
	for _, i := range FreeThreaded(t) {
		if i.GIL || !i.FreeThreaded {
			t.Errorf("FreeThreaded has %s", i.Name)
		}
	}
	for _, i := range Unsupported(t) {
		if i.Minor >= 8 {
			t.Errorf("Unsupported has %s", i.Name)
		}
	}
}

// fakeDir is a folder like Dir, with files that look like interpreters.
func fakeDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"3.10.16/bin/python3.10":                 "",
		"3.10.16/bin/python3.10-config":          "",
		"3.14.6/bin/python3.14":                  "",
		".3.9.1.tmp123/bin/python3.9":            "",
		"debian-3.14/usr/bin/python3.14":         "",
		"debian-3.14/packages":                   "libc6_2.43-7_amd64.deb\npython3.14-minimal_3.14.10-1_amd64.deb\n",
		"debian-3.15/usr/bin/python3.15":         "",
		"debian-3.15/packages":                   "python3.15-minimal_3.15.0~rc2-1_amd64.deb\n",
		"debian-3.16/usr/bin/python3.16":         "",
		"embedded-3.12.1/tallyhost":              "",
		"3.13t/bin/python3.13t":                  "",
		"3.13t/include/python3.13t/patchlevel.h": "#define PY_MAJOR_VERSION 3\n#define PY_VERSION      \t\"3.13.15\"\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFind(t *testing.T) {
	dir := fakeDir(t)
	t.Setenv("GILSCOPE_PYTHONS", dir)
	t.Setenv("HOME", dir)
	var names []string
	all := find()
	for _, i := range all {
		names = append(names, i.Name)
	}
	want := []string{"standalone-3.10.16", "standalone-3.14.6", "embedded-3.12.1", "freethreaded-3.13.15", "freethreaded-gil-3.13.15"}
	if os.Geteuid() == 0 {
		want = slices.Insert(want, 2, "debian-3.14.10", "debian-3.15.0")
	}
	if i := slices.IndexFunc(all, func(i Interpreter) bool { return i.Path == "/usr/bin/python3.11" }); i >= 0 {
		names = slices.Delete(names, i, i+1)
	}
	if !slices.Equal(names, want) {
		t.Errorf("found %q, want %q", names, want)
	}
	for _, test := range []struct{ name, want string }{
		{"3.14", "standalone-3.14.6"},
		{"3.14.10", ""}, // in a root of its own: by name only
		{"3.15", ""},
		{"3.1", ""},
		{"3.13", ""}, // without a GIL: by name only
		{"3.13.15", ""},
		{"freethreaded", "freethreaded-3.13.15"},
		{"freethreaded-gil-3.13", "freethreaded-gil-3.13.15"},
		{"embedded-3", "embedded-3.12.1"},
		{"embedded-3.1", ""},
		{"3.12", "embedded-3.12.1"},
		{"standalone-3.14.6", "standalone-3.14.6"},
		{"standalone-3.14.6.1", ""},
	} {
		if i, _ := lookup(all, test.name); i.Name != test.want {
			t.Errorf("%q gives %q, want %q", test.name, i.Name, test.want)
		}
	}
}

func TestMissingRows(t *testing.T) {
	var all []Interpreter
	for _, row := range Matrix[1:] {
		i := slices.IndexFunc([]byte(row.Name), func(c byte) bool { return c == '3' })
		all = append(all, Interpreter{Kind: row.Name[:i-1], Version: row.Name[i:]})
	}
	got := missingRows(all)
	if want := []string{"pyenv-3.6: run 'pyenv install 3.6'"}; !slices.Equal(got, want) {
		t.Errorf("missing %q, want %q", got, want)
	}
}
