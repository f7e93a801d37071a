package viewer

import (
	"cmp"
	"fmt"
	"slices"

	"gilscope/analyze"
)

// gilName is the heading of a GIL's section.
func gilName(r *analyze.Report, g *analyze.GILRow) string {
	interpreter := ""
	if g.Interpreter != 0 {
		interpreter = fmt.Sprintf("interpreter %d", g.Interpreter)
	}
	switch {
	case several(r) && interpreter != "":
		return "GIL of " + processName(r, g.PID) + ", " + interpreter
	case several(r):
		return "GIL of " + processName(r, g.PID)
	case interpreter != "":
		return "GIL of " + interpreter
	case len(r.GIL) > 1:
		return "GIL of the main interpreter"
	}
	return "GIL"
}

// gilRows are the GILs that were waited for, the longest waits first. The only
// GIL is there in any case. What is left out is told in words, "" if nothing is.
func gilRows(r *analyze.Report, top int) (rows []*analyze.GILRow, left []string) {
	var quiet, restNS int64
	for i := range r.GIL {
		if r.GIL[i].Waits > 0 || len(r.GIL) == 1 {
			rows = append(rows, &r.GIL[i])
		} else {
			quiet++
		}
	}
	slices.SortStableFunc(rows, func(x, y *analyze.GILRow) int { return cmp.Compare(y.WaitNS, x.WaitNS) })
	shown := rows[:min(len(rows), top)]
	for _, g := range rows[len(shown):] {
		restNS += g.WaitNS
	}
	if n := len(rows) - len(shown); n > 0 {
		left = append(left, fmt.Sprintf("%s with waits: %s", count(int64(n), "more GIL"), duration(restNS)))
	}
	if quiet > 0 {
		what := "more GIL"
		if len(rows) == 0 {
			what = "GIL"
		}
		left = append(left, count(quiet, what)+" without waits")
	}
	return shown, left
}

func (p *page) gil(r *analyze.Report, g *analyze.GILRow, top int) {
	p.line("")
	p.line("%s", gilName(r, g))
	p.line("  waited    %s in %s: median %s, p99 %s, longest %s",
		duration(g.WaitNS), count(g.Waits, "wait"), maybe(g.WaitP50NS), maybe(g.WaitP99NS), maybe(g.WaitMaxNS))
	p.line("  share     somebody waited in %s of the time, it was held in %s", percent(g.ContendedShare), percent(g.BusyShare))
	if g.WaitNS > 0 {
		c := g.Causes
		p.line("  because   %s the holder had not been asked yet, %s it was asked and busy, %s handing over",
			part(c.BeforeRequestNS, g.WaitNS), part(c.HolderBusyNS, g.WaitNS), part(c.HandoffNS, g.WaitNS))
	}
	s := g.Switching
	if g.WaitErrorShare > 0.02 {
		p.line("  accuracy  a thread's total wait may be off by %.0f%%: the GIL changes hands in microseconds", 100*g.WaitErrorShare)
	}
	if s := g.FullShare; s != nil && *s > 0 && *s < 1 {
		p.line("  holds     every take and drop was recorded in %s of the time; the rest would have cost too much", percent(s))
	}
	p.line("  switching interval %s, %s, forced drops %s, voluntary %s", maybe(g.SwitchIntervalNS),
		count(s.DropRequests, "drop request"), maybeCount(s.ForcedDrops), maybeCount(s.VoluntaryDrops))
	if s.RequestToDropP50NS != nil {
		p.line("  answer    from request to drop: median %s, p99 %s, longest %s",
			maybe(s.RequestToDropP50NS), maybe(s.RequestToDropP99NS), maybe(s.RequestToDropMaxNS))
	}
	if s.HandoffP50NS != nil {
		p.line("  handoff   nobody held it before a waiter took it: median %s, p99 %s, longest %s",
			maybe(s.HandoffP50NS), maybe(s.HandoffP99NS), maybe(s.HandoffMaxNS))
	}
	for _, c := range s.Convoys[:min(len(s.Convoys), top)] {
		if c.CostNS*50 >= g.WaitNS { // the others are in the JSON
			p.line("  convoy    %s behind %s: %s, %s", named(r, g.PID, c.VictimTID), named(r, g.PID, c.HolderTID), count(c.Cycles, "wait"), duration(c.CostNS))
		}
	}
	p.lines(g, top)
	p.blame(g, top)
}

func (p *page) blame(g *analyze.GILRow, top int) {
	if len(g.Blame) == 0 {
		return
	}
	p.line("")
	p.line("  %9s  %6s  %6s  who waited, and because of whom", "waited", "share", "waits")
	for i, b := range g.Blame {
		if i == top {
			var rest int64
			for _, b := range g.Blame[i:] {
				rest += b.WaitNS
			}
			p.line("  %9s  %6s  %6s  in %s", duration(rest), part(rest, g.WaitNS), "", count(int64(len(g.Blame)-i), "more row"))
			break
		}
		p.line("  %9s  %6s  %6d  %s", duration(b.WaitNS), part(b.WaitNS, g.WaitNS), b.Waits, at(b.Waiter))
		p.line("             <- %s", at(b.Holder))
	}
}
