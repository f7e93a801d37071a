package livetest

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"gilscope/internal/testpy"
	"gilscope/internal/trace"
)

// movable copies an interpreter that finds its library beside itself; the
// standard library stays where it is. It returns the path of the library, too.
func movable(t testing.TB) (testpy.Interpreter, string) {
	t.Helper()
	in := testpy.Need(t, "standalone-3.11.11")
	from, to := filepath.Dir(filepath.Dir(in.Path)), t.TempDir()
	for _, dir := range []string{"bin", "lib"} {
		if err := os.Mkdir(filepath.Join(to, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	library := filepath.Join("lib", "libpython3.11.so.1.0")
	copyFile(t, in.Path, filepath.Join(to, "bin", "python3.11"))
	copyFile(t, filepath.Join(from, library), filepath.Join(to, library))
	if err := os.Symlink(filepath.Join(from, "lib", "python3.11"), filepath.Join(to, "lib", "python3.11")); err != nil {
		t.Fatal(err)
	}
	in.Path = filepath.Join(to, "bin", "python3.11")
	return in, filepath.Join(to, library)
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// An upgrade puts a new file in the place of a library, or first removes it;
// what has the old one mapped goes on with it.
var replacements = map[string]func(t testing.TB, library string){
	"replaced": func(t testing.TB, library string) {
		copyFile(t, library, library+".new")
		if err := os.Rename(library+".new", library); err != nil {
			t.Fatal(err)
		}
	},
	"deleted": func(t testing.TB, library string) {
		if err := os.Remove(library); err != nil {
			t.Fatal(err)
		}
	},
	"replaced by nonsense": func(t testing.TB, library string) {
		if err := os.Remove(library); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(library, []byte("no library"), 0o644); err != nil {
			t.Fatal(err)
		}
	},
}

// TestReplacedLibrary: the interpreter that runs is what is recorded, not what lies in its place by now.
func TestReplacedLibrary(t *testing.T) {
	for how, replace := range replacements {
		for _, w := range []way{{"waits", "futex"}, {"full", "take_gil"}} {
			t.Run(fmt.Sprint(how, "/", w), steady(func(t testing.TB) { recordReplaced(t, replace, w) }))
		}
	}
}

func recordReplaced(t testing.TB, replace func(testing.TB, string), w way) {
	in, library := movable(t)
	script, err := filepath.Abs(filepath.Join("..", "testdata", "truth", "convoy.py"))
	if err != nil {
		t.Fatal(err)
	}
	p := testpy.StartScript(t, in, script)
	replace(t, library)
	r := startRecord(t, "-p", fmt.Sprint(p.PID), "-d", "500ms", "--detail", w.detail, "--gil-backend", w.backend, "--follow")
	r.wait(t)
	truth := truthOf(t, p, "convoy.py")
	rec := open(t, r, truth)
	checkShortRun(t, rec)
	checkShortBlame(t, rec, int32(p.PID))
	if w.detail != "full" {
		return
	}
	checkProcessCounts(t, rec, int32(p.PID))
	if n := note(t, rec.trace, trace.NoteGIL); n["takes"] < 100 {
		t.Errorf("%d takes in half a second", n["takes"])
	}
}
