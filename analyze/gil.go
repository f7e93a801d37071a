package analyze

import (
	"cmp"
	"slices"

	"gilscope/internal/trace"
)

var gilAnalyzer = Analyzer{
	Name: "gil",
	Doc: "How long threads waited for each interpreter's GIL, and because of whom: every nanosecond of every wait is charged " +
		"to the thread that held the GIL at that moment and to the line it was at, by the next stack sample of the same hold " +
		"(the last one if none follows); " +
		"to \"handing over\" while nobody held it; or to \"unknown\". The parts sum to the wait.",
	Run: runGIL,
}

func runGIL(tl *Timeline, r *Report) {
	gaps := union(r.Recording.Losses)
	for i := range tl.GILs {
		g := &tl.GILs[i]
		row := GILRow{
			PID: g.PID, Interpreter: g.Interpreter, Waits: int64(len(g.Waits)),
			SwitchIntervalNS: tl.facts[g.PID].switchInterval(g.Interpreter),
			FullShare:        tl.FullShare(g.PID),
			ContendedShare:   share(g.ContendedNS, tl.NS()),
		}
		row.waits(g.Waits)
		row.uncertain(g.Waits, gaps)
		row.holdsOf(tl, g)
		row.accuracy(tl, g)
		tl.blame(g, &row)
		r.GIL = append(r.GIL, row)
	}
	r.pool(tl)
}

// pool fills the percentiles over all GILs, of which one has nothing to add to
// its own.
func (r *Report) pool(tl *Timeline) {
	if len(tl.GILs) == 1 {
		g := &r.GIL[0]
		r.pooled = pooled{g.Waits, g.holds, g.WaitP50NS, g.WaitP99NS, g.holdP99NS}
		return
	}
	var waits, holds []int64
	for i := range tl.GILs {
		for _, w := range tl.GILs[i].Waits {
			waits = append(waits, w.NS())
		}
		if r.GIL[i].holds == 0 {
			continue // none, or not all of them were recorded
		}
		for _, h := range tl.GILs[i].Holds {
			holds = append(holds, int64(h.End-h.Start))
		}
	}
	r.pooled.waits, r.pooled.holds = int64(len(waits)), int64(len(holds))
	r.pooled.waitP50NS, r.pooled.waitP99NS, _ = spread(waits)
	_, r.pooled.holdP99NS, _ = spread(holds)
}

func (row *GILRow) waits(waits []Wait) {
	ns := make([]int64, len(waits))
	for i, w := range waits {
		ns[i] = w.NS()
		row.WaitNS += ns[i]
	}
	row.WaitP50NS, row.WaitP99NS, row.WaitMaxNS = spread(ns)
}

// How accurate waits are, and when they are less so: both ends of a wait may be
// off by a few microseconds (5 on average), and who spins for the GIL never
// sleeps. Measured against uprobes in the same run (livetest: TestWaysAgree), 0.3 %
// and 3 %.
const (
	usualError, shortError = 0.02, 0.10
	shortWaitNS            = 400_000 // on average
	shortTakesPerS         = 100_000
	fewWaits               = 20
)

// accuracy says how far off the waits may be.
func (row *GILRow) accuracy(tl *Timeline, g *GIL) {
	row.WaitErrorShare = usualError
	n, ok := tl.facts[g.PID].counted(g.Interpreter)
	if ok {
		row.Switches = &n.switches
	}
	often := tl.NS() > 0 && float64(n.takes)/float64(tl.NS())*1e9 > shortTakesPerS
	if often || row.Waits >= fewWaits && row.WaitNS/row.Waits < shortWaitNS {
		row.WaitErrorShare = shortError
	}
}

// holdsOf fills what only full detail knows.
func (row *GILRow) holdsOf(tl *Timeline, g *GIL) {
	if !tl.Full(g.PID) {
		return
	}
	var held, forced, voluntary int64
	ns := make([]int64, len(g.Holds))
	for i, h := range g.Holds {
		ns[i] = int64(h.End - h.Start)
		held += ns[i]
		switch h.Reason {
		case trace.DropForced:
			forced++
		case trace.DropVoluntary:
			voluntary++
		}
	}
	row.BusyShare = share(min(held, tl.NS()), tl.NS())
	row.Switching.ForcedDrops, row.Switching.VoluntaryDrops = &forced, &voluntary
	row.holds = int64(len(ns))
	_, row.holdP99NS, row.holdMaxNS = spread(ns)
}

// blameKey is one row of the ledger, in ids.
type blameKey struct {
	waiter, holder         int32 // waiter: thread index; holder: tid, Nobody or Unknown
	waiterSite, holderSite SiteID
}

type blameSum struct {
	ns, busyNS, waits int64
	lastWait          int // so that a wait in many pieces counts once
}

func (tl *Timeline) blame(g *GIL, row *GILRow) {
	index := make(map[blameKey]int32)
	var keys []blameKey
	var sums []blameSum
	lines := programSums{tl: tl}
	for i, w := range g.Waits {
		key := blameKey{waiter: w.Thread, waiterSite: tl.SiteOf(w.Stack)}
		for p := range g.Pieces(w.Start, w.End, tl.Threads[w.Thread].TID) {
			key.holder, key.holderSite = p.Holder, 0
			if p.Sample >= 0 {
				key.holderSite = g.Samples[p.Sample].Site
				lines.add(g.Samples[p.Sample].Stack, p.NS())
			}
			k, ok := index[key]
			if !ok {
				k = int32(len(sums))
				index[key] = k
				keys, sums = append(keys, key), append(sums, blameSum{lastWait: -1})
			}
			sums[k].add(p, i, &row.Causes)
		}
	}
	row.ProgramLines, row.inLibraries = lines.lines(), lines.library
	row.Blame = make([]Blame, 0, len(sums))
	for k := range sums {
		row.Blame = append(row.Blame, tl.blameRow(keys[k], sums[k]))
	}
	slices.SortStableFunc(row.Blame, func(x, y Blame) int {
		return cmp.Or(cmp.Compare(y.WaitNS, x.WaitNS), cmp.Compare(*x.Waiter.TID, *y.Waiter.TID))
	})
}

func (s *blameSum) add(p Piece, wait int, causes *Causes) {
	s.ns += p.NS()
	switch {
	case p.Holder == Nobody:
		causes.HandoffNS += p.NS()
	case p.Asked:
		causes.HolderBusyNS += p.NS()
		s.busyNS += p.NS()
	default:
		causes.BeforeRequestNS += p.NS()
	}
	if s.lastWait != wait {
		s.lastWait = wait
		s.waits++
	}
}

func (tl *Timeline) blameRow(k blameKey, s blameSum) Blame {
	waiter := &tl.Threads[k.waiter]
	return Blame{
		Waiter: Party{TID: &waiter.TID, Name: waiter.Name, Site: tl.row(k.waiterSite)},
		Holder: tl.holderParty(waiter.PID, k.holder, k.holderSite),
		WaitNS: s.ns, Waits: s.waits, busyNS: s.busyNS,
	}
}

func (tl *Timeline) holderParty(pid, tid int32, site SiteID) Party {
	switch tid {
	case Unknown:
		return Party{Name: "unknown"}
	case Nobody:
		return Party{TID: &tid, Name: "handing over"}
	}
	return Party{TID: &tid, Name: tl.threadName(pid, tid), Site: tl.row(site)}
}

func (tl *Timeline) threadName(pid, tid int32) string {
	if i, ok := tl.threadOf[threadKey(pid, tid)]; ok {
		return tl.Threads[i].Name
	}
	return ""
}
