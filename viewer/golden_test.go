package viewer

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"gilscope/analyze"
	"gilscope/internal/trace"
)

var update = flag.Bool("update", false, "write the golden files anew")

// load reads a text trace of testdata.
func load(t testing.TB, name string) *trace.Trace {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".trace"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tr, err := trace.ParseText(f)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// forms are all that is made from a trace, by the ending of the golden file.
var forms = map[string]func(io.Writer, *analyze.Timeline) error{
	"txt":             func(w io.Writer, tl *analyze.Timeline) error { return Text(w, tl.Report(), 10) },
	"json":            func(w io.Writer, tl *analyze.Timeline) error { return JSON(w, tl.Report()) },
	"md":              func(w io.Writer, tl *analyze.Timeline) error { return Markdown(w, tl.Report(), 10) },
	"wait.collapsed":  func(w io.Writer, tl *analyze.Timeline) error { return ProfileTypes[0].Collapsed(w, tl) },
	"blame.collapsed": func(w io.Writer, tl *analyze.Timeline) error { return ProfileTypes[1].Collapsed(w, tl) },
	"check":           func(w io.Writer, tl *analyze.Timeline) error { return CheckText(w, outcomes(tl)) },
	"junit":           func(w io.Writer, tl *analyze.Timeline) error { return JUnit(w, outcomes(tl)) },
	"github":          func(w io.Writer, tl *analyze.Timeline) error { return GitHub(w, outcomes(tl)) },
	"check.json":      func(w io.Writer, tl *analyze.Timeline) error { return CheckJSON(w, outcomes(tl)) },
}

func outcomes(tl *analyze.Timeline) Outcomes {
	out := Outcomes{Trace: "dir/run\x1b[1m.pftrace"}
	r := tl.Report()
	for _, s := range []string{"gil.wait.p99<5ms", "gil.wait.max<=1ms", "gil.wait.share<50%", "gil.hold.max<10ms", "recording.lost<=0"} {
		b, err := analyze.ParseBudget(s)
		if err != nil {
			panic(err) // a test's own constant
		}
		out.List = append(out.List, b.Check(r))
	}
	return out
}

func TestGolden(t *testing.T) {
	for _, name := range []string{"hog", "convoy", "full", "quiet", "hostile", "family", "nogil", "loops", "executors", "locks", "freethreaded", "scaling", "threads"} {
		tl := analyze.Build(load(t, name))
		for ending, form := range forms {
			t.Run(name+"."+ending, func(t *testing.T) {
				var got bytes.Buffer
				if err := form(&got, tl); err != nil {
					t.Fatal(err)
				}
				harmless(t, got.Bytes())
				compare(t, filepath.Join("testdata", name+"."+ending), got.Bytes())
			})
		}
	}
}

// TestLockProfile: what threads waited for that others hold, and nothing else.
func TestLockProfile(t *testing.T) {
	p, err := ProfileNamed("lock_wait")
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := p.Collapsed(&got, analyze.Build(load(t, "locks"))); err != nil {
		t.Fatal(err)
	}
	compare(t, filepath.Join("testdata", "locks.lock.collapsed"), got.Bytes())
}

func compare(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; write it with: go test ./viewer -update", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (write it anew with -update):\n%s", path, got)
	}
}

// harmless: nothing in an output but printable characters and our own line ends.
func harmless(t *testing.T, out []byte) {
	t.Helper()
	if !utf8.Valid(out) {
		t.Error("not UTF-8")
	}
	for _, r := range string(out) {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Errorf("character %U in the output", r)
		}
	}
}

// TestTextFits: the report is readable in 100 columns.
func TestTextFits(t *testing.T) {
	for _, name := range []string{"hog", "convoy", "full", "hostile", "family", "nogil", "loops", "executors", "locks", "freethreaded", "scaling", "threads"} {
		var out bytes.Buffer
		if err := Text(&out, analyze.Analyze(load(t, name)), 10); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			if n := utf8.RuneCountInString(line) - 1; n > width {
				t.Errorf("%s: %d columns: %s", name, n, line)
			}
		}
	}
}

// TestTop: a table that is cut says what it leaves out.
func TestTop(t *testing.T) {
	var out bytes.Buffer
	if err := Text(&out, analyze.Analyze(load(t, "full")), 1); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"in 1 more row\n", "and 2 more threads\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
}

func FuzzSafe(f *testing.F) {
	for _, s := range []string{"plain", "\x1b[31m", "a\nb", "\u202e", "\x9b", "\xff\xfe", "\u2028\U000e0001", "é漢"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Safe(s)
		for _, r := range got {
			if r != ' ' && !unicode.IsPrint(r) {
				t.Fatalf("%q lets %U through", s, r)
			}
		}
		if !utf8.ValidString(got) || Safe(got) != got {
			t.Fatalf("%q became %q", s, got)
		}
		if line := markdown(s); strings.ContainsAny(line, "\n<") || strings.Contains(strings.ReplaceAll(line, `\\`, ""), " |") {
			t.Fatalf("%q became %q in Markdown", s, line)
		}
	})
}
