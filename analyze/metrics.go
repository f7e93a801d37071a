package analyze

import (
	"fmt"
	"slices"
)

// Unit is what a metric counts.
type Unit uint8

// Units of metrics.
const (
	Duration Unit = iota // integer ns
	Percent              // share of the recording, 0..1
	Count
)

// Metric is one number of a report that a budget can limit.
type Metric struct {
	Name string
	Doc  string
	Unit Unit
	get  func(*Report) reading
}

// reading is a metric's value in one report, or why it has none.
type reading struct {
	value float64 // ns, share or count
	why   string  // not "": inconclusive
}

// minSamples is how many waits a percentile needs to mean anything.
const minSamples = 20

// Metrics is the catalogue. Where a recording has several GILs (processes, or
// interpreters), totals are their sum, maxima and shares those of the worst GIL,
// and a percentile is the highest of: that of all GILs together, and that of each
// GIL with enough values for one. The first keeps many processes with a few long
// waits each from passing unseen, the second one bad process among many good ones.
var Metrics = slices.Concat([]Metric{
	{"gil.wait.p50", "median GIL wait", Duration, func(r *Report) reading {
		return percentile(r, r.pooled.waitP50NS, func(g *GILRow) *int64 { return g.WaitP50NS })
	}},
	{"gil.wait.p99", "99th percentile of GIL waits", Duration, func(r *Report) reading {
		return percentile(r, r.pooled.waitP99NS, func(g *GILRow) *int64 { return g.WaitP99NS })
	}},
	{"gil.wait.max", "longest GIL wait", Duration, waitMax},
	{"gil.wait.total", "sum of all GIL waits of all threads", Duration, waitTotal},
	{"gil.wait.share", "part of the recording in which at least one thread waited for the GIL", Percent, waitShare},
	{"gil.hold.p99", "99th percentile of GIL holds (detail full)", Duration, holdP99},
	{"gil.hold.max", "longest GIL hold (detail full)", Duration, holdMax},
	{"loop.block.max", "longest block of an event loop", Duration, func(r *Report) reading {
		return loopReading(r, func(l *LoopRow) (v float64) {
			for i := range l.Blocks {
				v = max(v, float64(l.Blocks[i].DurationNS))
			}
			return v
		})
	}},
	{"loop.block.count", "blocks of all event loops", Count, func(r *Report) reading {
		n := 0
		for i := range r.Loops {
			n += len(r.Loops[i].Blocks)
		}
		sum := loopReading(r, func(*LoopRow) float64 { return 0 })
		sum.value = float64(n)
		return sum
	}},
	{"loop.utilization", "part of the time in which the busiest event loop did not wait for events", Percent, func(r *Report) reading {
		return loopReading(r, func(l *LoopRow) float64 {
			if l.Utilization == nil {
				return 0
			}
			return *l.Utilization
		})
	}},
	{"recording.lost", "events that were lost", Count, func(r *Report) reading { return reading{value: float64(r.Recording.LostEvents)} }},
}, lagMetrics, lockMetrics, threadMetrics)

func metric(name string) (Metric, bool) {
	for _, m := range Metrics {
		if m.Name == name {
			return m, true
		}
	}
	return Metric{}, false
}

// loopReading is the highest value of all event loops.
func loopReading(r *Report, of func(*LoopRow) float64) reading {
	if len(r.Loops) == 0 {
		return reading{why: "no event loop was recorded"}
	}
	worst := 0.0
	for i := range r.Loops {
		worst = max(worst, of(&r.Loops[i]))
	}
	return reading{value: worst}
}

// percentile is the highest of all waits together and of each GIL with enough
// of them. Without any wait at all it is 0: nothing waited.
func percentile(r *Report, pooled *int64, of func(*GILRow) *int64) reading {
	switch n := r.pooled.waits; {
	case n == 0 || pooled == nil:
		return reading{}
	case n < minSamples:
		return reading{why: fmt.Sprintf("a percentile needs %d waits, there are %d; record longer", minSamples, n)}
	}
	worst := *pooled
	for i := range r.GIL {
		if v := of(&r.GIL[i]); v != nil && r.GIL[i].Waits >= minSamples {
			worst = max(worst, *v)
		}
	}
	return reading{value: float64(worst)}
}

func waitMax(r *Report) reading {
	var v int64
	for _, g := range r.GIL {
		if g.WaitMaxNS != nil {
			v = max(v, *g.WaitMaxNS)
		}
	}
	return reading{value: float64(v)}
}

func waitTotal(r *Report) reading {
	var v int64
	for _, g := range r.GIL {
		v += g.WaitNS
	}
	return reading{value: float64(v)}
}

func waitShare(r *Report) reading {
	var v float64
	for _, g := range r.GIL {
		if g.ContendedShare != nil {
			v = max(v, *g.ContendedShare)
		}
	}
	return reading{value: v}
}

const needsFull = "holds are recorded at detail full only; record with --detail full"

func holdMax(r *Report) reading {
	if !r.holdsKnown() {
		return reading{why: needsFull}
	}
	var worst int64
	for i := range r.GIL {
		if v := r.GIL[i].holdMaxNS; v != nil {
			worst = max(worst, *v)
		}
	}
	return reading{value: float64(worst)}
}

// holdP99 is made up of several GILs as percentile is.
func holdP99(r *Report) reading {
	n, pooled := r.pooled.holds, r.pooled.holdP99NS
	switch {
	case !r.holdsKnown():
		return reading{why: needsFull}
	case n == 0 || pooled == nil:
		return reading{}
	case n < minSamples:
		return reading{why: fmt.Sprintf("a percentile needs %d holds, there are %d; record longer", minSamples, n)}
	}
	worst := *pooled
	for i := range r.GIL {
		if v := r.GIL[i].holdP99NS; v != nil && r.GIL[i].holds >= minSamples {
			worst = max(worst, *v)
		}
	}
	return reading{value: float64(worst)}
}

// holdsKnown says that every hold of every GIL was recorded: one GIL without them
// leaves the worst one unknown.
func (r *Report) holdsKnown() bool {
	if r.Recording.Detail == nil || *r.Recording.Detail != detailFull {
		return false
	}
	for i := range r.GIL {
		if r.GIL[i].BusyShare == nil {
			return false
		}
	}
	return true
}
