package cpython

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gilscope/internal/testpy"
)

// taskPlaces makes tasks that wait in many ways, and tells from inside where: for
// each, its name and the functions and lines of its chain of awaits. Then its loop
// waits for events, until stdin is closed.
const taskPlaces = `
import asyncio, gc, sys, threading
class Own(asyncio.Task): pass
class Awaitable:
    def __init__(self, it): self.it = it
    def __await__(self):
        return (yield from self.it.__await__())
async def leaf(f): await f
async def middle(f): await leaf(f)
async def outer(f): return await middle(f)
async def items(f):
    yield 1
    await leaf(f)
    yield 2
async def loops(f):
    async for _ in items(f): pass
class Manager:
    async def __aenter__(self): await self.f
    async def __aexit__(self, *args): pass
async def enters(f):
    m = Manager(); m.f = f
    async with m: pass

async def awaits(f): await Awaitable(leaf(f))
async def sleeps(f): await asyncio.sleep(3600)
async def gathers(f): await asyncio.gather(leaf(f), leaf(f))
async def done(f): pass
def chain(coro):
    out = []
    while coro is not None:
        if type(coro).__name__ in ("async_generator_asend", "coroutine_wrapper"):
            coro = [o for o in gc.get_referents(coro) if hasattr(o, "ag_frame") or hasattr(o, "cr_frame")][0]
        for kind in ("cr", "gi", "ag"):
            frame = getattr(coro, kind + "_frame", None)
            if frame is not None:
                if kind == "gi" and sys.version_info < (3, 13): return out + ["%s:%d" % (frame.f_code.co_name, frame.f_lineno)]
                out.append("%s:%d" % (frame.f_code.co_name, frame.f_lineno))
                coro = getattr(coro, kind + ("_yieldfrom" if kind == "gi" else "_await"))
                break
        else:
            return out
    return out
def tell():
    print("ready")
    for t in asyncio.all_tasks(loop):
        print(t.get_name(), ",".join(chain(t.get_coro())))
    print("end", flush=True)
def body(functions, start):
    global loop
    loop = asyncio.new_event_loop()
    f = loop.create_future()
    kept = [loop.create_task(function(f)) for function in functions]
    kept.append(Own(outer(f), loop=loop, name="own \u00e9"))
    kept.append(loop.create_task(outer(f)))
    kept[-1].set_name("long-" * 30)
    kept += [loop.create_task(leaf(f)) for _ in range(700)]
    loop.call_soon(lambda: loop.call_soon(lambda: loop.call_soon(start)))
    threading.Thread(target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(loop.stop)), daemon=True).start()
    loop.run_forever()
body([outer, loops, enters, sleeps, gathers, done, awaits], tell)
import os; os._exit(0)
`

