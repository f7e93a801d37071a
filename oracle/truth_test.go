package oracle

import (
	"bufio"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

func TestParseTruthRefuses(t *testing.T) {
	for name, line := range map[string]string{"not JSON": "ready", "another schema": `{"schema":"x"}`, "empty": ""} {
		if _, err := ParseTruth([]byte(line)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestClip(t *testing.T) {
	all := []Interval{{0, 10}, {20, 30}, {40, 50}}
	for _, c := range []struct {
		from, to, total int64
		count           int
	}{{0, 100, 30, 3}, {5, 45, 20, 3}, {10, 20, 0, 0}, {22, 24, 2, 1}, {60, 50, 0, 0}} {
		if total, count := Clip(all, c.from, c.to); total != c.total || count != c.count {
			t.Errorf("Clip(%d, %d) = %d, %d; want %d, %d", c.from, c.to, total, count, c.total, c.count)
		}
	}
}

// untilStdinEnds are the programs that have no limit of their own, with what they need said.
var untilStdinEnds = map[string][]string{"interpreters.py": {"own", "0"}}

// truthRun runs a truth program with python3 to its end, and returns its truth.
func truthRun(t *testing.T, program string) *Truth {
	t.Helper()
	args, told := untilStdinEnds[program]
	if !told {
		args = []string{"0.5"}
	}
	path := filepath.Join("..", "testdata", "truth", program)
	cmd := exec.CommandContext(t.Context(), "python3", append([]string{path}, args...)...)
	stdin, err := cmd.StdinPipe() // held open: the others end by their own limit of 0.5 s
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 64<<20)
	if !lines.Scan() || lines.Text() != "ready" {
		t.Fatalf("%s: first line %q, want ready", program, lines.Text())
	}
	if told {
		stdin.Close()
	}
	var last []byte
	for lines.Scan() {
		last = slices.Clone(lines.Bytes())
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%s: %v", program, err)
	}
	truth, err := ParseTruth(last)
	if err != nil {
		t.Fatal(err)
	}
	return truth
}

func (t *Truth) role(role string) *TruthThread {
	for _, thread := range t.Threads {
		if thread.Role == role {
			return thread
		}
	}
	return nil
}

func TestTruthPrograms(t *testing.T) {
	programs, err := filepath.Glob(filepath.Join("..", "testdata", "truth", "*.py"))
	if err != nil || len(programs) < 11 {
		t.Fatalf("%d truth programs (%v), want 10 and gilclock.py", len(programs), err)
	}
	for _, path := range programs {
		program := filepath.Base(path)
		if program == "gilclock.py" {
			continue
		}
		t.Run(program, func(t *testing.T) {
			truth := truthRun(t, program)
			if truth.Program != program || truth.PID == 0 || truth.IntervalNS != 5_000_000 || len(truth.Threads) == 0 {
				t.Errorf("head of the truth: %q pid %d interval %d, %d threads",
					truth.Program, truth.PID, truth.IntervalNS, len(truth.Threads))
			}
			checkIntervals(t, truth)
			checkExpectations(t, truth)
		})
	}
}

func checkIntervals(t *testing.T, truth *Truth) {
	t.Helper()
	for tid, thread := range truth.Threads {
		lists := [][]Interval{thread.Waits, thread.Holds}
		for _, calls := range thread.Calls {
			lists = append(lists, calls)
		}
		for _, list := range lists {
			for i, span := range list {
				if span[1] < span[0] || i > 0 && span[0] < list[i-1][1] {
					t.Fatalf("thread %d %s: interval %d %v overlaps or runs backwards", tid, thread.Role, i, span)
				}
			}
		}
		if truth.Program == "single.py" && len(thread.Waits) != 0 {
			t.Errorf("waits in a single-threaded program: %v", thread.Waits)
		}
	}
}

func checkExpectations(t *testing.T, truth *Truth) {
	t.Helper()
	for _, e := range truth.Expect {
		if truth.role(e.WaiterRole) == nil || truth.role(e.HolderRole) == nil {
			t.Errorf("expectation names a role without a thread: %+v", e)
		}
		if e.Function == "" || !filepath.IsAbs(e.File) || e.Line[0] < 1 || e.Line[1] <= e.Line[0] {
			t.Errorf("expectation without a place: %+v", e)
		}
	}
}

// The convoy's theory: behind one CPU-bound thread a sleep ends with a wait of at least one switch interval, 5 ms. There
// is no upper bound to test: on a busy machine the holder itself has to wait for a CPU.
func TestTruthOfTheConvoy(t *testing.T) {
	var lengths []int64
	for _, wait := range truthRun(t, "convoy.py").role("io").Waits {
		lengths = append(lengths, wait[1]-wait[0])
	}
	if len(lengths) == 0 {
		t.Fatal("no wait in 0.5 s")
	}
	slices.Sort(lengths)
	if median := lengths[len(lengths)/2]; median < 4_900_000 {
		t.Errorf("median wait of the sleeper %d ns in %d waits, want at least 5 ms", median, len(lengths))
	}
}
