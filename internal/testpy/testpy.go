// Package testpy owns the Python interpreters of the tests: the matrix of those
// that must be tested, where they lie, how each is started, and the talk with
// the scripts that run in them. It is imported by tests only.
package testpy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Kinds of interpreters: who built them, or what they are part of.
const (
	Pyenv           = "pyenv"            // libpython.so, with symbols
	Debian          = "debian"           // static, stripped, LTO
	Standalone      = "standalone"       // python-build-standalone, as uv installs it
	Embedded        = "embedded"         // libpython.so in a program of another name
	FreeThreadedOff = "freethreaded"     // --disable-gil, static, with symbols
	FreeThreadedGIL = "freethreaded-gil" // the same build with its GIL on
)

// oldest is the minor version of the oldest Python that gilscope supports.
const oldest = 8

// Interpreter is one Python to test with.
type Interpreter struct {
	Name    string // "pyenv-3.11.7", "debian-3.14.10", "embedded-3.12.1", ...: kind and version
	Kind    string // Pyenv, Debian, ...
	Path    string // of the executable, in the root of the machine
	Version string // "3.11.7"
	Minor   int    // 11

	Root         string   // root folder that it must run in (chroot), or empty
	Env          []string // variables that it needs, beside those of the test
	FreeThreaded bool     // the build
	GIL          bool     // whether it runs with one
	Shared       bool     // the interpreter is in a libpython.so, not in the executable
	Stripped     bool     // what holds it has no symbol table
}

// freeThreadedSupported: FLIP THIS once cpython.Open takes free-threaded
// builds; All then returns the free-threaded build with its GIL on, too.
const freeThreadedSupported = true

// supported says whether gilscope should be able to observe i.
func supported(i Interpreter) bool {
	return i.Minor >= oldest && (freeThreadedSupported || !i.FreeThreaded)
}

// Command prepares to run the interpreter with args, as its process: no shell
// and no launcher stays between. Its Args are a command line that works from
// elsewhere too (but for Env). Those with a Root need root.
func (i Interpreter) Command(args ...string) *exec.Cmd {
	cmd := exec.Command(i.Path, args...)
	if i.Root != "" {
		cmd = enterRoot(i.Root, strings.TrimPrefix(i.Path, i.Root), args)
	}
	if len(i.Env) > 0 {
		cmd.Env = append(os.Environ(), i.Env...)
	}
	return cmd
}

// interpreters finds those of this machine, once.
var interpreters = sync.OnceValue(find)

// minInterpreters is how many different ones a test run must have: what
// `make pythons` gets on any machine. In CI it must have the whole Matrix.
const minInterpreters = 3

// known returns all interpreters of this machine, also those that gilscope does
// not support. In CI it fails the test if a row of the Matrix is missing.
func known(t testing.TB) []Interpreter {
	t.Helper()
	all := interpreters()
	if os.Getenv("CI") != "" {
		if missing := missingRows(all); len(missing) > 0 {
			t.Fatalf("CI needs every Python of testpy.Matrix, as root; missing:\n\t%s", strings.Join(missing, "\n\t"))
		}
	}
	return all
}

// where returns the interpreters for which ok holds.
func where(all []Interpreter, ok func(Interpreter) bool) []Interpreter {
	var some []Interpreter
	for _, i := range all {
		if ok(i) {
			some = append(some, i)
		}
	}
	return some
}

// All returns the supported interpreters of this machine that run with a GIL;
// with too few the test fails: it would prove too little. In CI these are all of
// the Matrix.
func All(t testing.TB) []Interpreter {
	t.Helper()
	all := where(known(t), func(i Interpreter) bool { return supported(i) && i.GIL })
	if len(all) < minInterpreters {
		t.Fatalf("found %d Python interpreters, the tests need %d: run 'make pythons'", len(all), minInterpreters)
	}
	return all
}

// FreeThreaded returns the interpreters that run without a GIL. Outside CI
// there may be none.
func FreeThreaded(t testing.TB) []Interpreter {
	t.Helper()
	return where(known(t), func(i Interpreter) bool { return !i.GIL })
}

// Unsupported returns interpreters that are too old for gilscope. Outside CI
// there may be none.
func Unsupported(t testing.TB) []Interpreter {
	t.Helper()
	return where(known(t), func(i Interpreter) bool { return i.Minor < oldest })
}

// Some returns those of the named interpreters that this machine has. In CI it
// must have all of them; elsewhere one that everybody has stands in for none.
func Some(t testing.TB, versions ...string) []Interpreter {
	t.Helper()
	var some []Interpreter
	for _, v := range versions {
		if i, ok := lookup(known(t), v); ok {
			some = append(some, i)
		} else if os.Getenv("CI") != "" {
			t.Fatalf("CI needs Python %s, which testpy.Matrix does not name: add it there, or use its whole name", v)
		}
	}
	if len(some) == 0 {
		some = All(t)[:1]
	}
	return some
}

// One is Some for a single interpreter.
func One(t testing.TB, version string) Interpreter {
	t.Helper()
	return Some(t, version)[0]
}

// Need returns the interpreter of that name or version ("3.8", "3.10.16",
// "debian-3.11", "freethreaded-gil"); the first one found, pyenv before others.
// A version alone never means one that is unlike others: in a root of its own,
// free-threaded, or not supported.
func Need(t testing.TB, version string) Interpreter {
	t.Helper()
	if i, ok := lookup(known(t), version); ok {
		return i
	}
	t.Fatalf("the test needs Python %s: run 'make pythons'", version)
	return Interpreter{}
}

func lookup(all []Interpreter, name string) (Interpreter, bool) {
	for _, i := range all {
		plain := supported(i) && !i.FreeThreaded && i.Root == ""
		if i.named(name) || plain && (i.Version == name || strings.HasPrefix(i.Version, name+".")) {
			return i, true
		}
	}
	return Interpreter{}, false
}

// named says whether name is i's kind, alone or with as much of its version as
// one cares for.
func (i Interpreter) named(name string) bool {
	version, ok := strings.CutPrefix(name, i.Kind)
	return ok && (version == "" || strings.HasPrefix("-"+i.Version+".", version+"."))
}

// GunicornVersion is the one that `make pythons` gets. It runs on every
// supported interpreter but the free-threaded build, which is made without ssl.
const GunicornVersion = "23.0.0"

// Gunicorn returns the folder with gunicorn, for PYTHONPATH.
func Gunicorn(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(Dir(), "gunicorn-"+GunicornVersion)
	if _, err := os.Stat(filepath.Join(dir, "gunicorn")); err != nil {
		t.Fatalf("the test needs gunicorn: %v: run 'make pythons'", err)
	}
	return dir
}
