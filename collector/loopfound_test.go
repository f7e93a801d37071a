package collector

import (
	"bytes"
	"slices"
	"testing"

	"gilscope/internal/cpython"
	"gilscope/internal/trace"
	"gilscope/probes"
)

// stackOf makes a stack of code objects, leaf first.
func (s *stacks) stackOf(codes []cpython.Code) known {
	var k known
	for i, code := range codes {
		id := s.w.Frame(trace.Frame{Function: s.w.String(code.Function), File: s.w.String(code.File), Line: int32(i + 1)})
		s.about[id] = aboutFrame(&code)
		k.frames = append(k.frames, id)
		k.roles |= s.about[id].role
	}
	return k
}

// TestFindingLoops: whose wait for events is a loop's, and of which kind; and that a block of it, which
// does not show that wait, is seen to be one.
func TestFindingLoops(t *testing.T) {
	const lib = "/usr/lib/python3.12/"
	asyncio := []cpython.Code{{Function: "BaseEventLoop._run_once", File: lib + "asyncio/base_events.py"},
		{Function: "BaseEventLoop.run_forever", File: lib + "asyncio/base_events.py"}, {Function: "<module>", File: "/app/main.py"}}
	handle := append([]cpython.Code{{Function: "handle", File: "/app/web.py", Coroutine: true}, {Function: "Handle._run", File: lib + "asyncio/events.py"}}, asyncio...)
	trio := []cpython.Code{{Function: "unrolled_run", File: "/venv/trio/_core/_run.py"}, {Function: "run", File: "/venv/trio/_core/_run.py"}, {Function: "<module>", File: "/app/main.py"}}
	for _, c := range []struct {
		name  string
		nr    int32
		stack []cpython.Code
		kind  string
	}{
		{"select of asyncio", probes.NRSelect, append([]cpython.Code{{Function: "SelectSelector.select", File: lib + "selectors.py"}}, asyncio...), loopAsyncio},
		{"poll of asyncio, through a class of the program", probes.NRPoll, append([]cpython.Code{{Function: "PollSelector.select", File: lib + "selectors.py"},
			{Function: "Mine.select", File: "/app/loop.py"}}, asyncio...), loopAsyncio},
		{"poll in a task", probes.NRPoll, handle, ""},
		{"epoll in a task: the loop's own tells", probes.NREpollWait, handle, loopAsyncio},
		{"a sample in a task", 0, handle, loopAsyncio},
		{"epoll of trio", probes.NREpollWait, append([]cpython.Code{{Function: "EpollIOManager.get_events", File: "/venv/trio/_core/_io_epoll.py"}}, trio...), loopTrio},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newLoopBench(t)
			th := b.d.join(b.p, loopTID)
			th.loop = nil
			b.p.stacks = newStacks(nil, trace.NewWriter(&bytes.Buffer{}, trace.WriterOptions{}), nil)
			b.d.mayBeLoop(b.p, th, c.nr, 4, b.p.stacks.stackOf(c.stack))
			if c.kind == "" {
				if th.loop != nil {
					t.Errorf("a %s loop", th.loop.kind)
				}
				return
			}
			if th.loop == nil || th.loop.kind != c.kind {
				t.Fatalf("the loop is %+v", th.loop)
			}
			block := handle
			if c.kind == loopTrio {
				block = append([]cpython.Code{{Function: "handle", File: "/app/web.py", Coroutine: true}}, trio...)
			}
			if !th.loop.shows(b.p.stacks, b.p.stacks.stackOf(block)) {
				t.Error("a block of it would be taken for what is between two runs of it")
			}
		})
	}
}

