package analyze

import "fmt"

var contentionAnalyzer = Analyzer{
	Name: "lock.contention",
	Doc: "Locks for which threads wait much, with what to do about it. If two and more of them wait at once, on the average, that is a lock convoy: whoever gives the lock back queues again behind the others, " +
		"and the threads go in single file. The cost is the waited time.",
	Run: runContention,
}

// convoyQueue is the mean number of waiters from which on a lock has a convoy.
const convoyQueue = 2

func runContention(tl *Timeline, r *Report) {
	var found []Finding
	for i := range r.Locks {
		row := &r.Locks[i]
		if row.Held && row.BusyNS > 0 && tl.worth(row.WaitNS-row.OpenNS) {
			found = append(found, tl.lockFinding(row))
		}
	}
	r.find(found)
}

func (tl *Timeline) lockFinding(row *LockRow) Finding {
	queue := float64(row.WaitNS) / float64(row.BusyNS)
	w, pid := row.Waiters[0], row.PID
	f := Finding{
		Rule: "lock.contention", Severity: tl.severity(row.WaitNS), CostNS: row.WaitNS, PID: &pid, TID: w.TID, Site: w.Site,
		Title: fmt.Sprintf("threads wait for %s, most of all %s", row.lockName(), partyLabel(&w.Party)),
		Evidence: fmt.Sprintf("%d waits, %s in all, the longest %s; somebody waited for %s, %.1f threads at once on the average",
			row.Waits, ms(row.WaitNS), ms(row.WaitMaxNS), ms(row.BusyNS), queue),
		Advice: lockAdvice(row.Kind),
	}
	if queue >= convoyQueue && !ofObject(row.Kind) && len(row.Waiters) > convoyQueue {
		f.Rule = "lock.convoy"
		f.Title = fmt.Sprintf("lock convoy: %.1f threads queue for %s, most of all %s", queue, row.lockName(), partyLabel(&w.Party))
		f.Advice = "The threads go in single file. Hold the lock for shorter, take it less often (work in batches), split it by what it protects, or use fewer threads."
	}
	for _, h := range row.Holders {
		if h.TID != nil && *h.TID != 0 {
			f.Evidence += fmt.Sprintf("; for %s of that until %s gave it back", ms(h.NS), partyLabel(&h.Party))
			break
		}
	}
	return f
}
