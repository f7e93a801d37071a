package cpython

// taskLayout is where the fields of asyncio's tasks lie (struct TaskObj,
// Modules/_asynciomodule.c). The loop follows the header in all versions.
type taskLayout struct {
	size                      uint32 // of the struct, which the type must bear out
	state, waiter, coro, name uint32
	logTB                     uint32 // the byte whose lowest bit says that nobody has asked for the exception

	// From 3.14 on tasks are linked: lists in each thread state and in the interpreter.
	linked                                    bool
	node, interpHead, threadHead, runningLoop uint32
}

// Constants of tasks in all versions without free threading.
const (
	taskType     = "_asyncio.Task"
	taskLoop     = 16 // task_loop
	taskRaised   = 48 // task_exception
	statePending = 0  // of enum fut_state
	stateDone    = 2  // but not cancelled
	typeBase     = 256
	typeSize     = 32 // tp_basicsize
	firstField   = 16 // of objects that have but one: weakref.wr_object, coroutine_wrapper.cw_coroutine, async_generator_asend.ags_gen
	typeHeap     = 1 << 9
)

// Errors as tasks keep them (struct PyTracebackObject; the same from 3.8 to 3.15).
const (
	tracebackNext  = 16
	tracebackFrame = 24
	tracebackLasti = 32
	tracebackSize  = 40
	frameInside    = 24 // of a frame object, the interpreter's frame (3.11+)
)

// tracebackAt is where an exception has its traceback (struct PyBaseExceptionObject).
func tracebackAt(v Version) uint64 {
	if v.series() >= 0x030b { // behind the notes
		return 40
	}
	return 32
}

// taskLayouts are those of the versions that do not tell: measured with gdb's
// "ptype /o" on builds with DWARF (3.8.18 to 3.13.0).
var taskLayouts = map[uint32]taskLayout{
	0x0308: {size: 144, state: 72, logTB: 76, waiter: 104, coro: 112, name: 120},
	0x0309: {size: 184, state: 80, logTB: 84, waiter: 144, coro: 152, name: 160},
	0x030a: {size: 192, state: 88, logTB: 92, waiter: 152, coro: 160, name: 168},
	0x030b: {size: 176, state: 88, logTB: 92, waiter: 128, coro: 136, name: 144},
	0x030c: {size: 176, state: 88, logTB: 92, waiter: 128, coro: 136, name: 144},
	0x030d: {size: 144, state: 96, logTB: 100, waiter: 112, coro: 120, name: 128},
}

// coroutineLayout is how coroutines and generators keep their frame, and how a
// frame that is suspended tells what it awaits (PyGenObject; PyFrameObject before
// 3.11, then _PyInterpreterFrame). Measured like the above; 3.15 by its own table
// and live.
type coroutineLayout struct {
	frame  uint32 // inside of the object (3.11+), or a pointer (apart)
	apart  bool
	state  uint32 // a byte: in the object (3.11+), in the frame (3.10); None before, when a frame that runs has no stack
	states coroutineStates
	stack  uint32 // in the frame: where the stack ends, a pointer or a number of values
	values uint32 // what that number counts from: a pointer (apart), or in the frame itself; None: stack is a pointer
	slot   uint64 // of what is awaited: so many values below the end
}

// coroutineStates are the values of enum _framestate that matter. Awaiting are
// those from first to last; before 3.13, that includes a generator at a plain yield.
// What is above last runs, or has ended.
type coroutineStates struct{ created, first, last int8 }

// coroutinesOf returns the coroutineLayout of a version. From 3.14 on
// _Py_DebugOffsets completes it.
func coroutinesOf(v Version) coroutineLayout {
	c := coroutineLayout{frame: 16, apart: true, state: None, stack: 72, values: None, slot: 1}
	switch {
	case v.series() == 0x030a:
		c.state, c.states, c.stack, c.values = 108, coroutineStates{-2, -1, -1}, 80, 64
	case v.series() == 0x030b:
		c = coroutineLayout{frame: 80, state: 75, states: coroutineStates{-2, -1, -1}, stack: 64, values: 72, slot: 1}
	case v.series() == 0x030c:
		c = coroutineLayout{frame: 72, state: 67, states: coroutineStates{-2, -1, -1}, stack: 64, values: 72, slot: 1}
	case v.series() == 0x030d:
		c = coroutineLayout{frame: 72, state: 67, states: coroutineStates{-3, -1, -1}, stack: 64, values: 72, slot: 1}
	case v.series() == 0x030e:
		c = coroutineLayout{states: coroutineStates{-3, -1, -1}, values: None, slot: 1}
	case v.series() >= 0x030f: // SEND keeps one more value on the stack
		c = coroutineLayout{states: coroutineStates{0, 2, 3}, values: None, slot: 2}
	}
	return c
}

// tellsAwait says whether the state itself tells a plain yield from an await (3.13+).
func (c *coroutineLayout) tellsAwait() bool {
	return c.state != None && c.states.first != c.states.created+1
}
