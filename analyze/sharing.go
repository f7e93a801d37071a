package analyze

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

var convoyAnalyzer = Analyzer{
	Name: "gil.convoy",
	Doc: "A thread that does short work between I/O pays about one switch interval each time, because a CPU-bound thread holds the GIL. " +
		"The cost is that waited time, without what a gil.hog accounts for.",
	Run: runConvoy,
}

func runConvoy(tl *Timeline, r *Report) {
	for i := range tl.GILs {
		g := &tl.GILs[i]
		byVictim := make(map[int32][]Convoy)
		for _, c := range r.GIL[i].Switching.Convoys {
			byVictim[c.VictimTID] = append(byVictim[c.VictimTID], c)
		}
		var found []Finding
		for victim, convoys := range byVictim {
			if f, ok := tl.convoyFinding(g, victim, convoys); ok {
				found = append(found, f)
			}
		}
		slices.SortFunc(found, func(x, y Finding) int { return cmp.Compare(*x.TID, *y.TID) })
		r.find(found)
	}
}

// convoyFinding is one finding for a victim, whoever it waits behind.
func (tl *Timeline) convoyFinding(g *GIL, victim int32, convoys []Convoy) (Finding, bool) {
	var total, busy, cycles int64
	var holders []string
	for _, c := range convoys {
		total, busy, cycles = total+c.CostNS, busy+c.busyNS, max(cycles, c.Cycles)
		holders = append(holders, tl.threadLabel(g.PID, c.HolderTID))
	}
	cost := total - busy
	// Mostly after the request: then a C call is to blame, not the interval.
	if busy*2 > total || !tl.worth(cost) {
		return Finding{}, false
	}
	if more := len(holders) - maxFindings; more > 0 {
		holders = append(holders[:maxFindings], fmt.Sprintf("%d more", more))
	}
	return Finding{
		Rule: "gil.convoy", Severity: tl.severity(cost), CostNS: cost, PID: &g.PID, TID: &victim,
		Title: fmt.Sprintf("%s waits a switch interval each time behind %s", tl.threadLabel(g.PID, victim), strings.Join(holders, ", ")),
		Advice: "Move the CPU-bound work to another process. If it must stay, a shorter sys.setswitchinterval() lowers this wait " +
			"in proportion, at the price of more switches.",
		Evidence: fmt.Sprintf("at least %d such waits, never fewer than %d in a row; %s waited for CPU-bound holders", cycles, minCycles, ms(total)),
	}, true
}

var cpuThreadsAnalyzer = Analyzer{
	Name: "gil.cpu_threads",
	Doc: "Several threads that would all compute share one GIL, so they take turns. A thread counts as CPU-bound if it was " +
		"blocked for anything but the GIL in at most 20 % of its life, and does not wait in convoys for the larger part. The cost is what they waited for each other, without hogs and handoffs.",
	Run: runCPUThreads,
}

func runCPUThreads(tl *Timeline, r *Report) {
	threads := tl.threadsByPID()
	for i := range tl.GILs {
		g, row := &tl.GILs[i], &r.GIL[i]
		if !tl.worth(row.WaitNS) {
			continue // the cost is a part of that
		}
		bound := tl.cpuBound(g, row, threads[g.PID])
		var cost int64
		members := make(map[int32]bool)
		for _, b := range row.Blame {
			if b.Holder.TID != nil && bound[*b.Waiter.TID] && bound[*b.Holder.TID] {
				cost += b.WaitNS - b.busyNS
				members[*b.Waiter.TID], members[*b.Holder.TID] = true, true
			}
		}
		if len(members) < 2 || !tl.worth(cost) {
			continue
		}
		f := Finding{
			Rule: "gil.cpu_threads", Severity: tl.severity(cost), CostNS: cost, PID: &g.PID,
			Title: fmt.Sprintf("%d CPU-bound threads share one GIL", len(members)),
			Advice: "Threads do not make pure Python faster: use processes (concurrent.futures.ProcessPoolExecutor), " +
				"a free-threaded build, or code that releases the GIL while it computes.",
			Evidence: fmt.Sprintf("they waited %s for each other in %s", ms(cost), ms(tl.NS())),
		}
		row.nameProgramLine(&f)
		r.find([]Finding{f})
	}
}

