package livetest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gilscope/analyze"
	"gilscope/internal/testpy"
)

// threadProgram runs a program of testdata/threads, recorded from its start, and returns
// its report and the text of it.
func threadProgram(t testing.TB, in testpy.Interpreter, program ...string) (*analyze.Report, string) {
	t.Helper()
	script, err := filepath.Abs(filepath.Join("..", "testdata", "threads", program[0]))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "t.pftrace")
	env := append(append(os.Environ(), in.Env...), "PYTHONPATH="+testpy.ThreadPackages(t, in))
	args := append([]string{"record", "-o", path, "--", in.Path, script}, program[1:]...)
	run(t, args, func(cmd *exec.Cmd) { cmd.Env = env }).wants(t, 0, "wall_ns")
	text := run(t, []string{"report", path})
	text.wants(t, 0)
	return analyze.Analyze(readTrace(t, path)), text.stdout
}

// at says whether a line is in a function of a file.
func at(site *analyze.SiteRow, file, function string) bool {
	return site != nil && site.File != nil && filepath.Base(*site.File) == file && site.Function != nil && short(*site.Function) == function
}

// gilWait is how long all threads waited for the GIL, and the part of it for the line of
// the program that was waited for most.
func gilWait(r *analyze.Report) (ns int64, most analyze.LineTime) {
	for i := range r.GIL {
		ns += r.GIL[i].WaitNS
		if lines := r.GIL[i].ProgramLines; len(lines) > 0 && lines[0].NS > most.NS {
			most = lines[0]
		}
	}
	return ns, most
}

// site starts pages.py and returns its address.
func site(t testing.TB, pages int) string {
	t.Helper()
	script, err := filepath.Abs(filepath.Join("..", "testdata", "threads", "pages.py"))
	if err != nil {
		t.Fatal(err)
	}
	return testpy.StartScript(t, testpy.One(t, "3.12"), script, fmt.Sprint(pages)).Line(t)
}

// TestCrawler: what keeps a crawler with eight threads is its own line that parses, which calls
// libraries, and not the network.
func TestCrawler(t *testing.T) {
	steady(func(t testing.TB) {
		r, text := threadProgram(t, testpy.Need(t, "pyenv-3.13"), "crawler.py", site(t, 60), "8")
		waited, most := gilWait(r)
		if !at(most.Site, "crawler.py", "parse") || most.NS*2 < waited || waited < r.Scaling.OnCPUNS {
			t.Errorf("threads waited %d ns for the GIL, %d of that for %+v\n%s", waited, most.NS, most.Site, text)
		}
		// Where the site has too little CPU to answer, the threads wait for it, too, and do not count as CPU-bound.
		other := slices.ContainsFunc(r.Findings, func(f analyze.Finding) bool {
			return f.Rule == "gil.cpu_threads" && !at(f.Site, "crawler.py", "parse")
		})
		if other || !strings.Contains(strings.Join(strings.Fields(text), " "), "was for parse (threads/crawler.py:") {
			t.Errorf("the finding, or the headline, does not name the line that parses\n%s", text)
		}
	})(t)
}

// TestCrawlerFreeThreaded: without a GIL nobody waits for it. The garbage collector stops the world now, and what
// computes at once is the line that parses.
func TestCrawlerFreeThreaded(t *testing.T) {
	steady(func(t testing.TB) {
		r, text := threadProgram(t, testpy.One(t, "freethreaded-3.13"), "crawler.py", site(t, 60), "8")
		if waited, _ := gilWait(r); waited != 0 {
			t.Errorf("%d ns waited for a GIL that is off", waited)
		}
		if !slices.ContainsFunc(r.StopTheWorld, func(w analyze.WorldRow) bool { return w.Reason == "gc" && w.Pauses > 0 }) {
			t.Errorf("the garbage collector stopped nobody\n%s", text)
		}
		if s := r.Scaling.Together; s == nil || len(s.Lines) == 0 || !at(s.Lines[0].Site, "crawler.py", "parse") {
			t.Errorf("what ran at once: %+v\n%s", s, text)
		}
	})(t)
}

// TestNumpy: numpy gives the GIL back for large arrays of numbers, and neither for small ones nor for objects.
func TestNumpy(t *testing.T) {
	for kind, units := range map[string]string{"large": "120", "small": "100", "objects": "300"} {
		t.Run(kind, steady(func(t testing.TB) {
			r, text := threadProgram(t, testpy.Need(t, "pyenv-3.13"), "arrays.py", kind, units, "2")
			waited, most := gilWait(r)
			if kind == "large" {
				if waited*20 > r.Scaling.OnCPUNS {
					t.Errorf("%d ns waited for the GIL by threads that compute without it\n%s", waited, text)
				}
				return
			}
			if waited*4 < r.Scaling.OnCPUNS || !at(most.Site, "arrays.py", kind) || most.NS*3 < waited { // small has two such lines
				t.Errorf("%d ns waited for the GIL, %d of that for %+v\n%s", waited, most.NS, most.Site, text)
			}
		}))
	}
}
