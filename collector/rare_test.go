package collector

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gilscope/internal/cpython"
	"gilscope/internal/trace"
	"gilscope/probes"
)

func (b *lockBench) rare(at trace.Time, tid, what uint32) {
	b.d.record(probes.Record{Rec: &probes.Rec{Ts: uint64(at * us), Kind: probes.KindRare, Tgid: 11, Tid: tid, Arg: what}})
}

// pausesIn are the pauses of a trace: begin, when all had stopped, end (us), and how it ended.
func pausesIn(tr *trace.Trace) string {
	var out []string
	for _, e := range tr.Events {
		switch e.Kind {
		case trace.WorldStopBegin:
			out = append(out, fmt.Sprintf("%d:%d", e.TID, e.Time/us))
		case trace.WorldStopped:
			out[len(out)-1] += fmt.Sprintf(" %d", e.Time/us)
		case trace.WorldStopEnd:
			out[len(out)-1] += fmt.Sprintf(" %d", e.Time/us)
			if trace.BlockEnd(e.Arg) != trace.BlockOver {
				out[len(out)-1] += "?"
			}
		}
	}
	return strings.Join(out, ", ")
}

// TestPausesOfRecords: whatever is missing, pauses have begin and end, and never overlap.
func TestPausesOfRecords(t *testing.T) {
	const stops, stopped, starts = probes.RareStops, probes.RareStopped, probes.RareStarts
	type hit struct {
		at   trace.Time
		tid  uint32
		what uint32
	}
	for _, test := range []struct {
		name string
		hits []hit
		want string
	}{
		{"whole", []hit{{10, 11, stops}, {12, 11, stopped}, {20, 11, starts}, {30, 12, stops}, {31, 12, stopped}, {32, 12, starts}}, "11:10 12 20, 12:30 31 32"},
		{"from before the recording", []hit{{12, 11, stopped}, {20, 11, starts}, {30, 11, stops}, {40, 11, starts}}, "11:30 40"},
		{"an end was lost", []hit{{10, 11, stops}, {50, 11, stops}, {60, 11, starts}}, "11:10 50?, 11:50 60"},
		{"at the end of the recording", []hit{{10, 11, stops}, {12, 11, stopped}}, "11:10 12 100?"},
		{"lasts no time", []hit{{10, 11, stops}, {10, 11, stopped}, {10, 11, starts}}, "11:10 10"},
	} {
		b := newLockBench(t)
		b.p.rare = map[uint32]bool{stops: true, starts: true}
		for _, h := range test.hits {
			b.rare(h.at, h.tid, h.what)
		}
		if got := pausesIn(b.trace(100)); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
	b := newLockBench(t)
	b.p.rare = map[uint32]bool{stops: true} // of an end, no probe would tell
	b.rare(10, 11, stops)
	if got := pausesIn(b.trace(100)); got != "" {
		t.Errorf("without a probe on start_the_world: %s", got)
	}
}

// TestRising: a counter may have risen before it is followed, and never falls.
func TestRising(t *testing.T) {
	r := rising(100)
	for _, c := range []struct{ now, want uint64 }{{100, 0}, {130, 30}, {130, 0}, {131, 1}, {5, 0}, {7, 2}} {
		if got := r.of(c.now); got != c.want {
			t.Errorf("at %d: rose by %d, want %d", c.now, got, c.want)
		}
	}
}

// TestRareCostsCount: what the probes on functions that run seldom cost is part of the report's overhead,
// and of what the governor allows the others.
func TestRareCostsCount(t *testing.T) {
	for _, c := range []struct {
		rare float64
		want uint64
	}{{0, 5000}, {1e6, 4000}, {5e6, 0}, {7e6, 0}} {
		if got := allowance(5e6, c.rare, 1000); got != c.want {
			t.Errorf("%.0f ns for these leave %d hits, want %d", c.rare, got, c.want)
		}
	}
	var m meter
	m.add(1000, 2*time.Microsecond)
	m.add(500, 4*time.Microsecond)
	if _, probes := m.cost(time.Second); probes != 0.004 || m.hits != 1500 {
		t.Errorf("%d hits cost %.4f, want 1500 and 0.0040", m.hits, probes)
	}
	s := &session{perHit: map[cpython.Cost]time.Duration{cpython.Emulated: 800, cpython.SingleStepped: 18000}}
	p := newProcess(1)
	p.rarePlan.Hooks = []probes.Hook{{Site: cpython.Site{Cost: cpython.Emulated}}}
	if got := s.rareCost(p); got != 1600 {
		t.Errorf("a hit costs %d ns, want 1600", got)
	}
	p.rarePlan.Hooks = append(p.rarePlan.Hooks, probes.Hook{Site: cpython.Site{Cost: cpython.SingleStepped}})
	if got := s.rareCost(p); got != 36000 {
		t.Errorf("a hit costs %d ns where one is single-stepped, want 36000", got)
	}
}
