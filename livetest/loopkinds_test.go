package livetest

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gilscope/analyze"
	"gilscope/internal/testpy"
)

// startLoops starts a program of testdata/loops, which may have arguments.
func startLoops(t testing.TB, in testpy.Interpreter, program string) *testpy.Proc {
	t.Helper()
	name, args, _ := strings.Cut(program, " ")
	script, err := filepath.Abs(filepath.Join("..", "testdata", "loops", name+".py"))
	if err != nil {
		t.Fatal(err)
	}
	return testpy.StartScript(t, in, script, strings.Fields(args)...)
}

// TestLoopKinds: blocks of loops that wait by other calls than epoll's, and of trio's.
func TestLoopKinds(t *testing.T) {
	packages := testpy.Need(t, "pyenv-3.12")
	packages.Env = append(slices.Clone(packages.Env), "PYTHONPATH="+testpy.AsyncServers(t))
	for kind, in := range map[string][]testpy.Interpreter{
		"select": testpy.Some(t, "pyenv-3.8", "pyenv-3.11", "debian-3.15"), "poll": testpy.Some(t, "pyenv-3.10", "pyenv-3.13", "debian-3.14"), "trio": {packages},
	} {
		for _, in := range in {
			t.Run(kind+"/"+in.Name, steady(func(t testing.TB) {
				l := recordLoop(t, in, "kinds "+kind, "4s")
				l.checkBlocks(t)
				if len(l.loop.Blocks) < 6 {
					t.Errorf("only %d blocks were recorded", len(l.loop.Blocks))
				}
			}))
		}
	}
}

// TestNoLoops: who waits for one answer at a time is no loop; and on request nobody is.
func TestNoLoops(t *testing.T) {
	for program, args := range map[string][]string{"noloop": nil, "twice": {"--no-loops"}} {
		t.Run(program, steady(func(t testing.TB) {
			p := startLoops(t, testpy.One(t, "3.12"), program)
			r := startRecord(t, append([]string{"-p", fmt.Sprint(p.PID), "-d", "2s"}, args...)...)
			r.wait(t)
			if err := p.Stop(); err != nil {
				t.Error(err)
			}
			rec := open(t, r, nil)
			for _, l := range rec.report.Loops {
				t.Errorf("a loop: %+v", l)
			}
		}))
	}
}

// TestLoopsRunTwice: what a thread does between two runs of a loop is not the
// loop's; other loops than asyncio's are told apart. Nor is it a block where a loop begins to wait in
// another way.
func TestLoopsRunTwice(t *testing.T) {
	for _, in := range testpy.Some(t, "pyenv-3.8", "debian-3.14") {
		for _, program := range []string{"twice", "twice mixed"} {
			t.Run(in.Name+"/"+program, steady(func(t testing.TB) { checkTwice(t, in, program) }))
		}
	}
}

func checkTwice(t testing.TB, in testpy.Interpreter, program string) {
	p := startLoops(t, in, program)
	r := startRecord(t, "-p", fmt.Sprint(p.PID), "-d", "3s")
	r.wait(t)
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	kinds := map[string]*analyze.LoopRow{}
	rec := open(t, r, nil)
	for i := range rec.report.Loops {
		l := &rec.report.Loops[i]
		kinds[l.Kind] = l
		for _, b := range l.Blocks {
			if b.Cause != "runqueue" {
				t.Errorf("a false block of %.3f ms: %s %s", ms(b.DurationNS), b.Cause, siteOf(b.Site))
			}
		}
	}
	if len(kinds) != 2 || kinds["asyncio"] == nil || kinds["other"] == nil || kinds["asyncio"].TID != int32(p.PID) {
		t.Fatalf("kinds %v", kinds)
	}
	if u := kinds["asyncio"].Utilization; u == nil || *u > 0.5 {
		t.Errorf("the loop's utilization counts what is not the loop's: %v", *u)
	}
}

// TestLoopTrigger: a flight recorder writes what led to a block while that goes on.
func TestLoopTrigger(t *testing.T) {
	p := startLoops(t, testpy.One(t, "3.12"), "blocks")
	r := startRecord(t, "-p", fmt.Sprint(p.PID), "--keep", "5s", "--after", "300ms", "--trigger", "loop.block>100ms", "--max-dumps", "1")
	r.wait(t)
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	rec := dumpOf(t, r, 1, nil)
	if reason := endReason(t, rec.trace); !strings.HasPrefix(reason, "trigger loop.block 1") {
		t.Errorf("reason %q", reason)
	}
	if len(rec.report.Loops) != 1 || len(rec.report.Loops[0].Blocks) == 0 || rec.report.Loops[0].Kind != "asyncio" {
		t.Fatalf("loops %+v", rec.report.Loops)
	}
	for _, b := range rec.report.Loops[0].Blocks {
		if b.Split == nil && !b.Open {
			t.Errorf("a block that ended has no split: %+v", b)
		}
	}
}

// TestLoopFromStart: a loop is recorded from its first wait on, if its program is launched.
func TestLoopFromStart(t *testing.T) {
	in := testpy.One(t, "3.13")
	script := `import asyncio, time
async def main():
    await asyncio.sleep(0.05)
    time.sleep(0.2)
    await asyncio.sleep(0.01)
print("ready", flush=True)
asyncio.run(main())`
	r := startRecord(t, "--", in.Path, "-c", script)
	r.wait(t)
	rec := open(t, r, nil)
	if len(rec.report.Loops) != 1 || len(rec.report.Loops[0].Blocks) != 1 {
		t.Fatalf("loops %+v", rec.report.Loops)
	}
	if b := rec.report.Loops[0].Blocks[0]; b.Cause != "sleep" || b.DurationNS < 200_000_000 {
		t.Errorf("%+v", b)
	}
}

// TestLongBlockInDump: a block that goes on when the flight recorder writes is in its dump.
func TestLongBlockInDump(t *testing.T) {
	script := `import asyncio, sys, time
async def main():
    while True:
        await asyncio.sleep(0.1)
        time.sleep(4)
print("ready", flush=True)
asyncio.run(main())`
	p := testpy.Start(t, testpy.One(t, "3.13"), script)
	r := startRecord(t, "-p", fmt.Sprint(p.PID), "--keep", "5s", "--after", "0s", "--trigger", "loop.block>1s", "--max-dumps", "1")
	r.wait(t)
	p.Kill()
	rec := dumpOf(t, r, 1, nil)
	if len(rec.report.Loops) != 1 || len(rec.report.Loops[0].Blocks) != 1 {
		t.Fatalf("loops %+v", rec.report.Loops)
	}
	if b := rec.report.Loops[0].Blocks[0]; !b.Open || b.Cause != "sleep" || b.DurationNS < 1e9 || b.Site == nil || short(*b.Site.Function) != "main" {
		t.Errorf("%+v at %s", b, siteOf(b.Site))
	}
}
