package livetest

import (
	"fmt"
	"strings"
	"testing"

	"gilscope/analyze"
	"gilscope/internal/testpy"
	"gilscope/internal/trace"
)

// TestLoopBudget: where watching a loop slows down others' system calls by more
// than --max-overhead, it is watched part of the time, and that is said; unless
// this kernel lets the programs onto the calls of the loop alone.
func TestLoopBudget(t *testing.T) {
	in := testpy.One(t, "3.12")
	loop, busy := startLoops(t, in, "ticker"), startLoops(t, in, "calls")
	for _, c := range []struct {
		budget string
		kept   bool
	}{{"1%", false}, {"100%", true}} {
		t.Run(c.budget, func(t *testing.T) {
			r := startRecord(t, "-p", fmt.Sprint(loop.PID), "--detail", "auto", "--max-overhead", c.budget, "-d", "3s")
			r.wait(t)
			tr := readTrace(t, r.trace)
			checkExact(t, tr)
			rec := analyze.Analyze(tr)
			off := rec.Recording.LoopsOffNS
			if c.kept || strings.Contains(r.said(), "event loops by the functions") {
				if off != 0 {
					t.Errorf("no loop was watched for %.1f ms", ms(off))
				}
				return
			}
			if off < 1e9 || off > rec.Recording.DurationNS {
				t.Errorf("no loop was watched for %.1f ms of %.1f ms", ms(off), ms(rec.Recording.DurationNS))
			}
			if n := len(notes(tr, trace.NoteLoopsOff)); n == 0 || !strings.Contains(r.said(), "see --max-overhead") {
				t.Errorf("%d notes, and said:\n%s", n, r.said())
			}
			told := rec.Loops[0].BusyNS + rec.Loops[0].IdleNS
			if rest := rec.Recording.DurationNS - off - told; rest < -50e6 || rest > 500e6 {
				t.Errorf("%.1f ms of %.1f ms were told of, %.1f ms not watched", ms(told), ms(rec.Recording.DurationNS), ms(off))
			}
			run(t, []string{"check", r.trace, "--assert", "loop.block.max<1s"}).wants(t, 3, "were not watched for")
		})
	}
	for _, p := range []*testpy.Proc{loop, busy} {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	}
}
