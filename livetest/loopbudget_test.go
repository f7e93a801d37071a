package livetest

import (
	"fmt"
	"path/filepath"
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
	}{{"0.2%", false}, {"100%", true}} {
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

// sleepyLoop is a loop that sleeps 100 ms in each of its iterations, and says so.
const sleepyLoop = `
import asyncio, os, sys, threading, time
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
async def main():
    while True:
        time.sleep(0.1)
        await asyncio.sleep(0.02)
print("ready", flush=True)
asyncio.run(main())
`

// TestLoopsByEachWay: loops are seen by root, who can read tracefs, and by who only
// has the capabilities, and each time the recorder says how.
func TestLoopsByEachWay(t *testing.T) {
	for _, c := range []struct {
		g   grant
		way string // where the kernel's functions cannot be had
	}{{grant{root: true}, "event loops by the tracepoints of single calls"}, {grant{names: []string{"BPF", "PERFMON"}}, "event loops by the tracepoints of all calls"}} {
		t.Run(c.g.String(), steady(func(t testing.TB) {
			p := startAs(t, nobody, sleepyLoop)
			path := filepath.Join(dirOf(t, nobody), "t.pftrace")
			o := c.g.run(t, "record", "-v", "--max-overhead", "50%", "-d", "1500ms", "-o", path, "-p", fmt.Sprint(p.PID))
			if err := p.Stop(); err != nil {
				t.Error(err)
			}
			if o.code != 0 {
				t.Fatalf("record ended with %d: %s", o.code, o.stderr)
			}
			if !strings.Contains(o.stderr, "event loops by the functions") && !strings.Contains(o.stderr, c.way) {
				t.Errorf("it does not say %q:\n%s", c.way, o.stderr)
			}
			loops := analyze.Analyze(readTrace(t, path)).Loops
			if len(loops) != 1 || len(loops[0].Blocks) < 10 {
				t.Fatalf("%d loops: %+v", len(loops), loops)
			}
			for _, b := range loops[0].Blocks {
				if b.Cause != "sleep" || b.DurationNS < 100e6 || b.DurationNS > 150e6 {
					t.Errorf("a block of %.3f ms: %s", ms(b.DurationNS), b.Cause)
				}
			}
		}))
	}
}
