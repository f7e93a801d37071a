package livetest

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gilscope/analyze"
	"gilscope/internal/testpy"
	"gilscope/internal/trace"
)

// lockTruth is what a program of testdata/locks measured of its waits.
type lockTruth struct {
	Threads map[string][]lockTimed `json:"threads"`
	Holders []lockBody             `json:"holders"`
	Held    map[string][]lockHold  `json:"held"` // by thread: from when to when it had the lock
}

// lockBody is a function that gives locks back.
type lockBody struct {
	Function string `json:"function"`
	Line     []int  `json:"line"`
}

// has says whether a line is in the function.
func (b lockBody) has(s *analyze.SiteRow) bool {
	return s != nil && s.Function != nil && s.Line != nil && b.Function == short(*s.Function) && int(*s.Line) > b.Line[0] && int(*s.Line) <= b.Line[1]
}

// lockTimed is begin, end and kind of a wait, and the CPU time in it, which is no wait:
// a call runs Python code, and in free-threaded builds spins before it sleeps.
type lockTimed struct {
	begin, end int64
	kind       string
	cpu        int64
}

func (w *lockTimed) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[]any{&w.begin, &w.end, &w.kind, &w.cpu})
}

// lockScript is a program of testdata/locks, and its arguments.
func lockScript(t testing.TB, program string) (path string, args []string) {
	t.Helper()
	name, rest, _ := strings.Cut(program, " ")
	path, err := filepath.Abs(filepath.Join("..", "testdata", "locks", name+".py"))
	if err != nil {
		t.Fatal(err)
	}
	return path, strings.Fields(rest)
}

// recordLocks runs such a program and records it for a while.
func recordLocks(t testing.TB, in testpy.Interpreter, program, duration string) (recording, lockTruth) {
	t.Helper()
	script, args := lockScript(t, program)
	p := testpy.StartScript(t, in, script, args...)
	r := startRecord(t, "-p", fmt.Sprint(p.PID), "-d", duration)
	r.wait(t)
	if err := p.Stop(); err != nil {
		t.Fatalf("%s was harmed: %v", program, err)
	}
	var truth lockTruth
	if err := json.Unmarshal([]byte(p.Last), &truth); err != nil {
		t.Fatalf("read the truth of %s: %v: %q", program, err, p.Last)
	}
	return open(t, r, nil), truth
}

