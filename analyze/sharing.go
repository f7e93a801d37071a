package analyze

import "fmt"

var convoyAnalyzer = Analyzer{
	Name: "gil.convoy",
	Doc: "A thread that does short work between I/O pays about one switch interval each time, because a CPU-bound thread holds the GIL. " +
		"The cost is that waited time, without what a gil.hog accounts for.",
	Run: runConvoy,
}

func runConvoy(tl *Timeline, r *Report) {
	for i := range tl.GILs {
		g := &tl.GILs[i]
		var found []Finding
		for _, c := range r.GIL[i].Switching.Convoys {
			cost := c.CostNS - c.busyNS
			// Mostly after the request: then a C call is to blame, not the interval.
			if c.busyNS*2 > c.CostNS || !tl.worth(cost) {
				continue
			}
			victim := c.VictimTID
			found = append(found, Finding{
				Rule: "gil.convoy", Severity: tl.severity(cost), CostNS: cost, PID: &g.PID, TID: &victim,
				Title: fmt.Sprintf("%s waits a switch interval each time behind %s", tl.threadLabel(victim), tl.threadLabel(c.HolderTID)),
				Advice: "Move the CPU-bound work to another process. If it must stay, a shorter sys.setswitchinterval() lowers this wait " +
					"in proportion, at the price of more switches.",
				Evidence: fmt.Sprintf("%d waits in runs of at least %d, %s each on average", c.Cycles, minCycles, ms(c.CostNS/c.Cycles)),
			})
		}
		r.find(found)
	}
}

var cpuThreadsAnalyzer = Analyzer{
	Name: "gil.cpu_threads",
	Doc: "Several threads that would all compute share one GIL, so they take turns. A thread counts as CPU-bound if it either ran or " +
		"waited for the GIL in at least 80 % of its life. The cost is what they waited for each other, without hogs and handoffs.",
	Run: runCPUThreads,
}

func runCPUThreads(tl *Timeline, r *Report) {
	for i := range tl.GILs {
		g, row := &tl.GILs[i], &r.GIL[i]
		bound := tl.cpuBound(g, row)
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
		r.find([]Finding{{
			Rule: "gil.cpu_threads", Severity: tl.severity(cost), CostNS: cost, PID: &g.PID,
			Title: fmt.Sprintf("%d CPU-bound threads share one GIL", len(members)),
			Advice: "Threads do not make pure Python faster: use processes (concurrent.futures.ProcessPoolExecutor), " +
				"a free-threaded build, or code that releases the GIL while it computes.",
			Evidence: fmt.Sprintf("they waited %s for each other in %s", ms(cost), ms(tl.NS())),
		}})
	}
}

// cpuBound finds the threads of a GIL's process that ran or wanted to. Victims
// of a convoy are left out: their time has a finding already.
func (tl *Timeline) cpuBound(g *GIL, row *GILRow) map[int32]bool {
	waited := make(map[int32]int64)
	for _, w := range g.Waits {
		waited[w.Thread] += w.NS()
	}
	bound := make(map[int32]bool)
	for i := range tl.Threads {
		th := &tl.Threads[i]
		life := int64(th.End - th.Start)
		ran, known := th.In(Running, th.Start, th.End)
		if th.PID == g.PID && known && ran*20 >= life && (ran+waited[int32(i)])*10 >= life*8 {
			bound[th.TID] = true
		}
	}
	for _, c := range row.Switching.Convoys {
		delete(bound, c.VictimTID)
	}
	return bound
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