// nameProgramLine puts the line of the program for which the GIL was waited most into a finding.
func (row *GILRow) nameProgramLine(f *Finding) {
	if len(row.ProgramLines) == 0 {
		return
	}
	if l := row.ProgramLines[0]; l.Site != nil {
		where := plainSite(l.Site).siteLabel()
		f.Site = l.Site
		f.Title += ", most of all for " + where
		f.Evidence += fmt.Sprintf("; %.0f %% of what all threads waited for the GIL was while somebody held it there", 100*float64(l.NS)/float64(max(row.WaitNS, 1)))
	}
}

// threadsByPID is the indices of each process's threads.
func (tl *Timeline) threadsByPID() map[int32][]int32 {
	list := make(map[int32][]int32)
	for i := range tl.Threads {
		pid := tl.Threads[i].PID
		list[pid] = append(list[pid], int32(i))
	}
	return list
}

// cpuBound finds those of the threads of a GIL's process that ran or wanted to. Who mostly waits in
// convoys is left out: that time has a finding already.
func (tl *Timeline) cpuBound(g *GIL, row *GILRow, threads []int32) map[int32]bool {
	inWait := make(map[int32]int64) // blocked for the GIL, by thread index
	for _, w := range g.Waits {
		ns, _ := tl.Threads[w.Thread].In(Blocked, w.Start, w.End)
		inWait[w.Thread] += ns
	}
	bound := make(map[int32]bool)
	for _, i := range threads {
		th := &tl.Threads[i]
		life := int64(th.End - th.Start)
		ran, known := th.In(Running, th.Start, th.End)
		blocked, _ := th.In(Blocked, th.Start, th.End)
		if known && ran*20 >= life && (blocked-inWait[i])*5 <= life {
			bound[th.TID] = true
		}
	}
	for _, tid := range mostlyConvoyed(tl, g, row) {
		delete(bound, tid)
	}
	return bound
}

// mostlyConvoyed are the threads whose waits are convoys for the larger part. Threads that compute much
// and do a little I/O are in convoys behind each other, too, but those are not why they wait.
func mostlyConvoyed(tl *Timeline, g *GIL, row *GILRow) []int32 {
	waited, convoyed := map[int32]int64{}, map[int32]int64{}
	for _, w := range g.Waits {
		waited[tl.Threads[w.Thread].TID] += w.NS()
	}
	var list []int32
	for _, c := range row.Switching.Convoys {
		convoyed[c.VictimTID] += c.CostNS
	}
	for tid, ns := range convoyed {
		if ns*2 > waited[tid] {
			list = append(list, tid)
		}
	}
	return list
}

var shortHoldsAnalyzer = Analyzer{
	Name: "gil.short_holds",
	Doc: "The GIL changes hands so often that handing it over costs a large part of the waited time. The cost is the time in which " +
		"somebody waited and nobody held the GIL.",
	Run: runShortHolds,
}

func runShortHolds(tl *Timeline, r *Report) {
	for i := range tl.GILs {
		g, row := &tl.GILs[i], &r.GIL[i]
		cost := row.Causes.HandoffNS
		if row.Waits < 100 || cost*4 < row.WaitNS || !tl.worth(cost) {
			continue
		}
		switches, held := g.switches()
		// Long holds with slow handoffs are a lack of CPUs, which is another matter.
		if switches == 0 || held/switches*10 > intervalOr(row.SwitchIntervalNS) {
			continue
		}
		r.find([]Finding{{
			Rule: "gil.short_holds", Severity: tl.severity(cost), CostNS: cost, PID: &g.PID,
			Title: fmt.Sprintf("the GIL changes hands %.4g times a second", float64(switches)*1e9/float64(max(tl.NS(), 1))),
			Advice: "Many threads take the GIL for very short pieces of work. Use fewer threads, do more work per blocking call " +
				"(larger reads, batches), or an event loop.",
			Evidence: fmt.Sprintf("%d switches, %s held on average, %s of %s waited while nobody held it",
				switches, ms(held/switches), ms(cost), ms(row.WaitNS)),
		}})
	}
}

// switches counts the stretches that follow a different holder, and how long all holders held.
func (g *GIL) switches() (n, heldNS int64) {
	last := Unknown
	for _, s := range g.Lane {
		if s.TID <= 0 {
			continue
		}
		heldNS += int64(s.End - s.Start)
		if last > 0 && s.TID != last {
			n++
		}
		last = s.TID
	}
	return n, heldNS
}
