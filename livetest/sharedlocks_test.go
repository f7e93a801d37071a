package livetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"gilscope/analyze"
	"gilscope/internal/testpy"
	"gilscope/internal/trace"
)

// lockHold is a time in which a thread had the lock.
type lockHold [2]int64

// recordShared runs testdata/locks/shared.py and records all its processes.
func recordShared(t testing.TB, in testpy.Interpreter, args string) (recording, lockTruth) {
	t.Helper()
	script, argv := lockScript(t, "shared "+args)
	p := testpy.StartScript(t, in, script, argv...)
	r := startRecord(t, "-p", fmt.Sprint(p.PID), "--follow")
	p.Send(t, "go")
	text := p.Line(t)
	if err := p.Stop(); err != nil {
		t.Fatalf("shared.py was harmed: %v", err)
	}
	r.wait(t)
	var truth lockTruth
	if err := json.Unmarshal([]byte(text), &truth); err != nil {
		t.Fatalf("read the truth of shared.py: %v: %q", err, text)
	}
	return open(t, r, nil), truth
}

// TestSharedLocks: locks of multiprocessing, which several processes have at addresses of their
// own (spawn) or at one (fork): what each timed of its waits is what was recorded, all is
// one lock, and who held it is right wherever that is told.
func TestSharedLocks(t *testing.T) {
	for _, in := range testpy.Some(t, "3.8", "3.12", "3.13", "debian-3.14") {
		for _, args := range []string{"fork lock", "spawn lock", "fork body", "spawn body", "fork semaphore", "spawn queue", "spawn event"} {
			t.Run(in.Name+"/"+args, steady(func(t testing.TB) {
				r, truth := recordShared(t, in, args)
				checkLockWaits(t, r, truth)
				checkSharedRows(t, r, truth)
				if len(truth.Holders) > 0 {
					checkOneLock(t, r, truth)
				}
			}))
		}
	}
}

// checkSharedRows: the kind of what was waited for long is right, or unknown.
func checkSharedRows(t testing.TB, r recording, truth lockTruth) {
	t.Helper()
	kinds := map[string]bool{}
	for _, timed := range truth.Threads {
		for _, w := range timed {
			kinds[w.kind] = true
		}
	}
	for i := range r.report.Locks {
		row := &r.report.Locks[i]
		checkSums(t, row)
		if row.WaitNS > 50e6 && !kinds[row.Kind] && row.Kind != trace.LockUnknown.String() {
			t.Errorf("a lock of kind %s, waited for %.3f ms at %s", row.Kind, ms(row.WaitNS), siteOf(row.Waiters[0].Site))
		}
	}
}

// checkOneLock wants one row of all processes, each of which held the lock for as long as
// the others, while they waited, did not.
func checkOneLock(t testing.TB, r recording, truth lockTruth) {
	t.Helper()
	var row *analyze.LockRow
	for i := range r.report.Locks {
		if l := &r.report.Locks[i]; l.WaitNS > 20e6 {
			if row != nil {
				t.Fatalf("two locks: %s and %s", *row.Address, *l.Address)
			}
			row = l
		}
	}
	if row == nil || len(row.PIDs) != len(truth.Threads) || row.Shared == nil {
		t.Fatalf("no lock of %d processes: %+v", len(truth.Threads), row)
	}
	checkFirstOfLock(t, r, row, truth)
	claimed := map[string]int64{}
	var unknown int64
	for _, h := range row.Holders {
		switch {
		case h.TID == nil:
			unknown += h.NS
		case *h.TID != 0:
			if claimed[fmt.Sprint(*h.TID)] += h.NS; !truth.Holders[0].has(h.Site) {
				t.Errorf("given back %s", siteOf(h.Site))
			}
		}
	}
	for tid, ns := range claimed {
		if held := heldMeanwhile(truth, tid); float64(ns) > 1.05*float64(held)+5e6 {
			t.Errorf("thread %s held the lock for %.3f ms of the others' waits, the report says %.3f ms", tid, ms(held), ms(ns))
		}
	}
	t.Logf("%d processes, waited %.3f ms, holder unknown for %.3f ms", len(row.PIDs), ms(row.WaitNS), ms(unknown))
	if len(claimed) != len(truth.Threads) || float64(unknown) > 0.05*float64(row.WaitNS)+2e6 {
		t.Errorf("%d holders, unknown for %.3f of %.3f ms", len(claimed), ms(unknown), ms(row.WaitNS))
	}
}

// checkFirstOfLock: the first wait is told, and who had the lock then.
func checkFirstOfLock(t testing.TB, r recording, row *analyze.LockRow, truth lockTruth) {
	t.Helper()
	i := slices.IndexFunc(r.trace.Events, func(e trace.Event) bool { return e.Kind == trace.LockWaitBegin && e.Other == *row.Shared })
	first, begin := row.First, int64(r.trace.Events[i].Time)
	if first.Holder == nil || *first.Waiter.TID != r.trace.Events[i].TID || first.PID != r.trace.Events[i].PID {
		t.Fatalf("the first wait is %+v", first)
	}
	const slack = 2_000_000 // between taking the lock and the look at the clock after that
	if !slices.ContainsFunc(truth.Held[fmt.Sprint(*first.Holder.TID)], func(h lockHold) bool { return h[0]-slack <= begin && begin <= h[1]+slack }) {
		t.Errorf("thread %d did not have the lock at the first wait, which was at %d", *first.Holder.TID, begin)
	}
	if !truth.Holders[0].has(first.Holder.Site) {
		t.Errorf("given back %s", siteOf(first.Holder.Site))
	}
}

// heldMeanwhile is how long the others waited while a thread had the lock.
func heldMeanwhile(truth lockTruth, tid string) (ns int64) {
	for other, waits := range truth.Threads {
		if other == tid {
			continue
		}
		for _, w := range waits {
			for _, h := range truth.Held[tid] {
				ns += max(min(w.end, h[1])-max(w.begin, h[0]), 0)
			}
		}
	}
	return ns
}
