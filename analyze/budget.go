package analyze

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Budget is a limit on one metric, such as gil.wait.p99<5ms.
type Budget struct {
	Metric string
	Op     string  // one of < <= > >=
	Limit  float64 // ns, share or count, by the metric's unit
}

// Status is how a budget came out.
type Status string

// Statuses.
const (
	Pass         Status = "pass"
	Breach       Status = "breach"
	Inconclusive Status = "inconclusive"
)

// Outcome is one budget held against one report.
type Outcome struct {
	Budget Budget
	Status Status
	Value  *float64 // in the unit of the metric; nil if it is not known
	Why    string   // set if inconclusive
}

// maxBudget bounds the text of a budget; the longest sensible one is far shorter.
const maxBudget = 200

// ParseBudget reads METRIC OP LIMIT. The limit is a duration (5ms), a percentage
// (10%) or a count, by the metric. Errors say what is allowed there.
func ParseBudget(s string) (Budget, error) {
	if len(s) > maxBudget {
		return Budget{}, fmt.Errorf("read budget: longer than %d characters; write METRIC<LIMIT", maxBudget)
	}
	at := strings.IndexAny(s, "<>")
	if at < 0 {
		return Budget{}, fmt.Errorf("read budget %q: no comparison; write it like gil.wait.p99<5ms", s)
	}
	b := Budget{Metric: strings.TrimSpace(s[:at]), Op: s[at : at+1]}
	rest, orEqual := strings.CutPrefix(s[at+1:], "=")
	if orEqual {
		b.Op += "="
	}
	m, ok := metric(b.Metric)
	if !ok {
		return Budget{}, fmt.Errorf("read budget %q: no metric %q; known are %s", s, b.Metric, strings.Join(metricNames(), ", "))
	}
	limit, err := m.Unit.parse(strings.TrimSpace(rest))
	if err != nil {
		return Budget{}, fmt.Errorf("read budget %q: %w", s, err)
	}
	b.Limit = limit
	return b, nil
}

func metricNames() []string {
	names := make([]string, len(Metrics))
	for i, m := range Metrics {
		names[i] = m.Name
	}
	return names
}

// maxCount is the largest count, and the longest time in ns, that a float64 holds exactly.
const maxCount = 1 << 53

func (u Unit) parse(s string) (float64, error) {
	switch u {
	case Duration:
		d, err := time.ParseDuration(s)
		if err != nil || d < 0 || d > maxCount {
			return 0, fmt.Errorf("limit %q is no duration; write it like 5ms, 1.5s or 200us", s)
		}
		return float64(d), nil
	case Percent:
		digits, ok := strings.CutSuffix(s, "%")
		v, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
		if !ok || err != nil || math.IsNaN(v) || v < 0 || v > 100 {
			return 0, fmt.Errorf("limit %q is no percentage; write it like 10%%", s)
		}
		return v / 100, nil
	}
	v, err := strconv.ParseUint(s, 10, 64)
	if err != nil || v > maxCount {
		return 0, fmt.Errorf("limit %q is no count; write it like 0", s)
	}
	return float64(v), nil
}

// Format writes a value of the unit as a budget would have it.
func (u Unit) Format(v float64) string {
	switch u {
	case Duration:
		return time.Duration(v).String()
	case Percent:
		return strconv.FormatFloat(v*100, 'g', 6, 64) + "%"
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// String is the budget in the form ParseBudget reads.
func (b Budget) String() string { return b.Metric + b.Op + b.Show(b.Limit) }

// Show writes a value in the unit of the budget's metric.
func (b Budget) Show(v float64) string {
	m, _ := metric(b.Metric)
	return m.Unit.Format(v)
}

// Check holds the budget against a report. A recording with losses, or without
// its end, proves nothing about times in either direction: a lost event can hide
// a wait or merge two.
func (b Budget) Check(r *Report) Outcome {
	out := Outcome{Budget: b, Status: Inconclusive}
	m, ok := metric(b.Metric)
	if !ok {
		out.Why = "no such metric"
		return out
	}
	got := m.get(r)
	if got.why != "" {
		out.Why = got.why
		return out
	}
	out.Value = &got.value
	if m.Name == deadlocksMetric && !b.holds(got.value) { // what else happened or was lost does not undo one
		out.Status = Breach
		return out
	}
	switch ofTime := m.Name != "recording.lost"; {
	case ofTime && r.Recording.LostEvents > 0:
		out.Why = fmt.Sprintf("%d events were lost; record again with less load on the recorder", r.Recording.LostEvents)
	case !r.Recording.Complete:
		out.Why = "the trace has no end (recorder killed or file cut); record again"
	case b.holds(got.value) && r.Recording.LoopsOffNS > 0 && strings.HasPrefix(m.Name, "loop."):
		out.Why = fmt.Sprintf("event loops were not watched for %v; record with a higher --max-overhead", time.Duration(r.Recording.LoopsOffNS))
	case b.holds(got.value) && r.leftLag() != "" && strings.HasPrefix(m.Name, "loop.lag."):
		out.Why = "how long data waits for loops is known of a part of the time: " + r.leftLag()
	case b.holds(got.value):
		out.Status = Pass
	default:
		out.Status = Breach
	}
	return out
}

func (b Budget) holds(v float64) bool {
	switch b.Op {
	case "<":
		return v < b.Limit
	case "<=":
		return v <= b.Limit
	case ">":
		return v > b.Limit
	case ">=":
		return v >= b.Limit
	}
	return false
}
