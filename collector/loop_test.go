package collector

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"gilscope/internal/cpython"
	"gilscope/internal/trace"
	"gilscope/probes"
)

const (
	loopTID = 11
	msec    = trace.Time(1e6)
)

// loopBench is a process with one loop, and the trace that its records make.
type loopBench struct {
	t    *testing.T
	d    *dispatcher
	p    *process
	out  bytes.Buffer
	in   map[int32]probes.Loop // what the programs know
	own  uint64                // the stack with which it leaves the CPU
	wait probes.LoopWait       // as the programs were told last
	end  *trace.Trace          // after blocks
}

func newLoopBench(t *testing.T) *loopBench {
	b := &loopBench{t: t, in: map[int32]probes.Loop{}}
	b.d = newDispatcher(trace.NewWriter(&b.out, trace.WriterOptions{CPUs: 1}))
	b.d.w.Note(trace.Note{Time: 1, Name: trace.NoteRecording})
	b.d.loops = loopWatch{
		watch:  func(_ *process, _ *thread, w probes.LoopWait) bool { b.wait = w; return true },
		state:  func(tid int32) (probes.Loop, bool) { l, ok := b.in[tid]; return l, ok },
		forget: func(tid int32) { delete(b.in, tid) },
		block:  50 * msec,
	}
	b.p = newProcess(loopTID)
	b.p.stacks = newStacks(nil, b.d.w, nil)
	b.d.procs[loopTID] = b.p
	b.d.join(b.p, loopTID).loop = &loop{nr: probes.NREpollWait, kind: loopAsyncio}
	return b
}

// leave and come are a switch of the loop's thread within the iteration of begin.
func (b *loopBench) leave(at, begin trace.Time, asleep bool, la probes.LoopAt) {
	r := probes.Record{Rec: &probes.Rec{Ts: uint64(at), Kind: probes.KindSwitch, Tgid: loopTID, Tid: loopTID, Flags: probes.FlagPrev}}
	if asleep {
		r.Flags |= probes.FlagAsleep
		r.Rec.Arg = 1
	}
	if begin != 0 {
		la.Begin = uint64(begin)
		r.Flags |= probes.FlagLoop
		r.At = &la
		r.Own.Hash = b.own
	}
	b.d.record(r)
}

func (b *loopBench) wake(at trace.Time) {
	b.d.record(probes.Record{Rec: &probes.Rec{Ts: uint64(at), Kind: probes.KindWaking, Tgid: loopTID, Peer: loopTID}})
}

func (b *loopBench) come(at trace.Time) {
	b.d.record(probes.Record{Rec: &probes.Rec{Ts: uint64(at), Kind: probes.KindSwitch, Tgid: loopTID, Peer: loopTID, Flags: probes.FlagNext}})
}

func (b *loopBench) sample(at, begin trace.Time, la probes.LoopAt) {
	la.Begin = uint64(begin)
	b.d.record(probes.Record{Rec: &probes.Rec{Ts: uint64(at), Kind: probes.KindSample, Tgid: loopTID, Tid: loopTID, Flags: probes.FlagLoop}, At: &la})
}

func (b *loopBench) over(at, begin, cpu trace.Time) {
	b.d.record(probes.Record{Rec: &probes.Rec{Ts: uint64(at), Kind: probes.KindBlock, Tgid: loopTID, Tid: loopTID, Flags: probes.FlagLoop},
		At: &probes.LoopAt{Begin: uint64(begin), Cpu: uint64(cpu)}})
}

