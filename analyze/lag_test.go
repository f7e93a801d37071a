package analyze

import (
	"strings"
	"testing"

	"gilscope/internal/trace"
)

// lagOf is a report of one loop of which notes of lag say this.
func lagOf(loop []trace.Arg, notes ...[]trace.Arg) *Report {
	m := newMaker("waits")
	m.thread(10, "MainThread")
	tid := trace.Arg{Key: "tid", Num: 10}
	m.note(0, 1, trace.NoteLoop, append(loop, tid, trace.Arg{Key: "kind", Text: "asyncio"})...)
	for i, args := range notes {
		m.note(trace.Time(i+1), 1, trace.NoteLag, append(args, tid)...)
	}
	m.loopCounts(1000*ms1, 400*ms1, 600*ms1, 40)
	trace.Sort(m.t.Events)
	return Analyze(m.end(2000 * ms1))
}

// lagNote is one stretch.
func lagNote(reads, unseen, longest int64, buckets string) []trace.Arg {
	return []trace.Arg{{Key: "reads", Num: reads}, {Key: "unseen", Num: unseen}, {Key: "max_ns", Num: longest}, {Key: "buckets", Text: buckets}}
}

var lagKnown = []trace.Arg{{Key: "lag_cost_ns", Num: 300}}

// TestLag: percentiles are the upper bounds of their buckets, but no longer than the
// longest; and what budgets on them come to.
func TestLag(t *testing.T) {
	for _, c := range []struct {
		name          string
		r             *Report
		p50, p99, max int64 // -1: null
		reads, unseen int64
		p99Below20    Status
		why           string // of what is inconclusive
	}{
		{"two stretches", lagOf(lagKnown, lagNote(99, 1, 90_000, "65536:60 98304:39"), lagNote(1, 0, 80_000_000, "83886080:1")),
			65536, 98304, 80_000_000, 100, 1, Pass, ""},
		{"the longest is below its bound", lagOf(lagKnown, lagNote(50, 0, 80_000_000, "1024:10 83886080:40")), 80_000_000, 80_000_000, 80_000_000, 50, 0, Breach, ""},
		{"few", lagOf(lagKnown, lagNote(5, 0, 900, "1024:5")), 900, 900, 900, 5, 0, Inconclusive, "there are 5"},
		{"nothing was read", lagOf(lagKnown), -1, -1, -1, 0, 0, Inconclusive, "no event loop read data"},
		{"mostly unseen", lagOf(lagKnown, lagNote(30, 31, 900, "1024:30")), 900, 900, 900, 30, 31, Inconclusive, "of 31 it is not"},
		{"not in this kernel", lagOf([]trace.Arg{{Key: "no_lag", Text: "Linux 6.1 has none"}}), -1, -1, -1, -1, -1, Inconclusive, "Linux 6.1 has none"},
		{"given up", lagOf(append(lagKnown, trace.Arg{Key: "no_lag", Text: "it costs too much"}), lagNote(30, 0, 900, "1024:30")),
			900, 900, 900, 30, 0, Inconclusive, "it costs too much"},
		{"an old recording", lagOf(nil), -1, -1, -1, -1, -1, Inconclusive, "was not recorded"},
		{"nonsense", lagOf(lagKnown, lagNote(-1, -5, -7, "x:1 5 :3 -4:2 7:-9 9223372036854775807:9223372036854775807 8:9223372036854775807 64:x")),
			0, 0, 0, maxCount, 0, Pass, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := c.r.Loops[0]
			for what, v := range map[string][2]int64{"p50": {orNull(l.LagP50NS), c.p50}, "p99": {orNull(l.LagP99NS), c.p99}, "max": {orNull(l.LagMaxNS), c.max},
				"reads": {orNull(l.LagReads), c.reads}, "unseen": {orNull(l.LagUnseen), c.unseen}} {
				if v[0] != v[1] {
					t.Errorf("%s is %d, want %d", what, v[0], v[1])
				}
			}
			b, err := ParseBudget("loop.lag.p99<20ms")
			if err != nil {
				t.Fatal(err)
			}
			if got := b.Check(c.r); got.Status != c.p99Below20 || !strings.Contains(got.Why, c.why) {
				t.Errorf("%+v, want %s", got, c.p99Below20)
			}
			if skipped := strings.Contains(skippedText(c.r), "loop lag"); skipped != (c.reads < 0 || c.name == "given up") {
				t.Errorf("skipped: %s", skippedText(c.r))
			}
		})
	}
}

func orNull(v *int64) int64 {
	if v == nil {
		return -1
	}
	return *v
}

func skippedText(r *Report) string {
	var b strings.Builder
	for _, s := range r.Skipped {
		b.WriteString(s.What + ": " + s.Why + "\n")
	}
	return b.String()
}
