package livetest

import (
	"slices"
	"testing"
	"time"

	"gilscope/analyze"
	"gilscope/internal/trace"
	"gilscope/oracle"
)

// Processes that live a fraction of a second, maybe with less than a CPU for
// themselves. One lack of a CPU, in which nobody waits for the GIL, would be more
// than the 2 % that longer runs are held to; so here it is taken out first.

// foundWithin is how soon after the start of a program its interpreter must be
// observed. A forked child is observed from its first instruction on, unless its
// parent was not yet.
const foundWithin = 500 * time.Millisecond

// checkMeasured holds the recording to what one process measured of itself, from
// when it is observed, and says whether that was all that it measured.
func checkMeasured(t testing.TB, r recording, m member, pid int32) (whole bool) {
	t.Helper()
	r.truth = m.truth
	r.from, r.to = m.From, m.To
	t.Logf("%s, pid %d:", m.How, pid)
	began := int64(0)
	for _, n := range r.trace.Notes {
		switch {
		case n.PID != pid || int64(n.Time) > m.To:
		case n.Name == trace.NoteExec || n.Name == trace.NoteStarted:
			began = int64(n.Time)
		case n.Name == trace.NoteTarget && began != 0 && began != int64(n.Time):
			found := time.Duration(int64(n.Time) - began)
			t.Logf("found %v after it began, contends after %v", found, time.Duration(m.From-began))
			if found > foundWithin {
				t.Errorf("pid %d is observed only %v after it began", pid, found)
			}
			r.from = max(r.from, int64(n.Time)+edge)
		}
	}
	checkShortRun(t, r)
	checkShortBlame(t, r, pid)
	return r.from == m.From
}

// checkShortRun is checkWaits for a short run.
func checkShortRun(t testing.TB, r recording) {
	t.Helper()
	for _, c := range compareWaits(r) {
		truth := normal(r.truth.Threads[c.tid].Waits).within(r.from, r.to)
		ours := pairsOf(r.trace, c.tid, trace.GILWaitBegin, trace.GILWaitEnd).within(r.from, r.to)
		lack := truth.common(normal(append(runnableOf(r.trace, c.tid), ours...))) - truth.common(ours)
		limit, off := max(c.truth/50, 2e6), c.missed
		if exact[c.role] {
			off = max(off, c.invented-unmeasured(r, c.tid, ours, truth), c.truth-lack-c.ours)
		} else {
			limit += 5e6 // in its drop it may sleep on the GIL's mutex, while who asked for the GIL has that, but no CPU
		}
		if off > limit || exact[c.role] && c.truthN == 0 {
			t.Errorf("wait is off: %v", c)
		} else {
			t.Log(c)
		}
		if computing[c.role] {
			checkAccount(t, r, c.tid, 0.04)
		}
	}
}

// unmeasured sums up the waits of a sleeping thread after it was asked to drop:
// it lost its CPU for so long while it held the GIL. It does not measure those.
func unmeasured(r recording, tid int32, ours, truth spans) (ns int64) {
	var asked []int64
	for i := range r.trace.Events {
		if e := &r.trace.Events[i]; e.Kind == trace.GILDropRequest && e.Other == tid {
			asked = append(asked, int64(e.Time))
		}
	}
	before := int64(0)
	for _, w := range ours {
		if slices.ContainsFunc(asked, func(at int64) bool { return before <= at && at <= w[0] }) {
			ns += w[1] - w[0] - (spans{w}).common(truth)
		}
		before = w[1]
	}
	return ns
}