// lockPythons have each way of waiting that there is: semaphores with the frames of
// each series, and parking lots, in builds with and without symbols and a GIL.
func lockPythons(t testing.TB) []testpy.Interpreter {
	return append(testpy.Some(t, "3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "debian-3.14", "debian-3.15"), testpy.FreeThreaded(t)...)
}

// TestLockWaits: what each thread timed of its waits is what was recorded.
func TestLockWaits(t *testing.T) {
	for _, in := range lockPythons(t) {
		for _, program := range []string{"plain", "kinds condition", "kinds semaphore", "kinds barrier", "kinds pipeline", "kinds convoy"} {
			t.Run(in.Name+"/"+program, steady(func(t testing.TB) {
				r, truth := recordLocks(t, in, program, "1s")
				checkLockWaits(t, r, truth)
				checkLockRows(t, r, truth)
			}))
		}
	}
}

// waitsOf are the waits of a thread, between two kinds of events.
func waitsOf(r recording, tid int32, begin, end trace.Kind) (waits spans) {
	var from trace.Time
	for _, e := range r.trace.Events {
		switch {
		case e.TID != tid:
		case e.Kind == begin:
			from = e.Time
		case e.Kind == end:
			waits = append(waits, [2]int64{int64(from), int64(e.Time)})
		}
	}
	return waits
}

// checkLockWaits holds the waits of each thread against what it timed. A part of a call
// may be a wait for the GIL, or for a CPU before it sleeps, which are recorded as such.
func checkLockWaits(t testing.TB, r recording, truth lockTruth) {
	t.Helper()
	for tid, timed := range truth.Threads {
		var id int32
		fmt.Sscan(tid, &id)
		locks, gil := waitsOf(r, id, trace.LockWaitBegin, trace.LockWaitEnd), waitsOf(r, id, trace.GILWaitBegin, trace.GILWaitEnd)
		explained := normal(slices.Concat(locks, gil, runnableOf(r.trace, id)))
		var want, got, all int64
		for _, w := range timed {
			if w.begin < r.from || w.end > r.to {
				continue
			}
			want += w.end - w.begin - w.cpu
			got += explained.within(w.begin, w.end).total()
		}
		for _, w := range timed {
			all += locks.within(max(w.begin, r.from), min(w.end, r.to)).total()
		}
		other := locks.within(r.from, r.to).total() - all
		if off := math.Abs(float64(got - want)); off > max(0.02*float64(want), 2e6) {
			t.Errorf("thread %s timed %.3f ms of waits, %.3f ms were recorded", tid, ms(want), ms(got))
		}
		if float64(other) > max(0.02*float64(want), 2e6) {
			t.Errorf("thread %s: %.3f ms of waits were recorded that it did not time", tid, ms(other))
		}
		t.Logf("thread %s timed %.3f ms, recorded %.3f ms, and %.3f ms of short ones", tid, ms(want), ms(got), ms(other))
	}
}

// checkLockRows holds what the report says of each lock against the program.
func checkLockRows(t testing.TB, r recording, truth lockTruth) {
	t.Helper()
	kinds, seen := map[string]int64{}, map[string]bool{}
	for _, timed := range truth.Threads {
		for _, w := range timed {
			kinds[w.kind] += w.end - w.begin
		}
	}
	for i := range r.report.Locks {
		row := &r.report.Locks[i]
		checkSums(t, row)
		if row.WaitNS < 10e6 {
			continue
		}
		if _, ok := kinds[row.Kind]; !ok && !unknownMutex(r, row) {
			t.Errorf("a lock of kind %s, waited for %.3f ms", row.Kind, ms(row.WaitNS))
		}
		inVain := row.TimedOut > 0 && row.TimedOut+row.Open == row.Waits
		if len(truth.Holders) > 0 && row.Held && !inVain {
			checkHolders(t, row, truth)
		}
		if inVain && row.Held && (len(row.Holders) != 1 || row.Holders[0].TID != nil) {
			t.Errorf("who holds a lock that nobody gives back is not known, the report says %+v", row.Holders)
		}
		seen[row.Kind] = true
	}
	for kind, ns := range kinds {
		if !seen[kind] && ns > 50e6 {
			t.Errorf("no lock of kind %s is in the report", kind)
		}
	}
}

// unknownMutex: without a GIL the interpreter has locks of its own, and there are more of no kind.
func unknownMutex(r recording, row *analyze.LockRow) bool {
	return (row.Kind == trace.LockUnknown.String() || row.Kind == trace.LockInterpreter.String()) && freeThreaded(r)
}

func freeThreaded(r recording) bool {
	free := r.report.Processes[0].Python.FreeThreaded
	return free != nil && *free
}

// checkSums: waiters and holders sum to what was waited.
func checkSums(t testing.TB, row *analyze.LockRow) {
	t.Helper()
	var waited, held int64
	for _, w := range row.Waiters {
		waited += w.WaitNS
	}
	for _, h := range row.Holders {
		held += h.NS
	}
	if waited != row.WaitNS || row.Held && held != row.WaitNS {
		t.Errorf("of %d ns waited, waiters have %d and holders %d", row.WaitNS, waited, held)
	}
}

// checkHolders wants each holder that is named to be in a function that gives the
// lock back, and nearly all of the time to have one.
func checkHolders(t testing.TB, row *analyze.LockRow, truth lockTruth) {
	t.Helper()
	var right, unknown int64
	for _, h := range row.Holders {
		switch {
		case h.TID == nil:
			unknown += h.NS
		case *h.TID == 0:
			right += h.NS
		default:
			if !slices.ContainsFunc(truth.Holders, func(b lockBody) bool { return b.has(h.Site) }) {
				t.Errorf("%s was given back %s", row.Kind, siteOf(h.Site))
			}
			right += h.NS
		}
	}
	if float64(unknown) > 0.05*float64(row.WaitNS)+2e6 {
		t.Errorf("%s: holders are unknown for %.3f of %.3f ms", row.Kind, ms(unknown), ms(row.WaitNS))
	}
}