// TestOwnCode: by which code the programs tell the wait of a loop from those of what it runs.
func TestOwnCode(t *testing.T) {
	const lib = "/usr/lib/python3.12/"
	selectorSelect := cpython.Code{Function: "SelectSelector.select", File: lib + "selectors.py"}
	mine := cpython.Code{Function: "Mine.select", File: "/app/loop.py"}
	runOnce := cpython.Code{Function: "BaseEventLoop._run_once", File: lib + "asyncio/base_events.py"}
	run := cpython.Code{Function: "Handle._run", File: lib + "asyncio/events.py"}
	task := cpython.Code{Function: "handle", File: "/app/web.py", Coroutine: true}
	for _, c := range []struct {
		name  string
		stack []cpython.Code // frame i has the code object i + 1
		want  ownCode
	}{
		{"selector", []cpython.Code{selectorSelect, runOnce}, ownCode{2, 1}},
		{"through a class of the program", []cpython.Code{selectorSelect, mine, runOnce}, ownCode{3, 2}},
		{"no Python in between", []cpython.Code{runOnce}, ownCode{1, 0}},
		{"a selector in a task", []cpython.Code{selectorSelect, task, run, runOnce}, ownCode{}},
		{"a callback that is no Python code", []cpython.Code{run, runOnce}, ownCode{}},
		{"no loop", []cpython.Code{selectorSelect, mine}, ownCode{}},
		{"deeper than the programs look", append(slices.Repeat([]cpython.Code{mine}, probes.WaitDepth), runOnce), ownCode{}},
		{"just not deeper", append(slices.Repeat([]cpython.Code{mine}, probes.WaitDepth-1), runOnce), ownCode{probes.WaitDepth, probes.WaitDepth - 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStacks(nil, trace.NewWriter(&bytes.Buffer{}, trace.WriterOptions{}), nil)
			frames := make([]probes.Frame, len(c.stack))
			for i := range frames {
				frames[i].Code = uint64(i + 1)
			}
			if got := s.ownCode(frames, s.stackOf(c.stack)); got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

// TestWaitsAnew: a loop that sleeps in its own wait, by another selector than when it was known, is not
// blocked; in such a call of a task it is.
func TestWaitsAnew(t *testing.T) {
	const lib, begin, tag = "/usr/lib/python3.12/", 1000 * msec, 77
	runOnce := cpython.Code{Function: "BaseEventLoop._run_once", File: lib + "asyncio/base_events.py"}
	own := []cpython.Code{{Function: "PollSelector.select", File: lib + "selectors.py"}, runOnce}
	task := []cpython.Code{{Function: "handle", File: "/app/web.py", Coroutine: true}, {Function: "Handle._run", File: lib + "asyncio/events.py"}, runOnce}
	for _, c := range []struct {
		name  string
		stack []cpython.Code
		nr    int32
		often int
		want  probes.LoopWait
		block string
	}{
		{"another selector", own, probes.NRSelect, 0, probes.LoopWait{NR: probes.NRSelect, FD: 3, Runs: 2, Calls: 1}, ""},
		{"another system call", own, probes.NRPoll, 0, probes.LoopWait{NR: probes.NRPoll, FD: 3, Runs: 2, Calls: 1}, ""},
		{"too often", own, probes.NRSelect, maxAnew, probes.LoopWait{NR: probes.NRSelect, FD: 3}, ""},
		{"a task", task, probes.NRSelect, 0, probes.LoopWait{}, "1000 syscall; 100 = cpu 7 gil 0 run 0 off 93; call 23"},
		{"another kind of call", own, 45, 0, probes.LoopWait{}, "1000 syscall; 100 = cpu 7 gil 0 run 0 off 93; call 45"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newLoopBench(t)
			k := b.p.stacks.stackOf(c.stack)
			k.own = b.p.stacks.ownCode([]probes.Frame{{Code: 1}, {Code: 2}, {Code: 3}}[:len(c.stack)], k)
			k.id = b.d.w.Stack(k.frames)
			b.p.stacks.known[tag] = k
			l := b.d.tids[loopTID].loop
			l.nr, l.anew = probes.NRSelect, c.often
			b.own = tag
			b.leave(begin+2*msec, begin, true, probes.LoopAt{Nr: c.nr, Fd: 3})
			b.come(begin + 95*msec)
			if c.block != "" {
				b.over(begin+100*msec, begin, 7*msec)
			}
			if b.wait != c.want {
				t.Errorf("it waits by %+v, want %+v", b.wait, c.want)
			}
			if got := b.blocks(begin + 200*msec); got != c.block {
				t.Errorf("%q, want %q", got, c.block)
			}
		})
	}
}
