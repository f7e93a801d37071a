package analyze

import (
	"cmp"
	"fmt"
	"slices"

	"gilscope/internal/trace"
)

var doubleWaitAnalyzer = Analyzer{
	Name: "lock.gil_wait",
	Doc: "Threads that wait for a lock whose holder waits for the GIL, so that one wait is made of two. The holder is who gave the lock back while they waited; it held the lock all that time, " +
		"for as long as somebody sleeps for a lock nobody can give it back unseen. The cost is the part of the waits for the lock in which its holder waited for the GIL.",
	Run: runDoubleWait,
}

func runDoubleWait(tl *Timeline, r *Report) {
	var found []Finding
	for i := range r.Locks {
		row := &r.Locks[i]
		if !row.Held || !tl.worth(row.HolderGILWaitNS) {
			continue
		}
		w, pid := row.Waiters[0], row.PID
		found = append(found, Finding{Rule: "lock.gil_wait", Severity: tl.severity(row.HolderGILWaitNS), CostNS: row.HolderGILWaitNS, PID: &pid, TID: w.TID, Site: w.Site,
			Title:    fmt.Sprintf("threads wait for %s while its holder waits for the GIL, most of all %s", row.lockName(), partyLabel(&w.Party)),
			Evidence: fmt.Sprintf("for %s of %s waited for the lock its holder waited for the GIL", ms(row.HolderGILWaitNS), ms(row.WaitNS)),
			Advice: "Whoever holds the lock can lose the GIL in the body of its with statement, to a thread that computes. Keep the body short and free of calls that give the GIL away (I/O, logging), " +
				"and move what computes to other processes."})
	}
	r.find(found)
}

// gilWaits are the waits for GILs by thread, in order.
func (tl *Timeline) gilWaits() [][]waiting {
	counts, sum, gils := make([]int, len(tl.Threads)), 0, make([]int32, len(tl.Threads))
	for g := range tl.GILs {
		for _, w := range tl.GILs[g].Waits {
			counts[w.Thread]++
			sum++
		}
	}
	all, store := make([][]waiting, len(tl.Threads)), make([]waiting, sum)
	for th, n := range counts {
		all[th], store = store[:0:n], store[n:]
	}
	for g := range tl.GILs {
		for _, w := range tl.GILs[g].Waits {
			if n := len(all[w.Thread]); n > 0 && all[w.Thread][n-1].from > w.Start {
				gils[w.Thread]++ // it waited for another GIL before that
			}
			all[w.Thread] = append(all[w.Thread], waiting{w.Start, w.End, waitsGIL})
		}
	}
	for th, n := range gils {
		if n > 0 {
			slices.SortFunc(all[th], func(x, y waiting) int { return cmp.Compare(x.from, y.from) })
		}
	}
	return all
}

// gilWait is how long a thread waited for the GIL in a time.
func (l *lockReader) gilWait(pid, tid int32, from, to trace.Time) (ns int64) {
	th, ok := l.tl.threadAt(pid, tid, to)
	if !ok {
		return 0
	}
	waits := l.gilWaits[th]
	i, _ := slices.BinarySearchFunc(waits, from, func(w waiting, at trace.Time) int { return cmp.Compare(w.to, at) })
	for ; i < len(waits) && waits[i].from < to; i++ {
		ns += max(int64(min(waits[i].to, to)-max(waits[i].from, from)), 0)
	}
	return ns
}
