package collector

import (
	"gilscope/internal/cpython"
	"gilscope/internal/trace"
	"gilscope/probes"
)

// loopBlocked handles the end of an iteration that was long enough to be a block.
func (d *dispatcher) loopBlocked(p *process, r probes.Record) {
	t := d.tids[int32(r.Tid)]
	if t == nil || t.proc != p || t.loop == nil || r.At == nil || r.At.Begin == 0 || r.At.Begin >= r.Ts {
		return
	}
	l, at := t.loop, trace.Time(r.Ts)
	it := l.at(trace.Time(r.At.Begin))
	if w := &t.wait; w.open && !(w.guess && !w.slept) {
		l.waited(w.begin, min(max(w.end, w.sleep), at)) // its end is not told yet
	}
	it.ends(at, t.woken)
	d.block(p, t, at, trace.Time(r.At.Cpu), trace.BlockOver)
	it.over = true
}

// split is where the time of a block went; the parts sum to its duration.
type split struct {
	cpu, gc, gil, runnable, blocked trace.Time
	gcKnown                         bool
	file                            trace.Time // of cpu: in calls on files
}

// split shares out the duration of the iteration. Its CPU time is the kernel's own
// sum; how much of it went to garbage collection is told by samples. What is left is time
// in which the thread wanted a CPU and had none, be it that another thread had it or
// another machine.
func (it *iteration) split(cpu trace.Time, gcKnown bool) split {
	var s split
	left := it.end - it.begin
	take := func(ns trace.Time) trace.Time {
		ns = min(max(ns, 0), left)
		left -= ns
		return ns
	}
	s.gil = take(it.gil)
	var blocked trace.Time
	for _, ns := range it.blocked {
		blocked += ns
	}
	s.blocked = take(blocked)
	s.cpu = take(max(cpu, it.cpu))
	s.runnable = left
	n := 0
	for _, k := range it.samples {
		n += k
	}
	if s.gcKnown = gcKnown && (n > 0 || s.cpu < 2*sampleNS); n > 0 {
		s.gc = s.cpu * trace.Time(it.samples[trace.CauseGC]) / trace.Time(n)
		s.file = s.cpu * trace.Time(it.samples[trace.CauseFile]) / trace.Time(n)
		s.cpu -= s.gc
	}
	return s
}

// cause is what most of the block went to. Who lacks a CPU is not to blame for
// that, unless the block would be one with it, too.
func (it *iteration) cause(s split, block trace.Time) trace.BlockCause {
	all := it.end - it.begin
	switch {
	case s.gil*2 >= all:
		return trace.CauseGIL
	case s.runnable*2 >= all && all-s.runnable < block:
		return trace.CauseRunqueue
	}
	by := it.blocked
	by[trace.CauseCPU] += s.cpu - s.file
	by[trace.CauseFile] += s.file
	by[trace.CauseGC] += s.gc
	by[trace.CauseGIL] += s.gil
	best := trace.CauseUnknown
	for c, ns := range by {
		if ns > by[best] {
			best = trace.BlockCause(c)
		}
	}
	return best
}

// mostUsed is the line that took most of the time for a cause; without one, the
// line that took most of all.
func (it *iteration) mostUsed(cause trace.BlockCause) *use {
	var best, any *use
	for i := range it.uses {
		u := &it.uses[i]
		if any == nil || u.ns > any.ns {
			any = u
		}
		if u.cause == cause && (best == nil || u.ns > best.ns) {
			best = u
		}
	}
	if best == nil {
		return any
	}
	return best
}

