package analyze

import "gilscope/internal/trace"

// culprit is who held the GIL for most of a thread's waits in a stretch of time,
// and on which line.
func (tl *Timeline) culprit(pid, tid int32, from, to trace.Time) *Party {
	type key struct {
		holder int32
		site   SiteID
	}
	sums := map[key]int64{}
	for i := range tl.GILs {
		g := &tl.GILs[i]
		if g.PID != pid {
			continue
		}
		for _, w := range g.Waits {
			if th := &tl.Threads[w.Thread]; th.TID != tid || th.PID != pid || w.End <= from || w.Start >= to {
				continue
			}
			for p := range g.Pieces(max(w.Start, from), min(w.End, to), tid) {
				k := key{holder: p.Holder}
				if p.Sample >= 0 {
					k.site = g.Samples[p.Sample].Site
				}
				if p.Holder > 0 {
					sums[k] += p.NS()
				}
			}
		}
	}
	var best key
	for k, ns := range sums {
		if ns > sums[best] || ns == sums[best] && (k.holder < best.holder || k.holder == best.holder && k.site < best.site) {
			best = k
		}
	}
	if best.holder <= 0 {
		return nil
	}
	who := tl.holderParty(pid, best.holder, best.site)
	return &who
}
