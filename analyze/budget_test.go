package analyze

import (
	"math"
	"testing"
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
	return r
}

func TestCheck(t *testing.T) {
	lossy, cut := reportOf(50, 1e6), reportOf(50, 1e6)
	lossy.Recording.LostEvents, cut.Recording.Complete = 1, false
	full := reportOf(0, 0)
	hold, busy := int64(7e6), 0.5
	full.Recording.Detail = known("full")
	full.GIL[0].holdMaxNS, full.GIL[0].holdP99NS, full.GIL[0].holds, full.GIL[0].BusyShare = &hold, &hold, 5, &busy
	two := reportOf(50, 1e6)
	two.GIL = append(two.GIL, reportOf(3, 9e6).GIL...)
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
		{"another GIL with few waits", "gil.wait.p99<5ms", two, Pass},
		{"the worst GIL counts", "gil.wait.max<5ms", two, Breach},
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