// checkShortBlame is checkBlame for one process that lives a fraction of a
// second, maybe with less than one CPU: who is asked for the CPU at a system
// call of the measurement loses it there, and then waiters wait for just that.
func checkShortBlame(t testing.TB, r recording, pid int32) {
	t.Helper()
	var blamed, right, own int64
	wrong := map[string]int64{}
	gils := gilsOf(r.report, pid)
	for _, g := range gils {
		for _, b := range g.Blame {
			waiter, holder := r.truth.Threads[*b.Waiter.TID], (*oracle.TruthThread)(nil)
			if b.Holder.TID != nil {
				holder = r.truth.Threads[*b.Holder.TID]
			}
			switch {
			case waiter == nil || b.Holder.TID != nil && *b.Holder.TID == analyze.Nobody:
			case b.Holder.Site != nil && beside(b.Holder.Site):
				own += b.WaitNS
			case holder != nil && expected(r.truth, waiter.Role, holder.Role, b.Holder.Site):
				right += b.WaitNS
				blamed += b.WaitNS
			default:
				wrong[waiter.Role+" <- "+place(holder, b.Holder)] += b.WaitNS
				blamed += b.WaitNS
			}
		}
	}
	t.Logf("blame right for %.2f %% of %.1f ms, and %.1f ms in the measurement", share(right, blamed), ms(blamed), ms(own))
	if len(gils) != 1 || own > blamed+5e6 || blamed > 5e6 && share(right, blamed) < 95 {
		t.Errorf("pid %d has %d GILs, blame is right for %.1f of %.1f ms; wrong: %v", pid, len(gils), ms(right), ms(blamed), wrong)
	}
}

// beside says that the holder was not in what it is there for: in code of the
// measurement, or where it starts and ends threads and children.
func beside(at *analyze.SiteRow) bool {
	if at.File == nil || at.Function == nil {
		return false
	}
	starting := slices.Contains([]string{"begin", "end", "contend"}, *at.Function)
	return ofNoRole(at) || sameFile(*at.File, "family.py") || sameFile(*at.File, "contend.py") && starting
}

// checkFirstWait: the first wait that a sleeping thread measured, however soon
// after the start, is there. Those below a millisecond are no contention yet.
func checkFirstWait(t testing.TB, r recording, truth *oracle.Truth, started int64) {
	t.Helper()
	r.truth = truth
	for tid, th := range truth.Threads {
		if th.Role != "io" {
			continue
		}
		for _, w := range th.Waits {
			r.from, r.to = w[0], w[1]
			c := comparisonOf(r, tid)
			if w[1]-w[0] < 1e6 || c.recordedN == 0 && c.missed < 0.1e6 {
				continue // too short, or all of it was a lack of CPU
			}
			if c.recordedN == 0 || c.missed > 0.5e6 {
				t.Errorf("the first wait of thread %d: %v", tid, c)
			}
			t.Logf("first wait %.3f ms after the start: %v", ms(r.from-started), c)
			break
		}
	}
}

// comparisonOf is that of one thread.
func comparisonOf(r recording, tid int32) comparison {
	all := compareWaits(r)
	return all[slices.IndexFunc(all, func(c comparison) bool { return c.tid == tid })]
}

// checkProcessCounts: at full, every take of every thread has its drop, and the
// takes by another thread are as many as the interpreter counted.
func checkProcessCounts(t testing.TB, r recording, pid int32) {
	t.Helper()
	var totals map[string]int64
	for _, n := range r.trace.Notes {
		if n.Name == trace.NoteGIL && n.PID == pid {
			totals = map[string]int64{}
			for _, a := range n.Args {
				totals[a.Key] = a.Num
			}
		}
	}
	if _, full := totals["takes"]; !full {
		return
	}
	balance, takes := map[int32]int{}, 0
	for i := range r.trace.Events {
		switch e := &r.trace.Events[i]; {
		case e.PID != pid:
		case e.Kind == trace.GILHoldBegin:
			balance[e.TID]++
			takes++
		case e.Kind == trace.GILHoldEnd:
			balance[e.TID]--
		}
	}
	for tid, n := range balance {
		if n < -1 || n > 1 {
			t.Errorf("pid %d: thread %d: %d more takes than drops", pid, tid, n)
		}
	}
	if totals["changes"] != totals["switches"] || totals["takes"] == 0 {
		t.Errorf("pid %d: %d takes, %d of them by another thread; the interpreter counts %d switches", pid, totals["takes"],
			totals["changes"], totals["switches"])
	}
	t.Logf("%d takes, %d changes of holder, switch_number rose by %d", totals["takes"], totals["changes"], totals["switches"])
}
