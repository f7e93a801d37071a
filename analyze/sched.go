package analyze

import "gilscope/internal/trace"

// Bits of the kernel's task state (include/linux/sched.h) as sched_switch tells
// the state of the thread that left.
const (
	statePreempted = 0x100               // still runnable, the kernel took the CPU away
	stateDead      = 0x10 | 0x20 | 0x80  // EXIT_DEAD, EXIT_ZOMBIE, TASK_DEAD
	maxCPU         = int(^uint16(0)) + 1 // CPUs an event can name
)

func (b *builder) schedSwitch(e *trace.Event) {
	b.tl.Sched = true
	cpu := int32(e.CPU)
	for int(cpu) >= len(b.cpus) && len(b.cpus) < maxCPU {
		b.cpus = append(b.cpus, none)
	}
	// A thread that meanwhile came up on another CPU left this one unseen.
	if prev := b.cpus[cpu]; prev != none && b.run[prev].cpu == cpu && b.run[prev].state == Running {
		b.setState(prev, stateAfter(e.Arg))
	}
	next := b.thread(e.TID, e.PID)
	b.cpus[cpu] = next
	if next != none {
		b.run[next].cpu = cpu
		b.setState(next, Running)
	}
}

func (b *builder) schedWaking(e *trace.Event) {
	b.tl.Sched = true
	// Wakings of a running thread are common and mean nothing.
	if i := b.thread(e.TID, e.PID); i != none && b.run[i].state != Running {
		b.setState(i, Runnable)
	}
}

func stateAfter(raw int64) State {
	switch {
	case raw&^statePreempted == 0:
		return Runnable
	case raw&stateDead != 0:
		return NoState
	}
	return Blocked
}

func (b *builder) setState(i int32, s State) {
	r := &b.run[i]
	if r.state == s {
		return
	}
	if r.state != NoState && b.now > r.since {
		th := &b.tl.Threads[i]
		th.States = append(th.States, StateSpan{Start: r.since, End: b.now, State: r.state})
	}
	r.state, r.since = s, b.now
}
