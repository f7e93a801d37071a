package analyze

import (
	"math"
	"testing"

	"gilscope/internal/trace"
)

func TestParseBudget(t *testing.T) {
	for s, want := range map[string]Budget{
		"gil.wait.p99<5ms":       {"gil.wait.p99", "<", 5e6},
		" gil.wait.max <= 1.5s ": {"gil.wait.max", "<=", 1.5e9},
		"gil.wait.share<10%":     {"gil.wait.share", "<", 0.1},
		"recording.lost<=0":      {"recording.lost", "<=", 0},
		"gil.wait.total>=0s":     {"gil.wait.total", ">=", 0},
		"gil.hold.max>200us":     {"gil.hold.max", ">", 200e3},
	} {
		if got, err := ParseBudget(s); err != nil || got != want {
			t.Errorf("%q: %+v, %v", s, got, err)
		}
	}
	for _, s := range []string{
		"", "gil.wait.p99", "gil.wait.p99=5ms", "gil.wait.p98<5ms", "gil.wait.p99<5", "gil.wait.p99<-5ms", "gil.wait.share<5ms",
		"gil.wait.share<NaN%", "gil.wait.share<101%", "recording.lost<1.5", "recording.lost<-1", "recording.lost<99999999999999999999",
		"gil.wait.p99<<5ms", "gil.wait.max<2000000h",
	} {
		if got, err := ParseBudget(s); err == nil {
			t.Errorf("%q was read as %+v", s, got)
		}
	}
}

// reportOf is a report with n waits of one length.
func reportOf(n, ns int64) *Report {
	r := newReport()
	r.Recording = Recording{DurationNS: 1e9, Complete: true, Detail: known("waits")}
	g := GILRow{Waits: n, WaitNS: n * ns}
	if n > 0 {
		s := 0.25
		g.WaitP50NS, g.WaitP99NS, g.WaitMaxNS, g.ContendedShare = &ns, &ns, &ns, &s
	}
	r.GIL = append(r.GIL, g)
	r.pooled = pooled{waits: n, waitP50NS: g.WaitP50NS, waitP99NS: g.WaitP99NS}
	return r
}

func TestCheck(t *testing.T) {
	lossy, cut := reportOf(50, 1e6), reportOf(50, 1e6)
	lossy.Recording.LostEvents, cut.Recording.Complete = 1, false
	full := reportOf(0, 0)
	hold, busy := int64(7e6), 0.5
	full.Recording.Detail = known("full")
	full.GIL[0].holdMaxNS, full.GIL[0].holdP99NS, full.GIL[0].holds, full.GIL[0].BusyShare = &hold, &hold, 5, &busy
	full.pooled.holds, full.pooled.holdP99NS = 5, &hold
	for _, c := range []struct {
		name   string
		budget string
		r      *Report
		want   Status
	}{
		{"within", "gil.wait.p99<5ms", reportOf(50, 1e6), Pass},
		{"above", "gil.wait.p99<1ms", reportOf(50, 1e6), Breach},
		{"at the limit", "gil.wait.p99<=1ms", reportOf(50, 1e6), Pass},
		{"few waits for a percentile", "gil.wait.p99<5ms", reportOf(19, 1e6), Inconclusive},
		{"few waits are enough for a maximum", "gil.wait.max<5ms", reportOf(19, 1e6), Pass},
		{"no wait at all", "gil.wait.p99<5ms", reportOf(0, 0), Pass},
		{"no GIL at all", "gil.wait.p50<5ms", newComplete(), Pass},
		{"lost events", "gil.wait.max<5ms", lossy, Inconclusive},
		{"lost events, breach", "gil.wait.max<1us", lossy, Inconclusive},
		{"losses themselves", "recording.lost<=0", lossy, Breach},
		{"losses allowed", "recording.lost<=1", lossy, Pass},
		{"cut trace", "gil.wait.max<5ms", cut, Inconclusive},
		{"losses of a cut trace", "recording.lost<=0", cut, Inconclusive},
		{"holds at detail waits", "gil.hold.max<5ms", reportOf(50, 1e6), Inconclusive},
		{"holds at detail full", "gil.hold.max<5ms", full, Breach},
		{"few holds for a percentile", "gil.hold.p99<50ms", full, Inconclusive},
		{"share", "gil.wait.share<=25%", reportOf(50, 1e6), Pass},
		{"total", "gil.wait.total<50ms", reportOf(50, 1e6), Breach},
	} {
		b, err := ParseBudget(c.budget)
		if err != nil {
			t.Fatal(err)
		}
		if got := b.Check(c.r); got.Status != c.want || (got.Status == Inconclusive) != (got.Why != "") {
			t.Errorf("%s: %+v, want %s", c.name, got, c.want)
		}
	}
}

