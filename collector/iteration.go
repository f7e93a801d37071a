package collector

import (
	"slices"

	"gilscope/internal/trace"
	"gilscope/probes"
)

// causes is how many causes of blocks there are.
const causes = int(trace.CauseRunqueue) + 1

// maxUses bounds the lines kept of one iteration; the rest adds up to its causes only.
const maxUses = 64

// iteration sums up what a loop did in one of its iterations, of which nothing
// but this is kept.
type iteration struct {
	begin   trace.Time
	over    bool // another one is the present one
	told    bool // the begin of its block is in the trace
	end     trace.Time
	cpu     trace.Time // CPU time, as far as it is known
	gil     trace.Time // GIL waits
	blocked [causes]trace.Time
	samples [causes]int // CPU samples
	uses    []use
	calls   []syscallUse
	off     offCPU
}

// use is time that passed on one line for one reason.
type use struct {
	cause trace.BlockCause
	site  trace.FrameID
	ns    trace.Time
	best  trace.Time // of the stack below
	stack trace.StackID
	depth int // of the site in it
	k     known
	task  taskSeen // that did it
}

// syscallUse is the time in one system call on one kind of file.
type syscallUse struct {
	nr   int32
	mode uint16
	ns   trace.Time
}

// offCPU is a stretch in which the loop has no CPU.
type offCPU struct {
	at     trace.Time // 0: it has one
	asleep bool
	cause  trace.BlockCause
	call   syscallUse
	k      known
	stack  trace.StackID
	task   taskSeen
}

// at is the iteration that began then; if it is another one than that of the last
// record it is a new one.
func (l *loop) at(begin trace.Time) *iteration {
	if l.it.begin != begin {
		l.it = iteration{begin: begin, uses: l.it.uses[:0], calls: l.it.calls[:0]}
	}
	return &l.it
}

// loopLeaves handles a thread that left the CPU: it may be in an iteration, or may
// show that it is a loop.
func (d *dispatcher) loopLeaves(p *process, t *thread, r probes.Record) {
	if r.At == nil || p.stacks == nil {
		t.loop.over()
		return
	}
	k := p.stacks.lookup(r.Own)
	if r.At.Begin == 0 {
		d.mayBeLoop(p, t, r.At.Call(), r.At.Fd, k)
		return
	}
	if t.loop == nil || d.waitsAnew(p, t, r, k) {
		return
	}
	it := t.loop.at(trace.Time(r.At.Begin))
	it.runsAgain(trace.Time(r.Ts), t.woken) // if the kernel did not report that it got the CPU
	it.cpu = trace.Time(r.At.Cpu)
	it.off = offCPU{at: trace.Time(r.Ts), asleep: r.Flags&probes.FlagAsleep != 0, k: k, stack: k.id, cause: trace.CauseRunqueue, task: taskOf(r.At)}
	if it.off.asleep {
		it.off.call = syscallUse{nr: r.At.Call(), mode: r.At.Mode}
		it.off.cause = sleepCause(r, k)
	}
	if r.Word != 0 && (r.Op == opWait || r.Op == opWaitBitset) {
		it.off.cause = trace.CauseGIL
	}
}

// getsCPU handles a thread that was switched in, having been woken at woken.
func (l *loop) getsCPU(at, woken trace.Time) {
	if l != nil {
		l.it.runsAgain(at, woken)
	}
}

// runsAgain adds the stretch without a CPU that is over at a moment, if there is one.
func (it *iteration) runsAgain(at, woken trace.Time) {
	off := it.off
	if off.at == 0 || off.at >= at {
		return
	}
	it.off.at = 0
	if off.asleep && off.cause != trace.CauseGIL {
		slept := at - off.at
		if woken > off.at && woken < at {
			slept = woken - off.at
		}
		it.blocked[off.cause] += slept
		it.called(off.call, slept)
	}
	it.used(off.cause, off.k, off.stack, 0, at-off.at, &off.task)
}

// loopSampled handles a CPU sample of a thread. A loop that never sleeps shows itself
// by its stack.
func (d *dispatcher) loopSampled(p *process, t *thread, r probes.Record, stack trace.StackID) {
	k := p.stacks.lookup(r.Own)
	if t.loop == nil && k.roles&(roleRunOnce|roleTrio) != 0 {
		// Its next wait tells the rest, but only that of epoll: others are known from a sleep on.
		if t.inLoop++; t.inLoop&(t.inLoop-1) == 0 && d.loops.epoll(p) {
			d.mayBeLoop(p, t, 0, 0, k)
		}
		return
	}
	if r.At == nil || t.loop == nil {
		t.loop.over()
		return
	}
	it := t.loop.at(trace.Time(r.At.Begin))
	it.cpu = trace.Time(r.At.Cpu)
	cause := trace.CauseCPU
	switch {
	case r.At.Gc != 0:
		cause = trace.CauseGC
	case r.At.Call() >= 0 && callCause(r.At.Call(), r.At.Fd, r.At.Mode) == trace.CauseFile:
		cause = trace.CauseFile
		it.called(syscallUse{nr: r.At.Call(), mode: r.At.Mode}, sampleNS)
	}
	it.samples[cause]++
	native := 0
	if stack != k.id {
		native = 1
	}
	task := taskOf(r.At)
	it.used(cause, k, stack, native, sampleNS, &task)
}

// sampleNS is what a CPU sample weighs beside sleeps, whose times are exact: at the
// usual 99 Hz.
const sampleNS = trace.Time(10e6)

// used adds time to a line, by a task.
func (it *iteration) used(cause trace.BlockCause, k known, stack trace.StackID, native int, ns trace.Time, task *taskSeen) {
	if k.site >= len(k.frames) || ns <= 0 {
		return
	}
	site := k.siteFrame(k.site)
	var u *use
	for i := range it.uses {
		if it.uses[i].cause == cause && it.uses[i].site == site {
			u = &it.uses[i]
		}
	}
	if u == nil && len(it.uses) >= maxUses {
		return
	}
	if u == nil {
		it.uses = append(it.uses, use{cause: cause, site: site})
		u = &it.uses[len(it.uses)-1]
	}
	u.ns += ns
	if ns >= u.best {
		u.best, u.stack, u.depth, u.k, u.task = ns, stack, k.site+native, k, *task
	}
}

// called adds time to a system call.
func (it *iteration) called(c syscallUse, ns trace.Time) {
	if c.nr < 0 || ns <= 0 {
		return
	}
	for i := range it.calls {
		if u := &it.calls[i]; u.nr == c.nr && u.mode == c.mode {
			u.ns += ns
			return
		}
	}
	if len(it.calls) < maxUses {
		c.ns = ns
		it.calls = append(it.calls, c)
	}
}

// waited adds a GIL wait, as far as it lies in the iteration.
func (l *loop) waited(begin, end trace.Time) {
	if l == nil || l.it.begin == 0 {
		return
	}
	if it := &l.it; it.end == 0 {
		it.gil += max(end-max(begin, it.begin), 0)
	}
}

// clone is a copy that shares nothing.
func (it *iteration) clone() iteration {
	c := *it
	c.uses, c.calls = slices.Clone(it.uses), slices.Clone(it.calls)
	return c
}

// ends notes the end of the iteration. It may be in the middle of a sleep: the
// recording ends, or the kernel did not report that the thread got the CPU.
func (it *iteration) ends(at, woken trace.Time) {
	it.end = at
	it.runsAgain(at, woken)
}
