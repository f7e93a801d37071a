package collector

import (
	"bytes"
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
