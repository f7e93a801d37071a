package analyze

import (
	"cmp"
	"slices"
	"sort"

	"gilscope/internal/trace"
)

// losses are the stretches with losses, within the recording.
func losses(tl *Timeline) []Loss {
	out := []Loss{}
	for _, n := range tl.Trace.Notes {
		if n.Name != trace.NoteLost {
			continue
		}
		events, _ := number(n, "events")
		cpu, _ := number(n, "cpu")
		end := min(max(n.Time, tl.Start), tl.End)
		at, _ := number(n, "begin_ns") // without one, any time before
		begin := min(max(trace.Time(at), tl.Start), end)
		out = append(out, Loss{BeginNS: int64(begin), EndNS: int64(end), CPU: cpu, Events: max(events, 0)})
	}
	slices.SortFunc(out, func(a, b Loss) int {
		return cmp.Or(cmp.Compare(a.BeginNS, b.BeginNS), cmp.Compare(a.EndNS, b.EndNS), cmp.Compare(a.CPU, b.CPU))
	})
	return out
}

// gap is a time in which some CPU lost events.
type gap struct{ from, to int64 }

// union is the time in which any CPU lost events: a thread may have been on
// each of them.
func union(losses []Loss) []gap {
	var out []gap
	for _, l := range losses {
		if n := len(out); n > 0 && l.BeginNS <= out[n-1].to {
			out[n-1].to = max(out[n-1].to, l.EndNS)
			continue
		}
		out = append(out, gap{l.BeginNS, l.EndNS})
	}
	return out
}

// touch says whether one of the gaps, which are in order, touches a time.
func touch(gaps []gap, from, to int64) bool {
	i := sort.Search(len(gaps), func(i int) bool { return gaps[i].to >= from })
	return i < len(gaps) && gaps[i].from <= to
}

// uncertain counts the waits that a loss may have falsified.
func (row *GILRow) uncertain(waits []Wait, gaps []gap) {
	if len(gaps) == 0 {
		return
	}
	for _, w := range waits {
		if touch(gaps, int64(w.Start), int64(w.End)) {
			row.UncertainWaits++
			row.UncertainWaitNS += w.NS()
		}
	}
}

// LossNS is the time in which any CPU lost events, and in how many stretches.
func (r *Recording) LossNS() (ns int64, stretches int) {
	gaps := union(r.Losses)
	for _, g := range gaps {
		ns += g.to - g.from
	}
	return ns, len(gaps)
}
