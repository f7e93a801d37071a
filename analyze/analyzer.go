package analyze

import (
	"cmp"
	"slices"

	"gilscope/internal/trace"
)

// Analyzer is one question asked of a Timeline. Doc is the user's documentation:
// what the answer means and what it rests on.
type Analyzer struct {
	Name string
	Doc  string
	Run  func(*Timeline, *Report)
}

// Analyzers are run in this order; the later ones read what the earlier ones
// put into the report.
var Analyzers = []Analyzer{
	recordingAnalyzer, processesAnalyzer, gilStateAnalyzer, threadsAnalyzer, threadMakersAnalyzer, gilAnalyzer, switchingAnalyzer,
	loopsAnalyzer, blocksAnalyzer, overloadAnalyzer, tasksAnalyzer,
	executorsAnalyzer, saturatedAnalyzer, starvedAnalyzer, limitAnalyzer,
	locksAnalyzer, deadlocksAnalyzer, contentionAnalyzer, lockOrdersAnalyzer, doubleWaitAnalyzer,
	worldAnalyzer, pausesAnalyzer, scalingAnalyzer, noGILAnalyzer,
	lostAnalyzer, hogAnalyzer, convoyAnalyzer, cpuThreadsAnalyzer, shortHoldsAnalyzer,
}

// unfilled are the sections of the schema that no analyzer fills yet.
var unfilled = []Skipped{
	{"forks", "this version does not analyse forks"},
	{"what_if", "this version does not predict other switch intervals"},
}

// Analyze runs every analyzer over the trace.
func Analyze(t *trace.Trace) *Report { return Build(t).Report() }

// Report runs every analyzer over the timeline.
func (tl *Timeline) Report() *Report {
	r := newReport()
	for _, a := range Analyzers {
		a.Run(tl, r)
	}
	r.Skipped = append(r.Skipped, unfilled...)
	slices.SortStableFunc(r.Findings, func(x, y Finding) int {
		return cmp.Or(cmp.Compare(y.rank(), x.rank()), cmp.Compare(y.CostNS, x.CostNS), cmp.Compare(x.Rule, y.Rule))
	})
	return r
}

// quantile is the nearest-rank quantile of sorted values: the smallest one that
// at least the share q of them does not exceed. The list must not be empty.
func quantile(sorted []int64, q float64) int64 {
	n := len(sorted)
	rank := int(q*float64(n) + 0.999999999)
	return sorted[min(max(rank, 1), n)-1]
}

// share is part/whole, nil if there is no whole.
func share(part, whole int64) *float64 {
	if whole <= 0 {
		return nil
	}
	v := float64(part) / float64(whole)
	return &v
}

// spread sorts values and returns their median, 99th percentile and maximum; nil
// where there is none.
func spread(ns []int64) (p50, p99, longest *int64) {
	if len(ns) == 0 {
		return nil, nil, nil
	}
	slices.Sort(ns)
	a, b, c := quantile(ns, 0.50), quantile(ns, 0.99), ns[len(ns)-1]
	return &a, &b, &c
}