// block tells of an iteration that is a block. What a thread does between two runs
// of its loop looks like one, but its stacks do not show the loop.
func (d *dispatcher) block(p *process, t *thread, at, cpu trace.Time, how trace.BlockEnd) {
	l := t.loop
	it := &l.it
	s := it.split(cpu, p.py != nil && p.py.Layout.GCCollecting != cpython.None)
	cause := it.cause(s, d.loops.block)
	u := it.mostUsed(cause)
	if !it.told && !d.blockBegins(p, t, it, cause, u) {
		l.outside += it.end - it.begin
		return
	}
	d.event(p, trace.Event{Time: it.end, Kind: trace.LoopBlockEnd, TID: t.tid, Arg: int64(how)})
	coroutine, awaits := "", ""
	if u != nil && p.stacks != nil {
		coroutine, awaits = p.stacks.coroutine(u.k), p.stacks.awaits(u.k, u.depth-u.k.site)
	}
	args := []trace.Arg{{Key: "tid", Num: int64(t.tid)}, {Key: "cause", Text: cause.String()},
		{Key: "start_ns", Num: int64(it.begin)}, {Key: "duration_ns", Num: int64(it.end - it.begin)},
		{Key: "on_cpu_ns", Num: int64(s.cpu)}, {Key: "gil_wait_ns", Num: int64(s.gil)},
		{Key: "runnable_ns", Num: int64(s.runnable)}, {Key: "blocked_ns", Num: int64(s.blocked)}}
	if s.gcKnown {
		args = append(args, trace.Arg{Key: "gc_ns", Num: int64(s.gc)})
	}
	if c := it.longestCall(cause); c != nil {
		args = append(args, trace.Arg{Key: "syscall", Num: int64(c.nr)})
		if kind := fileKind(c.mode); kind != "" && cause != trace.CauseSleep && cause != trace.CauseLock {
			args = append(args, trace.Arg{Key: "file", Text: kind})
		}
	}
	if coroutine != "" {
		args = append(args, trace.Arg{Key: "coroutine", Text: coroutine}, trace.Arg{Key: "awaits", Text: awaits})
	}
	if u != nil {
		if name := p.taskName(t, &u.task); name != "" {
			args = append(args, trace.Arg{Key: "task", Text: name})
		}
	}
	d.w.Note(trace.Note{Time: it.end, PID: p.pid, Name: trace.NoteBlock, Args: args})
}

// blockBegins tells of the begin of a block, unless it is none of the loop's.
func (d *dispatcher) blockBegins(p *process, t *thread, it *iteration, cause trace.BlockCause, u *use) bool {
	begin := trace.Event{Time: it.begin, Kind: trace.LoopBlockBegin, TID: t.tid, Arg: int64(cause)}
	if u != nil {
		if !t.loop.shows(p.stacks, u.k) {
			return false
		}
		begin.Stack, begin.Other = u.stack, int32(u.depth)
	}
	d.event(p, begin)
	return true
}

// tellBlocks tells of blocks that go on, of each once: a flight recorder is about to
// write. Their cause is what it is by now.
func (d *dispatcher) tellBlocks(at trace.Time) {
	for _, p := range d.procs {
		for _, t := range p.threads {
			begin := t.loop.busySince()
			if begin == 0 || p.exited || t.loop.it.told || at-begin < d.loops.block {
				continue
			}
			if st, ok := d.loops.state(t.tid); !ok || trace.Time(st.Begin) != begin {
				continue // the record of its end is on its way, or it was too short for one
			}
			it := t.loop.it.clone()
			it.ends(at, t.woken)
			cause := it.cause(it.split(0, false), d.loops.block)
			t.loop.it.told = d.blockBegins(p, t, &it, cause, it.mostUsed(cause))
		}
	}
}

// shows says whether a stack is one of what the loop runs.
func (l *loop) shows(s *stacks, k known) bool {
	if l.kind == loopAsyncio {
		return k.roles&(roleRunOnce|roleCut) != 0
	}
	return s.shows(k, l.caller)
}

// longestCall is the system call that explains the cause, if one does.
func (it *iteration) longestCall(cause trace.BlockCause) *syscallUse {
	switch cause {
	case trace.CauseSleep, trace.CauseSyscall, trace.CauseDNS, trace.CauseFile, trace.CauseLock:
	default:
		return nil
	}
	var best *syscallUse
	for i := range it.calls {
		if c := &it.calls[i]; best == nil || c.ns > best.ns {
			best = c
		}
	}
	return best
}

// taskSeen is a task as the probes met it, when it ran: later it may be gone, and
// another one be in its place.
type taskSeen struct {
	addr, loop, class uint64
	name              [probes.NameBytes]byte // the begin of the object
}

func taskOf(at *probes.LoopAt) taskSeen { return taskSeen{at.Task, at.Loop, at.Class, at.Name} }

// taskName is the name of a task that a thread's loop ran; "" if it is not known.
func (p *process) taskName(t *thread, seen *taskSeen) string {
	if p.py == nil || seen.addr == 0 || !p.ownTask(t, seen.loop) {
		return ""
	}
	return p.py.NameOfTask(p.tasks, seen.addr, seen.class, seen.name[:])
}

// ownTask says whether a task's loop, an object of Python, is the one that the thread runs.
// Before 3.14 the probes know only that some loop of the process runs the task.
func (p *process) ownTask(t *thread, object uint64) bool {
	if p.tasks.Current == 0 {
		return true
	}
	if object == 0 || object == t.loop.object {
		return object != 0
	}
	threads, err := p.py.LoopThreads(p.tasks, []uint64{object})
	if err != nil || threads[object] != t.tid {
		return false
	}
	t.loop.object = object
	return true
}