// processesWith is the report of a recording of one process for each entry: so
// many waits and holds, each of so many ms.
func processesWith(detail string, each ...[2]int64) *Report {
	m := newMaker(detail)
	at := trace.Time(0)
	for i, p := range each {
		m.fork(at, int32(1000+i), 1, "fork")
		tid := m.pid
		for range p[0] {
			m.wait(at, tid, 0)
			at += trace.Time(p[1]) * ms1
			m.taken(at, tid)
			m.add(at, trace.GILHoldBegin, tid, trace.Event{})
			at += trace.Time(p[1]) * ms1
			m.add(at, trace.GILHoldEnd, tid, trace.Event{Arg: int64(trace.DropVoluntary)})
		}
	}
	return Analyze(m.end(at))
}

// TestMetricsOfSeveralProcesses: what a budget means where there are several GILs.
func TestMetricsOfSeveralProcesses(t *testing.T) {
	type list = [][2]int64
	few := make(list, 50) // processes with 2 waits each
	for i := range few {
		few[i] = [2]int64{2, 10}
	}
	for _, c := range []struct {
		name   string
		each   list
		metric string
		want   float64 // ms, or share; negative: inconclusive
	}{
		{"all alike", list{{100, 2}, {100, 2}}, "gil.wait.p99", 2},
		{"the worse of two", list{{100, 2}, {100, 9}}, "gil.wait.p99", 9},
		{"one bad process is not lost among good ones", list{{5000, 1}, {30, 9}}, "gil.wait.p99", 9},
		{"nor is its median", list{{5000, 1}, {30, 9}}, "gil.wait.p50", 9},
		{"a few long waits beside a quiet process", list{{50, 1}, {3, 9}}, "gil.wait.p99", 9},
		{"many processes with too few waits each", few, "gil.wait.p99", 10},
		{"their holds", few, "gil.hold.p99", 10},
		{"too few waits in all of them", list{{5, 1}, {5, 1}}, "gil.wait.p99", -1},
		{"too few holds in all of them", list{{5, 1}, {5, 1}}, "gil.hold.p99", -1},
		{"no waits in one of them", list{{40, 3}, {0, 0}}, "gil.wait.p99", 3},
		{"longest", list{{5, 1}, {1, 7}}, "gil.wait.max", 7},
		{"longest hold", list{{5, 1}, {1, 7}}, "gil.hold.max", 7},
		{"sum", list{{5, 1}, {2, 7}}, "gil.wait.total", 19},
		{"share of the worst", list{{1, 1}, {1, 3}}, "gil.wait.share", 0.375},
	} {
		m, _ := metric(c.metric)
		got := m.get(processesWith("full", c.each...))
		want := c.want
		if m.Unit == Duration {
			want *= float64(ms1)
		}
		if (got.why != "") != (c.want < 0) || got.why == "" && got.value != want {
			t.Errorf("%s: %s is %v (%s), want %v", c.name, c.metric, got.value, got.why, want)
		}
	}
	if m, _ := metric("gil.hold.max"); m.get(processesWith("waits", [2]int64{1, 1}, [2]int64{1, 1})).why == "" {
		t.Error("holds are claimed at detail waits")
	}
}

func newComplete() *Report {
	r := newReport()
	r.Recording.Complete = true
	return r
}

func FuzzParseBudget(f *testing.F) {
	for _, s := range []string{"gil.wait.p99<5ms", "gil.wait.share>=10%", "recording.lost<=0", "x<", "gil.wait.p99<1e309s", "\x00<\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b, err := ParseBudget(s)
		if err != nil {
			return
		}
		if b.Limit < 0 || math.IsNaN(b.Limit) || math.IsInf(b.Limit, 0) {
			t.Fatalf("limit %v", b.Limit)
		}
		again, err := ParseBudget(b.String())
		if err != nil || again.Metric != b.Metric || again.Op != b.Op || math.Abs(again.Limit-b.Limit) > 1e-5*b.Limit {
			t.Fatalf("%q became %q: %+v, %v", s, b.String(), again, err)
		}
	})
}
