package cpython

import (
	"slices"
	"strings"
	"testing"
	"time"

	"gilscope/internal/testpy"
)

// failures makes tasks that end in all ways, and tells of those whose exceptions nobody asks for what each raised, and
// where. To ask would change that: the program sees the exceptions on their way.
const failures = `
import asyncio, sys, threading, traceback
class Own(Exception): pass
seen = []
async def told(c):
    try: await c
    except Exception as e:
        seen.append([type(e).__name__, e])
        raise
def parse(): return int("x")
async def fails():
    await asyncio.sleep(0)
    return parse()
async def deep(n):
    if n: await deep(n - 1)
    else: raise Own("what it says is not read")
async def waits(): await loop.create_future()
async def ends(): pass
loop = asyncio.new_event_loop()
kept = [loop.create_task(c) for c in (told(fails()), fails(), told(deep(4)), told(deep(4)), told(deep(100)), waits(), waits(), ends())]
kept[5].cancel()
async def main():
    await asyncio.sleep(0.01)
    kept[1].exception()
    print("ready")
    for name, e in seen:
        frames = traceback.extract_tb(e.__traceback__)
        print(name, ",".join("%s:%d" % (f.name, f.lineno) for f in frames if len(frames) < 64))
    print("end", flush=True)
    await loop.create_future()
threading.Thread(target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(loop.stop)), daemon=True).start()
main = loop.create_task(main())
loop.run_forever()
import os; os._exit(0)
`

// TestFailedTasks compares what is read of tasks that failed with what the program tells of itself.
func TestFailedTasks(t *testing.T) {
	each(t, func(t *testing.T, i testpy.Interpreter) {
		child := testpy.Start(t, i, failures)
		var want []string
		for line := child.Line(t); line != "end"; line = child.Line(t) {
			want = append(want, strings.TrimSpace(line))
		}
		p := open(t, child.PID)
		if err := p.Refresh(); err != nil {
			t.Fatal(err)
		}
		if p.Build.FreeThreaded {
			return
		}
		tasks, err := p.PendingTasks(p.Tasks(), true, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for k := range tasks {
			if tasks[k].Phase == TaskFailed {
				got = append(got, strings.TrimSpace(tasks[k].Raised+" "+framesText(t, p, &tasks[k])))
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if where := p.Tasks(); !where.KeepsFailed() {
			want = want[:0]
		} else if len(want) != 4 {
			t.Errorf("the program tells of %d", len(want))
		}
		if !slices.Equal(got, want) {
			t.Errorf("read\n\t%q, want\n\t%q", got, want)
		}
		few, err := p.PendingTasks(p.Tasks(), false, time.Second)
		if err != nil || len(few) != len(tasks)-len(got) || len(few) != 2 {
			t.Errorf("%d tasks are not done, error %v; want 2", len(few), err)
		}
	})
}
