package analyze

import (
	"slices"
	"testing"

	"gilscope/internal/trace"
)

// TestLossesHaveAPlace: the stretches are in the report, and the waits that touch
// one are counted. What a file claims of other times is cut to the recording.
func TestLossesHaveAPlace(t *testing.T) {
	m := newMaker("waits")
	lost := func(begin, end trace.Time, cpu, events int64) {
		m.note(end, 0, trace.NoteLost, trace.Arg{Key: "begin_ns", Num: int64(begin)}, trace.Arg{Key: "events", Num: events}, trace.Arg{Key: "cpu", Num: cpu})
	}
	wait := func(from, to trace.Time, tid int32) {
		m.wait(from, tid, 0)
		m.taken(to, tid)
	}
	wait(1*us, 2*us, 10)
	wait(3*us, 9*us, 11)
	wait(20*us, 31*us, 10)
	wait(32*us, 35*us, 11)
	wait(36*us, 40*us, 11)
	lost(8*us, 12*us, 1, 100)
	lost(11*us, 15*us, 0, 10)
	lost(33*us, 33*us, 0, 1)
	lost(1<<60, 50*us, 0, -4)
	r := Analyze(m.end(50*us, trace.Arg{Key: "lost", Num: 111}))
	want := []Loss{{8000, 12000, 1, 100}, {11000, 15000, 0, 10}, {33000, 33000, 0, 1}, {50000, 50000, 0, 0}}
	if !slices.Equal(r.Recording.Losses, want) || r.Recording.LostEvents != 111 {
		t.Errorf("losses %v of %d events, want %v", r.Recording.Losses, r.Recording.LostEvents, want)
	}
	if ns, n := r.Recording.LossNS(); ns != 7000 || n != 3 {
		t.Errorf("%d ns in %d stretches", ns, n)
	}
	if g := r.GIL[0]; g.UncertainWaits != 2 || g.UncertainWaitNS != 9000 {
		t.Errorf("%d waits of %d ns are uncertain", g.UncertainWaits, g.UncertainWaitNS)
	}
}
