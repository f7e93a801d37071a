package analyze

import "fmt"

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

// Metrics is the catalogue. Where a recording has several GILs, the worst one
// counts, and their sum for totals.
var Metrics = []Metric{
	{"gil.wait.p50", "median GIL wait", Duration, func(r *Report) reading { return percentile(r, func(g *GILRow) *int64 { return g.WaitP50NS }) }},
	{"gil.wait.p99", "99th percentile of GIL waits", Duration, func(r *Report) reading { return percentile(r, func(g *GILRow) *int64 { return g.WaitP99NS }) }},
	{"gil.wait.max", "longest GIL wait", Duration, waitMax},
	{"gil.wait.total", "sum of all GIL waits of all threads", Duration, waitTotal},
	{"gil.wait.share", "part of the recording in which at least one thread waited for the GIL", Percent, waitShare},
	{"gil.hold.p99", "99th percentile of GIL holds (detail full)", Duration, holdP99},
	{"gil.hold.max", "longest GIL hold (detail full)", Duration, holdMax},
	{"recording.lost", "events that were lost", Count, func(r *Report) reading { return reading{value: float64(r.Recording.LostEvents)} }},
}

func metric(name string) (Metric, bool) {
	for _, m := range Metrics {
		if m.Name == name {
			return m, true
		}
	}
	return Metric{}, false
}

// percentile is the worst of the GILs with enough waits. Without any wait at all
// it is 0: nothing waited. A GIL with a few waits is no reason to doubt another.
func percentile(r *Report, of func(*GILRow) *int64) reading {
	var worst, most int64
	enough := false
	for i := range r.GIL {
		g := &r.GIL[i]
		most = max(most, g.Waits)
		if v := of(g); v != nil && g.Waits >= minSamples {
			worst, enough = max(worst, *v), true
		}
	}
	if most > 0 && !enough {
		return reading{why: fmt.Sprintf("a percentile needs %d waits, there are %d; record longer", minSamples, most)}
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
	return holds(r, func(g *GILRow) (*int64, bool) { return g.holdMaxNS, true })
}

func holdP99(r *Report) reading {
	return holds(r, func(g *GILRow) (*int64, bool) { return g.holdP99NS, g.holds >= minSamples })
}

// holds is the worst value over the GILs; one GIL without full detail leaves the
// worst one unknown.
func holds(r *Report, of func(*GILRow) (ns *int64, enough bool)) reading {
	if r.Recording.Detail == nil || *r.Recording.Detail != "full" {
		return reading{why: needsFull}
	}
	var worst int64
	few, enough := false, false
	for i := range r.GIL {
		if r.GIL[i].BusyShare == nil {
			return reading{why: needsFull}
		}
		v, ok := of(&r.GIL[i])
		if v == nil {
			continue
		}
		if few = few || !ok; ok {
			worst, enough = max(worst, *v), true
		}
	}
	if few && !enough {
		return reading{why: fmt.Sprintf("a percentile needs %d holds; record longer", minSamples)}
	}
	return reading{value: float64(worst)}
}
