package livetest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"gilscope/internal/testpy"
	"gilscope/internal/trace"
)

// deepScript computes at the bottom of a recursion deeper than what is walked,
// beside a thread that wants the GIL.
const deepScript = `
import sys, threading, time
def bottom():
    x = 0
    while running: x += 1
def down(n):
    if n: return down(n - 1)
    bottom()
def wants():
    while running: time.sleep(0.001)
running = True
threads = [threading.Thread(target=down, args=(%d,)), threading.Thread(target=wants)]
for t in threads: t.start()
print("ready", flush=True)
sys.stdin.read()
running = False
`

// TestDeepStacks: 64 frames of the holder's stack are there, leaf first and with
// their lines; one that goes on is marked, one that does not is not.
func TestDeepStacks(t *testing.T) {
	for _, in := range testpy.Some(t, "3.8", "3.10", "3.11", "3.13", "3.14") {
		for _, depth := range []int{20, 100} {
			t.Run(fmt.Sprintf("%s/%d", in.Name, depth), steady(func(t testing.TB) { deepStack(t, in, depth) }))
		}
	}
}

func deepStack(t testing.TB, in testpy.Interpreter, depth int) {
	p := testpy.Start(t, in, fmt.Sprintf(deepScript, depth))
	r := startRecord(t, "-p", fmt.Sprint(p.PID), "-d", "300ms")
	r.wait(t)
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	tr := open(t, r, nil).trace
	seen := 0
	for _, e := range tr.Events {
		if e.Kind != trace.GILDropRequest || e.Stack == 0 {
			continue
		}
		names := namesOf(tr, e.Stack)
		if names[0] != "bottom" {
			continue // the other thread's, or on the way
		}
		seen++
		downs := 0
		for _, n := range names {
			if n == "down" {
				downs++
			}
		}
		cut := names[len(names)-1] == "[truncated]"
		if want := min(depth+1, 63); downs != want || cut != (depth > 64) {
			t.Fatalf("%d frames, %d of them down() (want %d), truncated %v: %q", len(names), downs, want, cut, names)
		}
		if line := tr.Frames[tr.Stacks[e.Stack][1]].Line; line != 8 {
			t.Fatalf("bottom() is called on line %d, want 8", line)
		}
	}
	if seen == 0 {
		t.Error("no drop request has the holder's stack")
	}
}

// namesOf are the functions of a stack, leaf first.
func namesOf(tr *trace.Trace, id trace.StackID) []string {
	var names []string
	for _, f := range tr.Stacks[id] {
		names = append(names, short(tr.Strings[tr.Frames[f].Function]))
	}
	return names
}

// kindsScript has every kind of Python frame on two stacks, for all on one would
// be more than is walked: called from Python and from C, with frames of their own
// and without. At the bottom each thread says what is on its stack; once the
// other has done so too, both compute.
const kindsScript = `
import ctypes, functools, json, re, sys, threading, time
def bottom():
    frame, lines = sys._getframe(1), []
    while frame:
        code = frame.f_code
        lines.append([getattr(code, "co_qualname", code.co_name), code.co_filename, frame.f_lineno])
        frame = frame.f_back
    said.append(lines)
    x = 0
    while running: x += 1
def generator(then):
    yield 1
    yield (
        then()
    )
def loop(then):
    for _ in generator(then): pass
def delegate(then):
    yield from generator(then)
def delegated(then):
    list(delegate(then))
async def awaited(then):
    then()
async def coroutine(then):
    x = [1,
         await awaited(then),
         2]
def sent(then):
    try: coroutine(then).send(None)
    except StopIteration: pass
async def produce(then):
    yield then()
async def consume(then):
    async for _ in produce(then):
        pass
def asynchronous(then):
    try: consume(then).send(None)
    except StopIteration: pass
def by_sorted(then):
    sorted([1], key=lambda _:
        then() or 0)
def by_re(then):
    re.sub("a", lambda m: (
        then(), "b")[1], "a")
def by_ctypes(then):
    call = ctypes.CFUNCTYPE(None)(then)
    call()
def by_partial(then):
    functools.partial(functools.reduce, lambda a, b: then())([1, 2])
def comprehension(then):
    return [
        then() for _ in range(1)
    ]
def expression(then):
    return sum(then() or 0
               for _ in range(1))
def body(then):
    class Body:
        x = 1
        then()
def executed(then):
    exec("\n\ndef inner(f):\n\n    f()\ninner(then)", {"then": then})
def evaluated(then):
    eval("(\n\nthen())", {"then": then})
def decorated(f):
    @functools.wraps(f)
    def wrapper(*args, **kw):
        return f(*args,
                 **kw)
    return wrapper
@decorated
@decorated
def behind(then):
    then()
class Slots:
    def __init__(self, then): self.then = then
    def __add__(self, other):
        return self.then()
    def __getattr__(self, name):
        return self + 1
    def __enter__(self): return self
    def __exit__(self, *exc):
        self.missing
    def __call__(self): pass
def slots(then):
    with Slots(then):
        pass
def recursion(then, n=6):
    if n: return recursion(then, n - 1)
    then()
def late(then):
    try:
        1 / 0
    except ZeroDivisionError:
        for i in range(2):
            if i: then()
    finally:
        pass
def long(then):
    x = 0
%s
    then()
kinds = [[loop, delegated, sent, asynchronous, by_sorted, by_re, by_ctypes, by_partial, comprehension],
         [expression, body, executed, evaluated, behind, slots, recursion, late, long]]
def step(todo):
    return todo[0](functools.partial(step, todo[1:])) if todo else bottom()
running, said = True, []
threads = [threading.Thread(target=step, args=(k,)) for k in kinds]
for t in threads: t.start()
while len(said) < 2: time.sleep(0.001)
print("ready", json.dumps(said), sep="\n", flush=True)
sys.stdin.read()
running = False
`

