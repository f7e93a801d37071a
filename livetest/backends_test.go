package livetest

import (
	"fmt"
	"strings"
	"testing"

	"gilscope/internal/testpy"
	"gilscope/internal/trace"
	"gilscope/oracle"
)

// way is one way to observe a GIL, with what -v must say of it.
type way struct {
	detail, backend string
}

func (w way) String() string { return w.detail + "-" + w.backend }

var ways = []way{{"waits", "futex"}, {"waits", "condvar"}, {"waits", "take_gil"}, {"full", "condvar"}, {"full", "take_gil"}}

// base is what the other ways are held to: every take and drop, seen by libc's functions.
var base = way{"full", "condvar"}

// attempts is how often ways may disagree. Now and then the kernel does not
// report a switch, and repairing that by rule can spoil one thread of one recording.
const attempts = 3

// TestWaysAgree records one program by every way at the same time: they must
// tell the same story, on stripped interpreters as well.
func TestWaysAgree(t *testing.T) {
	for _, in := range testpy.Some(t, "3.8", "debian-3.11.2", "3.12", "3.14") {
		t.Run(in.Name, steady(func(t testing.TB) {
			agreeing(t, in, "many_short", "2s", ways, "--hz", "0")
		}))
	}
}

// agreeing records a truth program by several ways at the same time, until they
// agree on who waited for how long.
func agreeing(t testing.TB, in testpy.Interpreter, program, duration string, ways []way, args ...string) map[way]recording {
	t.Helper()
	for range attempts {
		all := together(t, in, program, duration, ways, args...)
		off := compareAll(t, all)
		if len(off) == 0 {
			return all
		}
		t.Log("off:", strings.Join(off, "\n"))
	}
	t.Fatalf("the ways agree in none of %d recordings", attempts)
	return nil
}

// together records a truth program, which may have arguments, by several ways at the same time.
func together(t testing.TB, in testpy.Interpreter, program, duration string, ways []way, args ...string) map[way]recording {
	t.Helper()
	p := startProgram(t, in, program)
	recorders := map[way]*recorder{}
	for _, w := range ways {
		own := []string{"-p", fmt.Sprint(p.PID), "-d", duration, "--detail", w.detail, "--gil-backend", w.backend}
		recorders[w] = startRecord(t, append(own, args...)...)
	}
	for w, r := range recorders {
		r.wait(t)
		if w.backend != "auto" && !strings.Contains(r.said(), "backend "+w.backend) {
			t.Errorf("%v: -v does not name the backend:\n%s", w, r.said())
		}
	}
	truth := truthOf(t, p, program)
	recordings := map[way]recording{}
	for w, r := range recorders {
		recordings[w] = open(t, r, truth)
	}
	return recordings
}

// compareAll returns what does not agree with the base.
func compareAll(t testing.TB, all map[way]recording) (off []string) {
	t.Helper()
	from, to := int64(0), int64(1<<62)
	for _, r := range all {
		from, to = max(from, r.from), min(to, r.to)
	}
	for w, r := range all {
		if w != base {
			off = append(off, compareWays(t, w, all[base].trace, r, from, to)...)
		}
	}
	return off
}

// compareWays holds the waits of every thread in one recording to those in
// another, within the error that the report itself states. Only time in which
// the thread slept counts: whether one that was asked to drop and then lost its
// CPU already wanted the GIL back, only a way that sees drops can tell.
func compareWays(t testing.TB, w way, want *trace.Trace, r recording, from, to int64) (wrong []string) {
	t.Helper()
	got, share := r.trace, r.report.GIL[0].WaitErrorShare
	for _, th := range want.Threads {
		a := pairsOf(want, th.TID, trace.GILWaitBegin, trace.GILWaitEnd).within(from, to)
		b := pairsOf(got, th.TID, trace.GILWaitBegin, trace.GILWaitEnd).within(from, to)
		runnable := runnableOf(want, th.TID)
		asleepA, asleepB := a.total()-a.common(runnable), b.total()-b.common(runnable)
		off := asleepB - asleepA
		said := fmt.Sprintf("%v: %s waited %.3f ms in %d, %.3f ms of it asleep; by %v %.3f ms in %d, %.3f ms asleep", w, th.Name,
			ms(b.total()), len(b), ms(asleepB), base, ms(a.total()), len(a), ms(asleepA))
		if limit := max(int64(share*float64(asleepA)), 2e6); off > limit || -off > limit {
			wrong = append(wrong, fmt.Sprintf("%s; %d switches repaired", said, note(t, got, trace.NoteEnd)["repaired"]))
		} else if testing.Verbose() && asleepA > 0 {
			t.Logf("%s (%+.2f %%)", said, 100*float64(off)/float64(asleepA))
		}
	}
	return wrong
}

// TestHolds compares the holds that full detail sees with those that a program
// measured, and takes and drops with the interpreter's own count.
func TestHolds(t *testing.T) {
	for _, in := range testpy.Some(t, "3.8", "debian-3.11.2", "3.12", "3.14") {
		t.Run(in.Name, steady(func(t testing.TB) {
			r := recordTruth(t, in, "holds", "2s", "--detail", "full")
			checkHolds(t, r)
			checkCounts(t, r)
		}))
	}
}

