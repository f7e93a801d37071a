package livetest

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"gilscope/analyze"
	"gilscope/internal/trace"
	"gilscope/oracle"
)

// comparison is what a thread measured of its waits, against what we recorded.
type comparison struct {
	tid               int32
	role              string
	truth, ours       int64 // total wait, ns
	runnable          int64 // of the truth: not our wait, but the thread had no CPU
	missed, invented  int64 // truth without ours or a lack of CPU; ours without truth
	truthN, recordedN int
}

func (c comparison) String() string {
	return fmt.Sprintf("%-7s tid %d: truth %9.3f ms in %d, ours %9.3f ms in %d, run queue %.3f ms, missed %.3f ms, invented %.3f ms (%+.2f %%)",
		c.role, c.tid, ms(c.truth), c.truthN, ms(c.ours), c.recordedN, ms(c.runnable), ms(c.missed), ms(c.invented), 100*c.errorShare())
}

func ms(ns int64) float64 { return float64(ns) / 1e6 }

// errorShare is the error of the total. Time without a CPU that the program
// cannot tell from a wait is not held against either.
func (c comparison) errorShare() float64 {
	if c.truth == 0 {
		return 0
	}
	return float64(c.errorNS()) / float64(c.truth)
}

func (c comparison) errorNS() int64 { return c.ours - (c.truth - c.runnable) }

// compareWaits sets every measured thread's truth beside our waits.
func compareWaits(r recording) []comparison {
	var out []comparison
	for tid, th := range r.truth.Threads {
		if th.Waits == nil {
			continue
		}
		truth := normal(th.Waits).within(r.from, r.to)
		ours := pairsOf(r.trace, tid, trace.GILWaitBegin, trace.GILWaitEnd).within(r.from, r.to)
		run := runnableOf(r.trace, tid).within(r.from, r.to)
		both := normal(append(append([]oracle.Interval{}, ours...), run...))
		c := comparison{tid: tid, role: th.Role, truth: truth.total(), ours: ours.total(), truthN: len(truth), recordedN: len(ours)}
		covered := truth.common(both)
		c.runnable = covered - truth.common(ours)
		c.missed = c.truth - covered
		c.invented = c.ours - truth.common(ours)
		out = append(out, c)
	}
	return out
}

// Roles by what they can know of their own waits (testdata/truth/gilclock.py).
// Exact ones time every wait to microseconds. Computing ones see a wait only as
// a gap in their loop, and miss those in the code that notes a gap; but all
// their time is computing, waiting for the GIL, or waiting for a CPU, so the
// three must add up. Of the others, what they measured must be found.
var (
	exact     = map[string]bool{"io": true, "session": true, "victim": true}
	computing = map[string]bool{"cpu": true, "cpu-1": true, "cpu-2": true, "cpu-3": true}
)

// checkWaits holds every thread's total wait to the share or 2 ms.
func checkWaits(t *testing.T, r recording, share float64) {
	t.Helper()
	for _, c := range compareWaits(r) {
		limit := max(int64(share*float64(c.truth)), 2e6)
		off := max(c.missed, -c.errorNS())
		if exact[c.role] {
			off = max(off, c.errorNS())
		}
		if off > limit {
			t.Errorf("wait is off: %v", c)
		} else if testing.Verbose() {
			t.Log(c)
		}
		if computing[c.role] {
			checkAccount(t, r, c.tid, share)
		}
	}
}

// checkAccount adds up all the time of a thread that only computes.
func checkAccount(t *testing.T, r recording, tid int32, share float64) {
	t.Helper()
	waits := pairsOf(r.trace, tid, trace.GILWaitBegin, trace.GILWaitEnd).within(r.from, r.to)
	busy := append(runningOf(r.trace, tid), runnableOf(r.trace, tid)...)
	all := normal(append(busy, waits...)).within(r.from, r.to)
	window := r.to - r.from
	if gap := window - all.total(); float64(gap) > share*float64(window) {
		t.Errorf("thread %d: %.3f ms of %.3f ms are neither computing, nor a GIL wait, nor a lack of CPU", tid, ms(gap), ms(window))
	}
}

// checkBlame holds the report to the right holder, function and line for at
// least 95 % of the waited time that it blames on a thread.
func checkBlame(t *testing.T, r recording) {
	t.Helper()
	var blamed, right, own int64
	wrong := map[string]int64{}
	for _, g := range r.report.GIL {
		var sum int64
		for _, b := range g.Blame {
			sum += b.WaitNS
			waiter := r.truth.Threads[*b.Waiter.TID]
			if waiter == nil || b.Holder.TID == nil || *b.Holder.TID == analyze.Nobody {
				continue // a thread that measures nothing, or time in which nobody held
			}
			blamed += b.WaitNS
			holder := r.truth.Threads[*b.Holder.TID]
			if holder != nil && measuring(b.Holder.Site) {
				own += b.WaitNS
				continue
			}
			if holder != nil && expected(r.truth, waiter.Role, holder.Role, b.Holder.Site) {
				right += b.WaitNS
				continue
			}
			wrong[waiter.Role+" <- "+place(holder, b.Holder)] += b.WaitNS
		}
		if sum != g.WaitNS {
			t.Errorf("blame sums to %d ns, the waits to %d ns", sum, g.WaitNS)
		}
	}
	if own > blamed/10 {
		t.Errorf("%.1f ms of %.1f ms are blamed on the measurement itself", ms(own), ms(blamed))
	}
	if blamed -= own; blamed > 0 && float64(right) < 0.95*float64(blamed) {
		t.Errorf("blame is right for %.1f %% of %.1f ms; wrong: %v", 100*float64(right)/float64(blamed), ms(blamed), wrong)
	}
	t.Logf("blame right for %.2f %% of %.1f ms", 100*float64(right)/float64(max(blamed, 1)), ms(blamed))
	checkSQL(t, r)
}

// measuring says that the holder was in the code that measures: the truth
// programs run it in every role, so it is no role's function.
func measuring(at *analyze.SiteRow) bool {
	return at != nil && at.File != nil && filepath.Base(*at.File) == "gilclock.py"
}

// place names a holder and its line for a failure.
func place(holder *oracle.TruthThread, b analyze.Party) string {
	role := b.Name
	if holder != nil {
		role = holder.Role
	}
	if b.Site == nil || b.Site.Function == nil || b.Site.Line == nil {
		return role + " at no line"
	}
	return fmt.Sprintf("%s %s:%d", role, *b.Site.Function, *b.Site.Line)
}

func expected(truth *oracle.Truth, waiter, holder string, at *analyze.SiteRow) bool {
	if at == nil || at.Function == nil || at.File == nil || at.Line == nil {
		return false
	}
	for _, e := range truth.Expect {
		if e.WaiterRole == waiter && e.HolderRole == holder && short(*at.Function) == e.Function &&
			sameFile(*at.File, e.File) && int(*at.Line) >= e.Line[0] && int(*at.Line) <= e.Line[1] {
			return true
		}
	}
	return false
}

// short is the name without what it is nested in.
func short(function string) string {
	return function[strings.LastIndexByte(function, '.')+1:]
}

func sameFile(a, b string) bool { return filepath.Base(a) == filepath.Base(b) }
