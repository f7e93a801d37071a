package viewer

import (
	"fmt"
	"strings"

	"gilscope/analyze"
)

// verdict is the one sentence for who reads no further.
func verdict(r *analyze.Report) string {
	if len(r.Deadlocks) > 0 {
		return deadlockVerdict(r)
	}
	var waited, waits int64
	var worst *analyze.Blame
	var worstPID int32
	for i := range r.GIL {
		g := &r.GIL[i]
		waited += g.WaitNS
		waits += g.Waits
		for k := range g.Blame {
			b := &g.Blame[k]
			if known := b.Holder.TID != nil && *b.Holder.TID != 0; known && (worst == nil || b.WaitNS > worst.WaitNS) {
				worst, worstPID = b, g.PID
			}
		}
	}
	if f := worstLoop(r, waited); f != nil {
		return fmt.Sprintf("%s. That kept the loop from its work for %s of %s.", sentence(f.Title), duration(f.CostNS), duration(r.Recording.DurationNS))
	}
	if f := worstExecutor(r, waited); f != nil {
		return sentence(f.Title) + "."
	}
	if waits == 0 {
		return noWaits(r)
	}
	who, over := waiters(r), duration(r.Recording.DurationNS)
	if worst == nil {
		return fmt.Sprintf("%s waited %s for the GIL in %s; who held it is not known.", who, duration(waited), over)
	}
	if l := worstLine(r); l != nil && worst.WaitNS*10 < waited && l.NS > worst.WaitNS {
		return fmt.Sprintf("%s waited %s for the GIL in %s; the largest part, %s, was for %s.", who, duration(waited), over, duration(l.NS), place(l.Site))
	}
	part, waiter := "the largest part", party(worst.Waiter)
	if worst.WaitNS*2 > waited {
		part = "most of it"
	}
	if several(r) {
		waiter += " of " + processName(r, worstPID)
	}
	return fmt.Sprintf("%s waited %s for the GIL in %s; %s, %s, %s waited for %s.",
		who, duration(waited), over, part, duration(worst.WaitNS), waiter, at(worst.Holder))
}

// worstLine is the line of a program that was waited for longest. That says more than who
// waited for whom where many threads wait for each other at many lines of libraries.
func worstLine(r *analyze.Report) *analyze.LineTime {
	var worst *analyze.LineTime
	for i := range r.GIL {
		if lines := r.GIL[i].ProgramLines; len(lines) > 0 && (worst == nil || lines[0].NS > worst.NS) {
			worst = &lines[0]
		}
	}
	return worst
}

// deadlockVerdict: nothing else matters to a program that stands still.
func deadlockVerdict(r *analyze.Report) string {
	d := &r.Deadlocks[0]
	s := fmt.Sprintf("Deadlock: %s.", deadlockLink(d, d.Cycle[0]))
	if len(d.Cycle) > 1 {
		s = fmt.Sprintf("Deadlock of %d threads: %s, and so on in a circle.", len(d.Cycle), deadlockLink(d, d.Cycle[0]))
	}
	return s
}

// worstLoop is what an event loop was kept from its work by, if that cost more than
// all waiting for the GIL.
func worstLoop(r *analyze.Report, waited int64) *analyze.Finding {
	for i := range r.Findings {
		f := &r.Findings[i]
		if strings.HasPrefix(f.Rule, "loop.") && f.Severity != analyze.Info && (f.CostNS > waited || f.Rule == "loop.gil") {
			return f
		}
	}
	return nil
}

// worstExecutor is what kept an executor from beginning jobs, if that cost more than all
// waiting for the GIL.
func worstExecutor(r *analyze.Report, waited int64) *analyze.Finding {
	for i := range r.Findings {
		f := &r.Findings[i]
		if strings.HasPrefix(f.Rule, "executor.") && f.Severity != analyze.Info && f.CostNS > waited {
			return f
		}
	}
	return nil
}

// sentence begins a text with a capital, unless it begins with a name.
func sentence(s string) string {
	for _, word := range [...]string{"the", "all"} {
		if rest, ok := strings.CutPrefix(s, word+" "); ok {
			return strings.ToUpper(word[:1]) + word[1:] + " " + rest
		}
	}
	return s
}

// waiters says whose threads waited.
func waiters(r *analyze.Report) string {
	if !several(r) {
		return "Threads"
	}
	pids := map[int32]bool{}
	for i := range r.GIL {
		if r.GIL[i].Waits > 0 {
			pids[r.GIL[i].PID] = true
		}
	}
	return fmt.Sprintf("Threads of %d of %s", len(pids), processes(int64(max(len(r.Processes), len(pids)))))
}

const withoutGIL = "no GIL (free-threaded build, GIL disabled)"

// noWaits says why there is nothing to tell.
func noWaits(r *analyze.Report) string {
	var pythons, without int
	for i := range r.Processes {
		if r.Processes[i].Python != nil {
			pythons++
		}
		if noGIL(r.Processes[i].Python) {
			without++
		}
	}
	over := duration(r.Recording.DurationNS)
	switch {
	case without > 0 && without == pythons && len(r.Processes) == 1:
		return fmt.Sprintf("The process has %s; %s were recorded.", withoutGIL, over)
	case without > 0 && without == pythons:
		return fmt.Sprintf("The processes have %s; %s were recorded.", withoutGIL, over)
	case len(r.GIL) == 0:
		return "No GIL activity was seen in " + over + "."
	case several(r):
		return fmt.Sprintf("No thread of %s waited for the GIL in %s.", processes(int64(len(r.Processes))), over)
	}
	return "No thread waited for the GIL in " + over + "."
}