// checkHolds holds the time that each thread held the GIL to 2 % or 2 ms. What
// the program cannot see of its own hold is the way from the take to its next
// line of Python and from its last line to the drop.
func checkHolds(t testing.TB, r recording) {
	t.Helper()
	for tid, th := range r.truth.Threads {
		if th.Holds == nil {
			continue
		}
		truth := normal(th.Holds).within(r.from, r.to)
		ours := pairsOf(r.trace, tid, trace.GILHoldBegin, trace.GILHoldEnd).within(r.from, r.to)
		// A thread that loses its CPU between its last line and the drop still
		// holds, and cannot know: that time is not held against either.
		run := runnableOf(r.trace, tid)
		off := (ours.total() - ours.common(run)) - (truth.total() - truth.common(run))
		if limit := max(truth.total()/50, 2e6); off > limit || -off > limit {
			t.Errorf("%s held %.3f ms in %d, measured itself %.3f ms in %d", th.Role, ms(ours.total()), len(ours), ms(truth.total()), len(truth))
		}
		t.Logf("%s held %.3f ms in %d, measured itself %.3f ms in %d", th.Role, ms(ours.total()), len(ours), ms(truth.total()), len(truth))
	}
}

// checkCounts: every take has its drop, and the takes that changed the holder
// are as many as the interpreter's switch number says.
func checkCounts(t testing.TB, r recording) {
	t.Helper()
	balance := map[int32]int{}
	for _, e := range r.trace.Events {
		switch e.Kind {
		case trace.GILHoldBegin:
			balance[e.TID]++
		case trace.GILHoldEnd:
			balance[e.TID]--
		}
	}
	for tid, n := range balance {
		if n < -1 || n > 1 {
			t.Errorf("thread %d: %d more takes than drops", tid, n)
		}
	}
	n := note(t, r.trace, trace.NoteGIL)
	if n["changes"] != n["switches"] || n["takes"] == 0 {
		t.Errorf("%d takes, %d of them by another thread; the interpreter counts %d switches", n["takes"], n["changes"], n["switches"])
	}
	t.Logf("%d takes, %d changes of holder, switch_number rose by %d", n["takes"], n["changes"], n["switches"])
}

// note returns the numbers of the last note of that name.
func note(t testing.TB, tr *trace.Trace, name string) map[string]int64 {
	t.Helper()
	var out map[string]int64
	for _, n := range tr.Notes {
		if n.Name != name {
			continue
		}
		out = map[string]int64{}
		for _, a := range n.Args {
			out[a.Key] = a.Num
		}
	}
	if out == nil {
		t.Fatalf("the trace has no note %q", name)
	}
	return out
}

// TestSingleThread: without a second thread there is no contention at all.
func TestSingleThread(t *testing.T) {
	for _, detail := range []string{"waits", "full"} {
		r := recordTruth(t, testpy.One(t, "3.12"), "single", "1s", "--detail", detail)
		for _, g := range r.report.GIL {
			if g.WaitNS != 0 || g.Waits != 0 || g.Switching.DropRequests != 0 {
				t.Errorf("%s: %d waits, %d ns, %d drop requests", detail, g.Waits, g.WaitNS, g.Switching.DropRequests)
			}
		}
		if len(r.report.Findings) > 0 {
			t.Errorf("%s: findings %+v", detail, r.report.Findings)
		}
	}
}

// threadsSQL is the per-thread sums, asked of the trace itself.
const threadsSQL = `
SELECT t.tid AS tid,
  sum(iif(s.name = 'GIL wait', s.dur, 0)) AS wait_ns, sum(s.name = 'GIL wait') AS waits,
  max(iif(s.name = 'GIL wait', s.dur, 0)) AS longest_ns,
  sum(iif(s.name = 'GIL held', s.dur, 0)) AS held_ns, sum(s.name = 'GIL held') AS holds,
  sum(s.name = 'GIL drop request') AS requests
FROM slice s JOIN thread_track tt ON s.track_id = tt.id JOIN thread t USING (utid)
GROUP BY t.tid`

// checkSQL loads the trace into the real Perfetto: it must import cleanly, and
// its sums must be those of the report.
func checkSQL(t testing.TB, r recording) {
	t.Helper()
	a := oracle.Ask(t, r.path, oracle.Request{SQL: []string{threadsSQL}})
	for _, problem := range a.Problems() {
		t.Errorf("the trace does not import cleanly: %s", problem)
	}
	rows := map[int64]oracle.Row{}
	for _, row := range a.Tables[0] {
		rows[row["tid"].(int64)] = row
	}
	for _, th := range r.report.Threads {
		row := rows[int64(th.TID)]
		if row == nil {
			row = oracle.Row{"wait_ns": int64(0), "waits": int64(0), "longest_ns": int64(0), "held_ns": int64(0), "holds": int64(0)}
		}
		if row["wait_ns"] != th.GILWaitNS || row["waits"] != th.GILWaits || row["longest_ns"] != th.GILWaitMaxNS {
			t.Errorf("thread %d: SQL says %v, the report %d ns in %d waits, longest %d ns", th.TID, row, th.GILWaitNS, th.GILWaits, th.GILWaitMaxNS)
		}
		if th.GILHoldNS != nil && (row["held_ns"] != *th.GILHoldNS || row["holds"] != *th.GILHolds) {
			t.Errorf("thread %d: SQL says %v, the report held %d ns in %d holds", th.TID, row, *th.GILHoldNS, *th.GILHolds)
		}
	}
}