// TestFrameKinds compares the recorded stack with what the program itself says,
// frame by frame: names, files and lines.
func TestFrameKinds(t *testing.T) {
	for _, in := range testpy.All(t) {
		t.Run(in.Name, steady(func(t testing.TB) { frameKinds(t, in) }))
	}
}

func frameKinds(t testing.TB, in testpy.Interpreter) {
	// The jump over 300 statements needs the long forms of the line table.
	script := fmt.Sprintf(kindsScript, strings.Repeat("    x += 1 if x else 2\n", 300))
	p := testpy.Start(t, in, script)
	var said [][][3]any
	if err := json.Unmarshal([]byte(p.Line(t)), &said); err != nil {
		t.Fatal(err)
	}
	want := map[any][][3]any{} // by the function that is next to the bottom's caller
	for _, frames := range said {
		want[frames[1][0]] = frames
	}
	// Who holds the GIL when it is asked for is chance, on a busy machine more than on a quiet one.
	compared, asked := map[string]bool{}, 0
	for n := 0; n < kindsRecordings && len(compared) < len(want); n++ {
		r := startRecord(t, "-p", fmt.Sprint(p.PID), "-d", "300ms")
		r.wait(t)
		asked += compareHolders(t, open(t, r, nil).trace, want, compared)
	}
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	if len(compared) != len(want) {
		t.Errorf("%d drop requests have the stacks of %v, want both threads'", asked, compared)
	}
}

// kindsRecordings is how often at most it is recorded until the stacks of all threads were seen.
const kindsRecordings = 5

// compareHolders compares the stack of each thread from which the GIL was asked for at the bottom of its
// calls. It notes which these were, and returns how many drop requests there were in all.
func compareHolders(t testing.TB, tr *trace.Trace, want map[any][][3]any, compared map[string]bool) (asked int) {
	t.Helper()
	for _, e := range tr.Events {
		if e.Kind != trace.GILDropRequest {
			continue
		}
		asked++
		stack := tr.Stacks[e.Stack]
		if e.Stack == 0 || len(stack) < 3 || namesOf(tr, e.Stack)[0] != "bottom" {
			continue // on the way, or cut: the next one is not
		}
		kind := tr.Strings[tr.Frames[stack[2]].Function]
		compared[kind] = true
		compareFrames(t, tr, stack[1:], want[kind])
	}
	return asked
}

// compareFrames compares frames, leaf first, with what sys._getframe said.
func compareFrames(t testing.TB, tr *trace.Trace, frames []trace.FrameID, want [][3]any) {
	t.Helper()
	if len(frames) != len(want) {
		t.Fatalf("%d frames, want %d: %v", len(frames), len(want), want)
	}
	for i, w := range want {
		f := tr.Frames[frames[i]]
		if got := [3]any{tr.Strings[f.Function], tr.Strings[f.File], float64(f.Line)}; got != w {
			t.Errorf("frame %d is %v, want %v", i, got, w)
		}
	}
}
