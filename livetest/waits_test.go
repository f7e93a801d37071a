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
	awake             int64 // of the truth: no wait of ours, but the thread ran or wanted to
	missed, invented  int64 // truth in which the thread slept and we saw no wait; our waits outside the truth
	truthN, recordedN int
}

func (c comparison) String() string {
	return fmt.Sprintf("%-7s tid %d: truth %9.3f ms in %d, ours %9.3f ms in %d, awake %.3f ms, missed %.3f ms, invented %.3f ms (%+.2f %%, raw %+.2f %%)",
		c.role, c.tid, ms(c.truth), c.truthN, ms(c.ours), c.recordedN, ms(c.awake), ms(c.missed), ms(c.invented),
		share(c.errorNS(), c.truth), share(c.ours-c.truth, c.truth))
}

func ms(ns int64) float64 { return float64(ns) / 1e6 }

func share(part, all int64) float64 {
	if all == 0 {
		return 0
	}
	return 100 * float64(part) / float64(all)
}

// errorNS is the error of the total. Who waits for the GIL sleeps. A program
// that times its waits from inside also times the way to the wait and back (20
// to 50 us here) and a lack of CPU, in which it does not sleep.
func (c comparison) errorNS() int64 { return c.ours - (c.truth - c.awake) }

// compareWaits sets every measured thread's truth beside our waits.
func compareWaits(r recording) []comparison {
	var out []comparison
	for tid, th := range r.truth.Threads {
		if th.Waits == nil {
			continue
		}
		truth := normal(th.Waits).within(r.from, r.to)
		ours := pairsOf(r.trace, tid, trace.GILWaitBegin, trace.GILWaitEnd).within(r.from, r.to)
		awake := append(runningOf(r.trace, tid), runnableOf(r.trace, tid)...)
		both := normal(append(awake, ours...)).within(r.from, r.to)
		c := comparison{tid: tid, role: th.Role, truth: truth.total(), ours: ours.total(), truthN: len(truth), recordedN: len(ours)}
		covered := truth.common(both)
		c.awake = covered - truth.common(ours)
		c.missed = c.truth - covered
		c.invented = c.ours - truth.common(ours)
		out = append(out, c)
	}
	return out
}

// long says that the waits are so long that what surrounds them hardly counts:
// then also the plain difference must be small.
func (c comparison) long() bool { return c.truthN > 0 && c.truth/int64(c.truthN) >= 4e6 }

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
func checkWaits(t testing.TB, r recording, share float64) {
	t.Helper()
	for _, c := range compareWaits(r) {
		limit := max(int64(share*float64(c.truth)), 2e6)
		off := max(c.missed, -c.errorNS())
		if exact[c.role] {
			off = max(off, c.errorNS())
		}
		if exact[c.role] && c.long() {
			off = max(off, c.truth-c.ours, c.ours-c.truth)
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
func checkAccount(t testing.TB, r recording, tid int32, share float64) {
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
// least 95 % of the waited time that it blames on a thread, and returns the share.
func checkBlame(t testing.TB, r recording) float64 {
	t.Helper()
	var blamed, right, own, unseen int64
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
			if holder != nil && b.Holder.Site == nil {
				unseen += b.WaitNS
				continue
			}
			if holder != nil && ofNoRole(b.Holder.Site) {
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
	// 200 threads that do next to nothing but measure say little about others.
	if own > blamed/4 && r.truth.Program != "many_threads.py" {
		t.Errorf("%.1f ms of %.1f ms are blamed on the measurement itself", ms(own), ms(blamed))
	}
	if unseen > blamed/10 {
		t.Errorf("for %.1f ms of %.1f ms the holder's line is not known", ms(unseen), ms(blamed))
	}
	if blamed -= own + unseen; blamed > 0 && float64(right) < 0.95*float64(blamed) {
		t.Errorf("blame is right for %.1f %% of %.1f ms; wrong: %v", 100*float64(right)/float64(blamed), ms(blamed), wrong)
	}
	percent := 100 * float64(right) / float64(max(blamed, 1))
	t.Logf("blame right for %.2f %% of %.1f ms", percent, ms(blamed))
	return percent
}

// ofNoRole says that the holder was in code that threads of every role run: the
// measurement itself, and the start and end of a thread in the standard library.
func ofNoRole(at *analyze.SiteRow) bool {
	if at.File == nil {
		return false
	}
	file := filepath.Base(*at.File)
	return file == "gilclock.py" || file == "threading.py" || file == "_weakrefset.py"
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
		if (e.WaiterRole == waiter || !measured(truth, waiter)) && e.HolderRole == holder && short(*at.Function) == e.Function &&
			sameFile(*at.File, e.File) && int(*at.Line) >= e.Line[0] && int(*at.Line) <= e.Line[1] {
			return true
		}
	}
	return false
}

// measured says that the program expects something of waiters of this role; of
// others, such as a main thread, any expected holder will do.
func measured(truth *oracle.Truth, role string) bool {
	for _, e := range truth.Expect {
		if e.WaiterRole == role {
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
