package analyze

import (
	"sort"

	"gilscope/internal/trace"
)

var switchingAnalyzer = Analyzer{
	Name: "switching",
	Doc: "How the GIL changes hands. A waiter asks for a drop when its switch interval expires; request_to_drop is from the " +
		"first request in a hold to its end. Pure Python answers within microseconds, a C call that keeps the GIL when it returns. " +
		"A convoy is a thread that waits about an interval, again and again, for one CPU-bound holder, with little work in between.",
	Run: runSwitching,
}

func runSwitching(tl *Timeline, r *Report) {
	for i := range tl.GILs {
		g, s := &tl.GILs[i], &r.GIL[i].Switching
		s.DropRequests, s.WhatIf = g.Requests, []WhatIf{}
		s.answers(g)
		if tl.Full(g.PID) {
			s.handoffs(tl, g)
		}
		s.Convoys = tl.convoys(g, intervalOr(r.GIL[i].SwitchIntervalNS))
	}
}

// defaultInterval is sys.getswitchinterval() of an untouched interpreter
// (DEFAULT_INTERVAL in CPython's Python/ceval_gil.c).
const defaultInterval = 5_000_000

func intervalOr(ns *int64) int64 {
	if ns == nil {
		return defaultInterval
	}
	return *ns
}

// answers fills request_to_drop from the stretches whose end was seen.
func (s *Switching) answers(g *GIL) {
	var ns []int64
	for _, st := range g.Lane {
		if st.TID > 0 && st.Asked != noTime && !st.Open {
			ns = append(ns, int64(st.End-st.Asked))
		}
	}
	s.RequestToDropP50NS, s.RequestToDropP99NS, s.RequestToDropMaxNS = spread(ns)
}

// handoffs fills the hand-off latency: how long nobody held the GIL before a
// waiter took it. Only takes and drops that were seen tell it to the microsecond.
func (s *Switching) handoffs(tl *Timeline, g *GIL) {
	var ns []int64
	for _, w := range g.Waits {
		i := sort.Search(len(g.Lane), func(i int) bool { return g.Lane[i].Start >= w.End })
		if w.Outcome != trace.WaitTaken || i == 0 || i == len(g.Lane) || g.Lane[i].Start != w.End || g.Lane[i].Thread != w.Thread {
			continue
		}
		gap := int64(0)
		if before := g.Lane[i-1]; before.TID == Nobody {
			gap = int64(before.End - before.Start)
		}
		ns = append(ns, gap)
	}
	s.HandoffP50NS, s.HandoffP99NS, s.HandoffMaxNS = spread(ns)
}
