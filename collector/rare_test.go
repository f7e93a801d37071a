package collector

import (
	"fmt"
	"strings"
	"testing"

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