// TestPendingTasks compares what is read of tasks with what the program tells of itself.
func TestPendingTasks(t *testing.T) {
	each(t, func(t *testing.T, i testpy.Interpreter) {
		child := testpy.Start(t, i, taskPlaces)
		var want []string
		for line := child.Line(t); line != "end"; line = child.Line(t) {
			want = append(want, line)
		}
		p := open(t, child.PID)
		if err := p.Refresh(); err != nil {
			t.Fatal(err)
		}
		where := p.Tasks()
		tasks, err := p.PendingTasks(where, true, time.Second)
		if p.Build.FreeThreaded {
			if !errors.Is(err, ErrUnsupported) {
				t.Errorf("error %v, want ErrUnsupported", err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for k := range tasks {
			if tasks[k].Phase != TaskWaits {
				t.Errorf("task %d is in phase %d", k, tasks[k].Phase)
			}
			name := p.TaskName(where, tasks[k].Addr)
			if seen := seenName(t, p, where, tasks[k].Addr); seen != name {
				t.Errorf("a task of name %q is met as %q", name, seen)
			}
			got = append(got, name+" "+framesText(t, p, &tasks[k]))
		}
		slices.Sort(got)
		slices.Sort(want)
		for k := range min(len(got), len(want)) {
			if got[k] != want[k] {
				t.Fatalf("a task %q, want %q", got[k], want[k])
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%d tasks, want %d", len(got), len(want))
		}
		if few, err := p.PendingTasks(where, false, time.Second); err != nil || len(few) != len(want) || few[0].Frames != nil || few[0].Phase != TaskWaits {
			t.Errorf("without chains: %d tasks, error %v", len(few), err)
		}
		threads, err := p.LoopThreads(where, []uint64{tasks[0].Loop})
		if err != nil || len(threads) != 1 || threads[tasks[0].Loop] != int32(child.PID) {
			t.Errorf("threads of loops %v, error %v; want %d", threads, err, child.PID)
		}
	})
}

// seenName is the name of a task as it comes with a record.
func seenName(t *testing.T, p *Process, where Tasks, addr uint64) string {
	t.Helper()
	class, err := p.word(addr + uint64(p.Layout.ObType))
	if err != nil {
		t.Fatal(err)
	}
	name, err := p.word(addr + uint64(where.NameAt()))
	if err != nil {
		t.Fatal(err)
	}
	raw := make([]byte, 80)
	if p.Read(name, raw) != nil {
		t.Fatalf("the name at %#x cannot be read", name)
	}
	if got := p.NameOfTask(where, addr+8, class, raw); strings.HasPrefix(got, "long") {
		t.Errorf("the name %q of a task that is gone", got)
	}
	return p.NameOfTask(where, addr, class, raw)
}

// framesText is the chain of awaits as the program writes it.
func framesText(t *testing.T, p *Process, task *Task) string {
	t.Helper()
	var text []string
	for _, f := range task.Frames {
		code, err := p.Code(f.Code)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, fmt.Sprintf("%s:%d", code.Function[strings.LastIndexByte(code.Function, '.')+1:], code.Line(f.Lasti)))
	}
	return strings.Join(text, ",")
}

// liar has one task; for each line of stdin, it writes a word of that task: where,
// and what.
const liar = `
import asyncio, ctypes, sys, threading
loop = asyncio.new_event_loop()
async def waits(): await loop.create_future()
task = loop.create_task(waits())
def lie():
    print("ready")
    print(id(task), id(task.get_coro()), flush=True)
    for line in sys.stdin:
        at, value = map(int, line.split())
        ctypes.c_uint64.from_address(id(task) + at).value = value
        print("done", flush=True)
loop.call_soon(lambda: loop.call_soon(lambda: threading.Thread(target=lie, daemon=True).start()))
loop.run_forever()
`

// TestFalseTasks: what a process writes over its tasks is refused or harmless, and
// read in bounded time.
func TestFalseTasks(t *testing.T) {
	each(t, func(t *testing.T, i testpy.Interpreter) {
		child := testpy.Start(t, i, liar)
		defer child.Kill()
		var task, coro uint64
		if _, err := fmt.Sscan(child.Line(t), &task, &coro); err != nil {
			t.Fatal(err)
		}
		p := open(t, child.PID)
		where := p.Tasks()
		l := where.task
		if p.Build.FreeThreaded {
			return
		}
		if tasks, err := p.PendingTasks(where, true, time.Second); err != nil || len(tasks) != 1 || tasks[0].Addr != task || tasks[0].Coro != coro {
			t.Fatalf("tasks %+v, error %v", tasks, err)
		}
		write := func(at uint32, value uint64) {
			child.Send(t, fmt.Sprint(at, " ", value))
			child.Line(t)
		}
		try := func(at uint32, value uint64, truth uint64) ([]Task, error) {
			write(at, value)
			defer write(at, truth)
			begun := time.Now()
			tasks, err := p.PendingTasks(where, true, 10*time.Millisecond)
			if took := time.Since(begun); took > 3*time.Second {
				t.Errorf("reading took %v", took)
			}
			return tasks, err
		}
		for name, value := range map[string]uint64{"nothing": 0, "no address": 1, "not mapped": 1 << 46, "the end of the address space": ^uint64(7)} {
			if tasks, err := try(l.coro, value, coro); err == nil {
				t.Errorf("%s as the coroutine: tasks %+v", name, tasks)
			}
		}
		if tasks, err := try(l.coro, task, coro); err != nil || len(tasks) != 1 || len(tasks[0].Frames) != 0 {
			t.Errorf("a task as the coroutine: tasks %+v, error %v", tasks, err)
		}
		if !l.linked {
			return
		}
		next, err := p.word(task + uint64(l.node))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]uint64{"a cycle": task + uint64(l.node), "not mapped": 1 << 46, "the end of the address space": ^uint64(7)} {
			if tasks, err := try(l.node, value, next); err == nil {
				t.Errorf("%s as the next of the list: tasks %+v", name, tasks)
			}
		}
		if got := p.TaskName(where, ^uint64(7)); got != "" {
			t.Errorf("a name %q of no task", got)
		}
	})
}
