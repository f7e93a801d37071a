package collector

import (
	"math/bits"

	"gilscope/internal/trace"
	"gilscope/probes"
)

func (d *dispatcher) switched(p *process, r probes.Record) {
	at := trace.Time(r.Ts)
	before := d.gives(r.Cpu, at)
	var prev, comes *thread
	if r.Flags&probes.FlagPrev != 0 {
		if t := d.join(p, r.Tid); t != nil {
			prev = t
			d.leaves(p, t, r, before)
			d.loopLeaves(p, t, r)
			d.workerLeaves(p, t, r)
		}
	}
	next := int32(trace.OtherTID)
	if r.Peer == 0 {
		next = trace.IdleTID
	}
	if r.Flags&probes.FlagNext != 0 {
		if t := d.nextThread(p, r); t != nil {
			next, comes = t.tid, t
			if g := t.wait.of; g != nil {
				g.getsCPU(t, at)
			}
			t.lock.getsCPU(at)
			t.lastIn = at
			t.loop.getsCPU(at, t.woken)
			t.worker.comes(at, t.woken)
		}
	}
	d.switchedUse(prev, comes, r)
	d.events++
	d.w.Event(&trace.Event{Time: at, Kind: trace.SchedSwitch, CPU: r.Cpu, TID: next, Arg: taskState(r.Arg)})
}

// gives notes that a CPU is given to a thread, and returns when it was last.
func (d *dispatcher) gives(cpu uint16, at trace.Time) (before trace.Time) {
	for int(cpu) >= len(d.given) {
		d.given = append(d.given, 0)
	}
	before, d.given[cpu] = d.given[cpu], at
	return before
}

// nextThread finds the thread that was switched in. The record names the
// process of the one that left, which may be another target.
func (d *dispatcher) nextThread(p *process, r probes.Record) *thread {
	if t := d.tids[int32(r.Peer)]; t != nil {
		return t
	}
	if r.Flags&probes.FlagPrev == 0 || len(d.procs) == 1 {
		return d.join(p, r.Peer)
	}
	for _, q := range d.procs {
		if !q.refused && isTask(q.pid, int32(r.Peer)) {
			return d.join(q, r.Peer)
		}
	}
	return nil
}

// leaves handles a thread that left its CPU. The switch before that on this CPU
// that is known of was at before.
func (d *dispatcher) leaves(p *process, t *thread, r probes.Record, before trace.Time) {
	at := trace.Time(r.Ts)
	if of := t.wait.of; of != nil && of.leavesCPU(t, at, before) {
		d.repaired++
	}
	d.leavesForLock(p, t, r, before)
	if t.ended != 0 { // its very last switch
		d.drop(t)
	}
	g := p.gilOf(r)
	if g == nil || p.exited { // its pid may be another process's by now
		return
	}
	g.concerns(t)
	s := sampleOf(r)
	b := block{sample: s, waiting: r.Word != 0 && (r.Op == opWait || r.Op == opWaitBitset), word: r.Word}
	g.sampled(s)
	if r.Flags&probes.FlagAsleep == 0 {
		g.preempted(t, b)
		return
	}
	if r.Sp != 0 && !r.AboutLock() {
		b.holderStack = p.stacks.withNative(r)
	} else {
		b.stack, b.holderStack = p.stacks.python(r.Own), p.stacks.python(r.Holder)
	}
	g.sleeps(t, b)
}

// Futex operations, FUTEX_PRIVATE_FLAG removed (linux/futex.h).
const (
	opWait       = 0
	opWake       = 1
	opWaitBitset = 9
	opWakeBitset = 10
)

// taskState maps the kernel's task state to the bits that tracepoints report:
// the highest of TASK_REPORT, and 0x100 for a preempted thread.
func taskState(state uint32) int64 {
	if state == 0x100 {
		return 0x100
	}
	low := state & 0x7f
	if low == 0 {
		return 0
	}
	return 1 << (bits.Len32(low) - 1)
}

func (d *dispatcher) waking(p *process, r probes.Record) {
	at := trace.Time(r.Ts)
	woken := d.join(p, r.Peer)
	if woken == nil {
		return
	}
	if woken.cpu != cpuRunning {
		p.use.moves(woken, at, cpuRunnable)
	}
	g := p.gilOf(r)
	woken.woken, woken.signal = at, g != nil && wakes(r) && woken.wait.of == g
	d.events++
	d.w.Event(&trace.Event{Time: at, Kind: trace.SchedWaking, CPU: r.Cpu, TID: woken.tid, Arg: int64(r.Arg)})
	d.gaveBack(p, woken, r)
	if g == nil {
		return
	}
	g.sampled(sampleOf(r))
	t := p.thread(int32(r.Tid))
	if t == nil || !wakes(r) {
		return
	}
	g.concerns(t)
	g.wakes(t, at, r.Word)
	if stack := p.stacks.python(r.Own); stack != 0 {
		g.droppedAt(t, at, stack)
	}
}

// wakes says that the thread on the CPU wakes another on a word of a GIL. That it
// is in a futex call on one does not suffice: a timer may have fired there.
func wakes(r probes.Record) bool {
	return r.Word != 0 && (r.Op == opWake || r.Op == opWakeBitset)
}
