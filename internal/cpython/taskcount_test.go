package cpython

import (
	"fmt"
	"testing"

	"gilscope/internal/testpy"
)

// manyTasks makes tasks with and without names, and tells how many the latter are.
const manyTasks = `
import asyncio, sys
async def ends(): pass
async def name(): return asyncio.current_task().get_name()
async def main():
    for n in range(1500): await asyncio.create_task(ends())
    for n in range(70): asyncio.create_task(ends()).set_name("own") if sys.version_info < (3, 9) else asyncio.create_task(ends(), name="own")
    made = (await asyncio.create_task(name())).split("-")[1]
    print("ready")
    print(made, flush=True)
    sys.stdin.read()
asyncio.run(main())
`

// TestUnnamedTasks compares the number that is read with the one that asyncio gives to a task.
func TestUnnamedTasks(t *testing.T) {
	each(t, func(t *testing.T, i testpy.Interpreter) {
		child := testpy.Start(t, i, manyTasks)
		want := child.Line(t)
		p := open(t, child.PID)
		if err := p.Refresh(); err != nil {
			t.Fatal(err)
		}
		made, ok := p.UnnamedTasks()
		if _, known := taskCounters[p.Version.series()]; !known || p.Build.FreeThreaded {
			if ok {
				t.Errorf("%d tasks; it cannot be known", made)
			}
			return
		}
		if !ok || fmt.Sprint(made) != want {
			t.Errorf("%d tasks, known %v; want %s", made, ok, want)
		}
		before := taskCounters[p.Version.series()]
		defer func() { taskCounters[p.Version.series()] = before }()
		taskCounters[p.Version.series()] = taskCounter{state: before.state, size: before.size, bytes: before.bytes + 8, counter: before.counter}
		if made, ok := p.UnnamedTasks(); ok {
			t.Errorf("%d tasks, though the module's data is of another size", made)
		}
	})
}
