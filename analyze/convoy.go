package analyze

import (
	"cmp"
	"slices"

	"gilscope/internal/trace"
)

// minCycles is how often in a row a victim must wait before it is a convoy and
// not a coincidence.
const minCycles = 5

// chain is a run of waits of one victim behind one holder.
type chain struct {
	total, cur Convoy
	end        trace.Time // of the last wait
}

type pair struct{ victim, holder int32 }

// convoys finds them among the waits of one GIL. A wait counts if it lasts about
// the interval, one CPU-bound holder answers for most of it, and the victim has
// run for less than half an interval since the wait before: two CPU-bound
// threads, which run a whole interval each, are no convoy.
func (tl *Timeline) convoys(g *GIL, interval int64) []Convoy {
	chains := make(map[pair]*chain)
	for _, w := range g.Waits {
		if w.NS()*10 < interval*8 {
			continue
		}
		victim := &tl.Threads[w.Thread]
		holder, ns, busy := tl.cpuHolder(g, w, victim.TID)
		if holder == none || ns*2 < w.NS() {
			continue
		}
		key := pair{victim.TID, tl.Threads[holder].TID}
		c := chains[key]
		if c == nil {
			c = &chain{end: w.Start}
			chains[key] = c
		}
		if victim.worked(c.end, w.Start)*2 >= interval {
			c.flush()
		}
		c.cur.Cycles++
		c.cur.CostNS += ns
		c.cur.busyNS += busy
		c.end = w.End
	}
	found := []Convoy{}
	for key, c := range chains {
		c.flush()
		if c.total.Cycles > 0 {
			c.total.VictimTID, c.total.HolderTID = key.victim, key.holder
			found = append(found, c.total)
		}
	}
	slices.SortFunc(found, func(x, y Convoy) int {
		return cmp.Or(cmp.Compare(y.CostNS, x.CostNS), cmp.Compare(x.VictimTID, y.VictimTID), cmp.Compare(x.HolderTID, y.HolderTID))
	})
	return found
}

// flush ends the run of waits and keeps it if it was long enough.
func (c *chain) flush() {
	if c.cur.Cycles >= minCycles {
		c.total.Cycles += c.cur.Cycles
		c.total.CostNS += c.cur.CostNS
		c.total.busyNS += c.cur.busyNS
	}
	c.cur = Convoy{}
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

// part is what one holder answers for in one wait.
type part struct {
	thread         int32
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

// cpuHolder is the computing thread that answers for the largest part of a wait.
func (tl *Timeline) cpuHolder(g *GIL, w Wait, waiter int32) (thread int32, ns, busy int64) {
	best, cur := part{thread: none}, part{thread: none}
	for p := range g.Pieces(w.Start, w.End, waiter) {
		if p.Holder <= 0 || g.Lane[p.Stretch].Thread == none {
			continue
		}
		if holder := g.Lane[p.Stretch].Thread; holder != cur.thread {
			best, cur = larger(best, cur), part{thread: holder}
		}
		on, known := tl.Threads[cur.thread].In(Running, p.Start, p.End)
		cur.ns, cur.cpu, cur.watched = cur.ns+p.NS(), cur.cpu+on, cur.watched || known
		if p.Asked {
			cur.asked, cur.busy = true, cur.busy+p.NS()
		}
	}
	best = larger(best, cur)
	return best.thread, best.ns, best.busy
}

func larger(best, cur part) part {
	if cur.ns > best.ns && cur.computing() {
		return cur
	}
	return best
}