// blocks closes the trace and returns its blocks and counters as text.
func (b *loopBench) blocks(at trace.Time) string {
	b.t.Helper()
	b.d.close(b.p, at, trace.WaitUnknown)
	b.d.w.Note(trace.Note{Time: at + 1, Name: trace.NoteEnd})
	if err := b.d.w.Close(); err != nil {
		b.t.Fatal(err)
	}
	tr, err := trace.Read(&b.out)
	if err != nil {
		b.t.Fatal(err)
	}
	b.end = tr
	if errs := tr.Validate(); len(errs) > 0 {
		b.t.Errorf("not valid: %v", errs)
	}
	var lines []string
	for i := range tr.Events {
		switch e := &tr.Events[i]; e.Kind {
		case trace.LoopBlockBegin:
			lines = append(lines, fmt.Sprintf("%d %v", e.Time/msec, trace.BlockCause(e.Arg)))
		case trace.LoopBusy, trace.LoopIdle:
			lines = append(lines, fmt.Sprintf("%v %d", e.Kind, e.Arg/1e6))
		}
	}
	for _, n := range tr.Notes {
		if n.Name != trace.NoteBlock {
			continue
		}
		parts, call := map[string]int64{}, ""
		for _, a := range n.Args {
			parts[a.Key] = a.Num / 1e6
			if a.Key == "syscall" {
				call = fmt.Sprintf("; call %d", a.Num)
			}
		}
		lines = append(lines, fmt.Sprintf("%d = cpu %d gil %d run %d off %d", parts["duration_ns"], parts["on_cpu_ns"], parts["gil_wait_ns"], parts["runnable_ns"], parts["blocked_ns"])+call)
	}
	return strings.Join(lines, "; ")
}

// sleeps is an iteration of 100 ms that sleeps for 90 of them in one call.
func sleeps(nr int32, mode uint16) func(*loopBench) {
	const begin = 1000 * msec
	return func(b *loopBench) {
		b.leave(begin+2*msec, begin, true, probes.LoopAt{Nr: nr, Fd: 3, Mode: mode})
		b.wake(begin + 92*msec)
		b.come(begin + 95*msec)
		b.over(begin+100*msec, begin, 7*msec)
	}
}

// TestBlocksFromRecords: what the switches within an iteration make of a block.
func TestBlocksFromRecords(t *testing.T) {
	const begin = 1000 * msec
	for _, c := range []struct {
		name string
		do   func(*loopBench)
		want string
	}{
		{"sleep", sleeps(230, 0), "1000 sleep; 100 = cpu 7 gil 0 run 3 off 90; call 230"},
		{"select of nothing", func(b *loopBench) {
			b.leave(begin+2*msec, begin, true, probes.LoopAt{Nr: probes.NRPselect6})
			b.come(begin + 95*msec)
			b.over(begin+100*msec, begin, 7*msec)
		}, "1000 sleep; 100 = cpu 7 gil 0 run 0 off 93; call 270"},
		{"socket", sleeps(45, modeSocket), "1000 syscall; 100 = cpu 7 gil 0 run 3 off 90; call 45"},
		{"read of a pipe", sleeps(0, modePipe), "1000 syscall; 100 = cpu 7 gil 0 run 3 off 90; call 0"},
		{"read of a file", sleeps(0, modeFile), "1000 file; 100 = cpu 7 gil 0 run 3 off 90; call 0"},
		{"lock", sleeps(202, 0), "1000 lock; 100 = cpu 7 gil 0 run 3 off 90; call 202"},
		{"a switch-in that was not reported", func(b *loopBench) {
			b.leave(begin+2*msec, begin, true, probes.LoopAt{Nr: 45, Mode: modeSocket})
			b.wake(begin + 92*msec)
			b.over(begin+100*msec, begin, 7*msec)
		}, "1000 syscall; 100 = cpu 7 gil 0 run 3 off 90; call 45"},
		{"one before another sleep", func(b *loopBench) {
			b.leave(begin+2*msec, begin, true, probes.LoopAt{Nr: 45, Mode: modeSocket})
			b.wake(begin + 82*msec)
			b.leave(begin+84*msec, begin, true, probes.LoopAt{Nr: 202})
			b.wake(begin + 94*msec)
			b.come(begin + 95*msec)
			b.over(begin+100*msec, begin, 7*msec)
		}, "1000 syscall; 100 = cpu 7 gil 0 run 3 off 90; call 45"},
		{"cpu", func(b *loopBench) { b.over(begin+100*msec, begin, 98*msec) }, "1000 cpu; 100 = cpu 98 gil 0 run 2 off 0"},
		{"a file from the cache", func(b *loopBench) {
			b.sample(begin+30*msec, begin, probes.LoopAt{Nr: 17})
			b.sample(begin+40*msec, begin, probes.LoopAt{Nr: 17})
			b.sample(begin+50*msec, begin, probes.LoopAt{Nr: -1})
			b.over(begin+100*msec, begin, 98*msec)
		}, "1000 file; 100 = cpu 98 gil 0 run 2 off 0; call 17"},
		{"more cpu than the machine gave", func(b *loopBench) { b.over(begin+100*msec, begin, 60*msec) }, "1000 cpu; 100 = cpu 60 gil 0 run 40 off 0"},
		{"no cpu", func(b *loopBench) {
			b.leave(begin+2*msec, begin, false, probes.LoopAt{Nr: -1})
			b.come(begin + 95*msec)
			b.over(begin+100*msec, begin, 7*msec)
		}, "1000 runqueue; 100 = cpu 7 gil 0 run 93 off 0"},
		{"an iteration before it, too short to be told of", func(b *loopBench) {
			b.leave(begin-20*msec, begin-22*msec, true, probes.LoopAt{Nr: 230})
			b.come(begin - 10*msec)
			b.over(begin+100*msec, begin, 98*msec)
		}, "1000 cpu; 100 = cpu 98 gil 0 run 2 off 0"},
		{"a wait for the GIL", func(b *loopBench) {
			b.d.tids[loopTID].loop.at(begin)
			b.d.tids[loopTID].loop.waited(begin-5*msec, begin+80*msec)
			b.over(begin+100*msec, begin, 15*msec)
		}, "1000 gil; 100 = cpu 15 gil 80 run 5 off 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newLoopBench(t)
			c.do(b)
			if got := b.blocks(begin + 200*msec); got != c.want {
				t.Errorf("%s\nwant %s", got, c.want)
			}
		})
	}
}

