package analyze

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"gilscope/internal/trace"
)

// lag is how long data waited in sockets for one loop, or for all.
type lag struct {
	known  bool            // it was counted
	why    string          // if not
	reads  int64           // that got data of which it is known when it came
	unseen int64           // of which it is not
	max    int64           // ns
	counts map[int64]int64 // reads, by what they stayed below, ns
}

// maxBounds is how many different bounds one recording can have: gilscope has 210,
// of which the last one is different each time.
const maxBounds = 1 << 16

// kind takes in what the note about a loop says of its lag.
func (g *lag) kind(n *trace.Note) {
	if why := text(*n, "no_lag"); why != "" {
		g.why = why
	}
	if _, ok := number(*n, "lag_cost_ns"); ok {
		g.known = true
	}
}

// note takes in a note of lag.
func (g *lag) note(n *trace.Note) {
	unseen, _ := number(*n, "unseen")
	longest, _ := number(*n, "max_ns")
	g.known = true
	g.unseen = plus(g.unseen, unseen)
	g.max = max(g.max, longest)
	for _, word := range strings.Fields(text(*n, "buckets")) {
		below, count, _ := strings.Cut(word, ":")
		ns, err := strconv.ParseInt(below, 10, 64)
		reads, countErr := strconv.ParseInt(count, 10, 64)
		if err == nil && countErr == nil && ns >= 0 {
			g.add(ns, reads)
		}
	}
}

// add counts reads that waited less than a time.
func (g *lag) add(below, reads int64) {
	if g.counts == nil {
		g.counts = map[int64]int64{}
	}
	if _, ok := g.counts[below]; reads > 0 && (ok || len(g.counts) < maxBounds) {
		g.counts[below] = plus(g.counts[below], reads)
		g.reads = plus(g.reads, reads)
	}
}

// plus is the sum of two counts from a file, within what a count can be.
func plus(a, b int64) int64 { return min(a+min(max(b, 0), maxCount), maxCount) }

// merge adds the lag of another loop.
func (g *lag) merge(other *lag) {
	g.unseen, g.max = plus(g.unseen, other.unseen), max(g.max, other.max)
	for below, n := range other.counts {
		g.add(below, n)
	}
}

// quantile is a time that the share q of the reads did not exceed, and that is too
// long by an eighth at most; nil without reads.
func (g *lag) quantile(q float64) *int64 {
	if g.reads == 0 {
		return nil
	}
	rank, sum := max(int64(q*float64(g.reads)+0.999999999), 1), int64(0)
	for _, below := range slices.Sorted(maps.Keys(g.counts)) {
		if sum += g.counts[below]; sum >= rank {
			v := min(below, g.max)
			return &v
		}
	}
	return &g.max
}

// lag fills in what the row says of it.
func (l *LoopRow) finishLag() {
	if !l.lag.known {
		return
	}
	l.LagReads, l.LagUnseen = &l.lag.reads, &l.lag.unseen
	if l.lag.reads > 0 {
		longest := l.lag.max
		l.LagP50NS, l.LagP99NS, l.LagMaxNS = l.lag.quantile(0.50), l.lag.quantile(0.99), &longest
	}
}

// leftLag is why the lag of some loop is known of a part of the time only; "": of none.
func (r *Report) leftLag() string {
	for i := range r.Loops {
		if l := &r.Loops[i].lag; l.known && l.why != "" {
			return l.why
		}
	}
	return ""
}

// skipLag says of loops none of which has a known lag why that is so.
func (r *Report) skipLag() {
	why := "this recording does not have how long data waits for a loop; record it with this version"
	for i := range r.Loops {
		switch l := &r.Loops[i].lag; {
		case l.known && l.why == "":
			return
		case l.known:
			r.Skipped = append(r.Skipped, Skipped{"the rest of loop lag", l.why})
			return
		case l.why != "":
			why = l.why
		}
	}
	r.Skipped = append(r.Skipped, Skipped{"loop lag", why})
}

// lagMetrics are about how long data waited in sockets for an event loop.
var lagMetrics = []Metric{
	{"loop.lag.p50", "median time that data waits in a socket for an event loop (bounds of an eighth: the upper one)", Duration, lagQuantile(0.50)},
	{"loop.lag.p99", "99th percentile of that time, likewise", Duration, lagQuantile(0.99)},
	{"loop.lag.max", "longest time that data waited in a socket for an event loop", Duration, func(r *Report) reading {
		all, why := r.lags()
		return reading{value: float64(all.max), why: why}
	}},
}

// lags is that of all loops together; why: it decides nothing.
func (r *Report) lags() (all lag, why string) {
	for i := range r.Loops {
		l := &r.Loops[i].lag
		if !l.known {
			if l.why != "" {
				return all, "how long data waits for a loop is not known: " + l.why
			}
			return all, "how long data waits for a loop was not recorded"
		}
		all.merge(l)
	}
	switch {
	case len(r.Loops) == 0:
		why = "no event loop was recorded"
	case all.reads == 0:
		why = "no event loop read data from a socket of which it is known when it came"
	case all.unseen > all.reads:
		why = fmt.Sprintf("of %d reads it is known when their data came, of %d it is not; keep connections open for longer", all.reads, all.unseen)
	}
	return all, why
}

// lagQuantile is the highest of all loops together and of each with enough reads.
func lagQuantile(q float64) func(*Report) reading {
	return func(r *Report) reading {
		all, why := r.lags()
		if why == "" && all.reads < minSamples {
			why = fmt.Sprintf("a percentile needs %d reads, there are %d; record longer", minSamples, all.reads)
		}
		if why != "" {
			return reading{why: why}
		}
		worst := *all.quantile(q)
		for i := range r.Loops {
			if l := &r.Loops[i].lag; l.reads >= minSamples {
				worst = max(worst, *l.quantile(q))
			}
		}
		return reading{value: float64(worst)}
	}
}
