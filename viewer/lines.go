package viewer

import (
	"cmp"
	"fmt"
	"slices"

	"gilscope/analyze"
)

// lineSum is how long one line waited, or made others wait.
type lineSum struct {
	where string
	ns    int64
}

// lines shows the lines that made others wait, and those that waited: the blame
// table added up by one side of it.
func (p *page) lines(g *analyze.GILRow, top int) {
	p.lineTable("lines that made others wait", g, top, func(b *analyze.Blame) (analyze.Party, bool) {
		return b.Holder, b.Holder.TID != nil && *b.Holder.TID != analyze.Nobody
	})
	p.programLines(g, top)
	p.lineTable("lines that waited", g, top, func(b *analyze.Blame) (analyze.Party, bool) { return b.Waiter, true })
}

// programLines shows where the program itself was, if the lines above are those of libraries.
func (p *page) programLines(g *analyze.GILRow, top int) {
	if !g.InLibraries() {
		return
	}
	p.line("")
	p.line("  %9s  %6s  %s", "waited", "share", "lines of the program itself, libraries left out, that made others wait")
	for _, l := range g.ProgramLines[:min(len(g.ProgramLines), top)] {
		if l.NS*200 < g.WaitNS {
			break
		}
		p.line("  %9s  %6s  %s", duration(l.NS), part(l.NS, g.WaitNS), place(l.Site))
	}
}

func (p *page) lineTable(title string, g *analyze.GILRow, top int, side func(*analyze.Blame) (analyze.Party, bool)) {
	sums := sumLines(g, side)
	if len(sums) < 2 {
		return // with one line the blame table says it all
	}
	p.line("")
	p.line("  %9s  %6s  %s", "waited", "share", title)
	for _, s := range sums[:min(len(sums), top)] {
		if s.ns*200 < g.WaitNS {
			break // what makes up less than half a percent is noise here
		}
		p.line("  %9s  %6s  %s", duration(s.ns), part(s.ns, g.WaitNS), s.where)
	}
}

func sumLines(g *analyze.GILRow, side func(*analyze.Blame) (analyze.Party, bool)) []lineSum {
	index := map[string]int{}
	var sums []lineSum
	for i := range g.Blame {
		who, ok := side(&g.Blame[i])
		if !ok {
			continue
		}
		where := place(who.Site)
		if where == "" {
			where = "no line known, " + party(who)
		}
		k, ok := index[where]
		if !ok {
			k = len(sums)
			index[where] = k
			sums = append(sums, lineSum{where: where})
		}
		sums[k].ns += g.Blame[i].WaitNS
	}
	slices.SortStableFunc(sums, func(a, b lineSum) int { return cmp.Compare(b.ns, a.ns) })
	return sums
}

// named is a thread of the report by number.
func named(r *analyze.Report, pid, tid int32) string {
	for i := range r.Threads {
		if r.Threads[i].PID == pid && r.Threads[i].TID == tid {
			return party(analyze.Party{TID: &tid, Name: r.Threads[i].Name})
		}
	}
	return fmt.Sprintf("thread %d", tid)
}