// TestLoopAtTheEnd: what a loop is in the middle of when the recording ends counts.
func TestLoopAtTheEnd(t *testing.T) {
	b := newLoopBench(t)
	l := probes.Loop{Begin: uint64(1000 * msec), On: 1}
	l.Told.Since, l.Told.Busy, l.Told.Idle = uint64(500*msec), uint64(100*msec), uint64(400*msec)
	b.in[loopTID] = l
	if got, want := b.blocks(1070*msec), "1000 runqueue; loop.busy 170; loop.idle 400; 70 = cpu 0 gil 0 run 70 off 0"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if len(b.in) != 0 {
		t.Error("the programs still watch the loop")
	}
}

// TestBlockThatGoesOn is in the trace before it is over, once, and later with the
// cause that it had in the end.
func TestBlockThatGoesOn(t *testing.T) {
	const begin = 1000 * msec
	b := newLoopBench(t)
	b.leave(begin+2*msec, begin, true, probes.LoopAt{Nr: 230})
	b.in[loopTID] = probes.Loop{Begin: uint64(begin), On: 1}
	b.d.tellBlocks(begin + 40*msec)
	if b.d.events != 1 { // the switch
		t.Errorf("%d events: it is no block yet", b.d.events)
	}
	for range 2 {
		b.d.tellBlocks(begin + 90*msec)
	}
	if b.d.events != 2 {
		t.Errorf("%d events: its begin is told once", b.d.events)
	}
	b.come(begin + 92*msec)
	b.over(begin+300*msec, begin, 205*msec)
	b.in[loopTID] = probes.Loop{On: 1}
	if got, want := b.blocks(begin+400*msec), "1000 sleep; 300 = cpu 205 gil 0 run 5 off 90"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// TestAlarmOnBlocks: an alarm fires while a block goes on, and not for a loop that
// waits for events.
func TestAlarmOnBlocks(t *testing.T) {
	b := newLoopBench(t)
	b.d.alarm = newAlarm([]Trigger{{MetricBlock, 80 * time.Millisecond}})
	b.leave(1010*msec, 1000*msec, true, probes.LoopAt{Nr: 230})
	b.leave(1012*msec, 0, true, probes.LoopAt{}) // in its wait
	b.d.alarm.goingOn(b.d, 2000*msec)
	if b.d.alarm.fired != "" {
		t.Errorf("%q while the loop waits for events", b.d.alarm.fired)
	}
	b.leave(2010*msec, 2000*msec, true, probes.LoopAt{Nr: 230})
	b.d.alarm.goingOn(b.d, 2070*msec)
	if b.d.alarm.fired != "" {
		t.Errorf("%q after 70 ms", b.d.alarm.fired)
	}
	b.d.alarm.goingOn(b.d, 2090*msec)
	if b.d.alarm.fired != "trigger loop.block 90 ms" {
		t.Errorf("%q after 90 ms", b.d.alarm.fired)
	}
}

// TestSites: which line of a stack a block is named by, and which task ran.
func TestSites(t *testing.T) {
	const lib = "/usr/lib/python3.12/"
	loop := []cpython.Code{{Function: "Handle._run", File: lib + "asyncio/events.py"}, {Function: "BaseEventLoop._run_once", File: lib + "asyncio/base_events.py"},
		{Function: "run", File: lib + "asyncio/runners.py"}, {Function: "<module>", File: "/app/main.py"}}
	for _, c := range []struct {
		name      string
		above     []cpython.Code // of the loop's frames, leaf first
		site      string
		coroutine string
	}{
		{"coroutine", []cpython.Code{{Function: "handle", File: "/app/web.py", Coroutine: true}}, "handle", "handle"},
		{"in the standard library", []cpython.Code{{Function: "read", File: lib + "socket.py"}, {Function: "fetch", File: "/app/web.py"},
			{Function: "handle", File: "/app/web.py", Coroutine: true}}, "fetch", "handle"},
		{"in a package", []cpython.Code{{Function: "send", File: lib + "http/client.py"}, {Function: "get", File: lib + "site-packages/requests/api.py"},
			{Function: "fetch", File: "/app/web.py"}, {Function: "app", File: lib + "site-packages/web/app.py", Coroutine: true}}, "fetch", "app"},
		{"only packages", []cpython.Code{{Function: "send", File: lib + "http/client.py"}, {Function: "get", File: "/venv/lib/python3.12/site-packages/requests/api.py"}}, "get", ""},
		{"only the standard library", []cpython.Code{{Function: "collect", File: lib + "weakref.py"}}, "collect", ""},
		{"frozen", []cpython.Code{{Function: "_find", File: "<frozen importlib._bootstrap>"}, {Function: "load", File: "/app/plugins.py"}}, "load", ""},
		{"plain callback that runs a coroutine by hand", []cpython.Code{{Function: "step", File: "/app/web.py", Coroutine: true}, {Function: "tick", File: "/app/web.py"}}, "step", ""},
		{"a thread that starts for an executor", []cpython.Code{{Function: "Thread.start", File: lib + "threading.py"}, {Function: "BaseEventLoop.run_in_executor", File: lib + "asyncio/base_events.py"},
			{Function: "handle", File: "/app/web.py", Coroutine: true}}, "handle", "handle"},
		{"a task of pure Python", []cpython.Code{{Function: "handle", File: "/app/web.py", Coroutine: true}, {Function: "Task.__step", File: lib + "asyncio/tasks.py"}}, "handle", "handle"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStacks(nil, trace.NewWriter(&bytes.Buffer{}, trace.WriterOptions{}), nil)
			k := s.stackOf(append(c.above, loop...))
			if k.roles&roleRunOnce == 0 {
				t.Error("it is not seen to be a loop's stack")
			}
			if got := s.about[k.siteFrame(s.site(k))].function; got != c.site {
				t.Errorf("site %q, want %q", got, c.site)
			}
			if got := s.coroutine(k); got != c.coroutine {
				t.Errorf("coroutine %q, want %q", got, c.coroutine)
			}
		})
	}
}
