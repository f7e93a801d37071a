package cpython

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"gilscope/internal/testpy"
)

// program has a function that only .symtab names; with an argument it sleeps there.
const program = `
#include <unistd.h>
static __attribute__((noinline)) int hidden_function(int n) { return n > 1 ? pause() * n : n; }
int main(int argc, char **argv) { return hidden_function(argc) + 1; }
`

// run runs a tool of the compiler's package.
func run(t testing.TB, tool string, args ...string) {
	t.Helper()
	cmd := exec.Command(tool, args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s\nprovide it: apt-get install gcc libc6-dev", cmd, err, out)
	}
}

// build makes a stripped program below root and its symbol file elsewhere, and
// returns the paths of both. The program names its symbol file "program.debug".
func build(t testing.TB, root string, flags ...string) (stripped, debug string) {
	t.Helper()
	dir := t.TempDir()
	source := filepath.Join(dir, "program.c")
	stripped, debug = filepath.Join(root, "opt/program"), filepath.Join(dir, "program.debug")
	if err := os.WriteFile(source, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(stripped), 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, "gcc", append([]string{"-O1", "-o", stripped, source}, flags...)...)
	run(t, "objcopy", "--only-keep-debug", stripped, debug)
	run(t, "objcopy", "--strip-all", "--add-gnu-debuglink="+debug, stripped)
	return stripped, debug
}

// imageOf reads the headers of a file.
func imageOf(t testing.TB, path string) *image {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	img, err := parseImage(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// TestSymbolFile puts the symbol file of a program where one may be, and what is
// no symbol file of it where it must not be taken.
func TestSymbolFile(t *testing.T) {
	root := t.TempDir()
	stripped, debug := build(t, root, "-Wl,--build-id")
	unnamed, unnamedDebug := build(t, t.TempDir(), "-Wl,--build-id=none")
	_, other := build(t, t.TempDir(), "-Wl,--build-id", "-DOTHER", "-O0")
	id := imageOf(t, stripped).buildID()
	byID := "usr/lib/debug/.build-id/" + id[:2] + "/" + id[2:] + ".debug"
	tests := []struct {
		name     string
		of, file string // the stripped program, what is put
		where    string
		put      func(from, to string) error
		want     bool
	}{
		{"by build id", stripped, debug, byID, copyFile, true},
		{"by build id, through a link", stripped, debug, byID, linkInside(root), true},
		{"a link out of the root", stripped, debug, byID, os.Symlink, false},
		{"same directory", stripped, debug, "opt/program.debug", copyFile, true},
		{".debug", stripped, debug, "opt/.debug/program.debug", copyFile, true},
		{"debug directory", stripped, debug, "usr/lib/debug/opt/program.debug", copyFile, true},
		{"another place", stripped, debug, "program.debug", copyFile, false},
		{"another program's", stripped, other, "opt/program.debug", copyFile, false},
		{"the program itself", stripped, stripped, "opt/program.debug", copyFile, false},
		{"a FIFO", stripped, debug, "opt/program.debug", fifo, false},
		{"a directory", stripped, debug, "opt/program.debug", directory, false},
		{"an empty file", stripped, os.DevNull, "opt/program.debug", copyFile, false},
		{"by checksum", unnamed, unnamedDebug, "opt/program.debug", copyFile, true},
		{"wrong checksum", unnamed, unnamedDebug, "opt/program.debug", copyLonger, false},
	}
	for _, test := range tests {
		to := filepath.Join(root, test.where)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := test.put(test.file, to); err != nil {
			t.Fatal(err)
		}
		f, img := findSymbolFile(imageOf(t, test.of), "/opt/program", root)
		if (f != nil) != test.want || f != nil && !names(t, img, "hidden_function") {
			t.Errorf("%s: found %v, want %v", test.name, f != nil, test.want)
		}
		if f != nil {
			f.Close()
		}
		if err := os.RemoveAll(to); err != nil {
			t.Fatal(err)
		}
	}
}

func names(t testing.TB, img *image, function string) bool {
	t.Helper()
	m := &module{img: img}
	_, ok := m.functions().find(function)
	return ok
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o600)
}

func copyLonger(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, append(b, 0), 0o600)
}

// linkInside puts the file into the root and an absolute link to it: what counts
// is the root of the process.
func linkInside(root string) func(from, to string) error {
	return func(from, to string) error {
		if err := copyFile(from, filepath.Join(root, "real.debug")); err != nil {
			return err
		}
		return os.Symlink("/real.debug", to)
	}
}

func fifo(_, to string) error      { return syscall.Mkfifo(to, 0o600) }
func directory(_, to string) error { return os.Mkdir(to, 0o700) }

// TestDebugLink: names that lead elsewhere are refused.
func TestDebugLink(t *testing.T) {
	if link, ok := tinyModule(t, tinyELF()).img.debugLink(); !ok || link != (debugLink{"tiny.debug", 0x12345678}) {
		t.Errorf("link %+v, %v", link, ok)
	}
	for _, name := range []string{"", ".", "..", "../x", "/etc/pass", "a/b", "fifteen letters", "no end at all !!"} {
		raw := tinyELF()
		copy(raw[tinyLink:tinyLink+16], name+strings.Repeat("\x00", 16-len(name)))
		if link, ok := tinyModule(t, raw).img.debugLink(); ok {
			t.Errorf("link %q was taken as %+v", name, link)
		}
	}
}

// asleep has a key function that sleeps in C while list.sort or re.sub waits for it.
const asleep = `
import ctypes, re, sys
usleep = ctypes.PyDLL(None).usleep
print("ready")
if sys.argv[1] == "sort":
    [1, 2].sort(key=lambda x: usleep(30000000))
else:
    re.sub("a", lambda m: usleep(30000000), "a")
`

// TestDebianSymbols: with python3.11-dbg installed, static functions of the
// stripped interpreter have names; without it they have none, nor wrong ones.
func TestDebianSymbols(t *testing.T) {
	const clockNanosleep = "230"
	for _, in := range testpy.Some(t, "debian-3.11.2") {
		for kind, want := range map[string]string{"sort": "list_sort_impl", "sub": "pattern_subx"} {
			p := open(t, testpy.Start(t, in, asleep, kind).PID)
			pc, sp := blockedAt(t, p.PID, clockNanosleep)
			var chain []string
			for _, ret := range p.Callers(pc, sp, readStack(t, p, sp)) {
				chain = append(chain, p.Symbolize(ret-1).Function)
			}
			c, err := p.runtimeModule()
			if err != nil {
				t.Fatal(err)
			}
			if named := c.mod.named(); slices.Contains(chain, want) != named {
				t.Errorf("%s: stack %q, symbols installed: %v", in.Name, chain, named)
			}
			t.Logf("%s, symbols of %s: %v: %q", in.Name, p.Build.Path, c.mod.tables != nil, chain)
		}
	}
}
