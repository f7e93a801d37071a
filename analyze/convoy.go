package analyze

import (
	"cmp"
	"slices"
	"sort"

	"gilscope/internal/trace"
)

// minCycles is how often in a row a victim must wait before it is a convoy and
// not a coincidence.
const minCycles = 5

// maxHolders bounds the holders of one wait that can make a convoy: it takes a
// few long holds, not many short ones (and the list below stays short).
const maxHolders = 32

// chain is a run of waits of one victim with little work in between.
type chain struct {
	cycles int64
	parts  []part     // by holder, of the run so far
	end    trace.Time // of the last wait
}

type pair struct{ victim, holder int32 }

// convoys finds them among the waits of one GIL. A wait counts if it lasts about
// the interval, CPU-bound holders answer for most of it, and the victim has run
// for less than half an interval since the wait before: two CPU-bound threads,
// which run a whole interval each, are no convoy.
func (tl *Timeline) convoys(g *GIL, interval int64) []Convoy {
	chains := make(map[int32]*chain)
	found := make(map[pair]*Convoy)
	for _, w := range g.Waits {
		if w.NS()*10 < interval*8 {
			continue
		}
		parts, ns := tl.computingHolders(g, w)
		if ns*2 < w.NS() {
			continue
		}
		c := chains[w.Thread]
		if c == nil {
			c = &chain{end: w.Start}
			chains[w.Thread] = c
		}
		th := &tl.Threads[w.Thread]
		if max(th.worked(c.end, w.Start), g.heldBy(th.TID, c.end, w.Start))*2 >= interval {
			tl.flush(c, w.Thread, found)
		}
		c.cycles++
		c.parts = merge(c.parts, parts)
		c.end = w.End
	}
	for victim, c := range chains {
		tl.flush(c, victim, found)
	}
	list := []Convoy{}
	for _, c := range found {
		if c.Cycles >= minCycles {
			list = append(list, *c)
		}
	}
	slices.SortFunc(list, func(x, y Convoy) int {
		return cmp.Or(cmp.Compare(y.CostNS, x.CostNS), cmp.Compare(x.VictimTID, y.VictimTID), cmp.Compare(x.HolderTID, y.HolderTID))
	})
	return list
}

// flush ends the run of waits and keeps it if it was long enough.
func (tl *Timeline) flush(c *chain, victim int32, found map[pair]*Convoy) {
	if c.cycles >= minCycles {
		for _, p := range c.parts {
			key := pair{victim, p.thread}
			if found[key] == nil {
				found[key] = &Convoy{VictimTID: tl.Threads[victim].TID, HolderTID: tl.Threads[p.thread].TID}
			}
			found[key].Cycles += p.waits
			found[key].CostNS += p.ns
			found[key].busyNS += p.busy
		}
	}
	c.cycles, c.parts = 0, nil
}

// heldBy is how long the lane shows the thread as the holder between two
// moments: who sleeps in a C call that keeps the GIL is no victim of a convoy.
func (g *GIL) heldBy(tid int32, from, to trace.Time) (ns int64) {
	i := sort.Search(len(g.Lane), func(i int) bool { return g.Lane[i].End > from })
	for ; i < len(g.Lane) && g.Lane[i].Start < to; i++ {
		if g.Lane[i].TID == tid {
			ns += int64(min(to, g.Lane[i].End) - max(from, g.Lane[i].Start))
		}
	}
	return ns
}

// worked is how long the thread ran between two moments. Without scheduling
// events the whole time has to count as work, or sleep would pass for a convoy.
func (t *Thread) worked(from, to trace.Time) int64 {
	if len(t.States) == 0 {
		return int64(to - from)
	}
	ns, _ := t.In(Running, from, to)
	return ns
}

// part is what one holder answers for in one wait, or in several.
type part struct {
	thread         int32
	waits          int64
	ns, busy, cpu  int64
	asked, watched bool // watched: its scheduling is known
}

// computing says that the holder was busy with the CPU: on one for half of the
// time at least or, where the scheduler was not recorded, had to be asked to drop.
func (p part) computing() bool {
	if p.watched {
		return p.cpu*2 >= p.ns
	}
	return p.asked
}

// merge adds parts by thread. There are few holders to a wait, so a list will do.
func merge(to, from []part) []part {
	for _, p := range from {
		i := slices.IndexFunc(to, func(q part) bool { return q.thread == p.thread })
		if i < 0 {
			to = append(to, p)
			continue
		}
		q := &to[i]
		q.waits, q.ns, q.busy, q.cpu = q.waits+p.waits, q.ns+p.ns, q.busy+p.busy, q.cpu+p.cpu
		q.asked, q.watched = q.asked || p.asked, q.watched || p.watched
	}
	return to
}

// computingHolders are the threads that computed while w waited for them, and
// the time that they answer for together.
func (tl *Timeline) computingHolders(g *GIL, w Wait) (parts []part, ns int64) {
	for p := range g.Pieces(w.Start, w.End, tl.Threads[w.Thread].TID) {
		if p.Holder <= 0 || g.Lane[p.Stretch].Thread == none {
			continue
		}
		one := part{thread: g.Lane[p.Stretch].Thread, ns: p.NS(), asked: p.Asked}
		one.cpu, one.watched = tl.Threads[one.thread].In(Running, p.Start, p.End)
		if p.Asked {
			one.busy = p.NS()
		}
		if parts = merge(parts, []part{one}); len(parts) > maxHolders {
			return nil, 0
		}
	}
	parts = slices.DeleteFunc(parts, func(p part) bool { return !p.computing() })
	for i := range parts {
		parts[i].waits = 1
		ns += parts[i].ns
	}
	return parts, ns
}
