package collector

import (
	"gilscope/internal/trace"
	"gilscope/probes"
)

// lockWait is a wait for a lock that is not the GIL, or the start of none. It
// begins when the thread goes to sleep, and ends when it gets a CPU again and does
// not at once sleep for the same lock.
type lockWait struct {
	open    bool
	blocked bool // the thread sleeps at present
	timed   bool // with a time limit
	common  bool // for what other processes may sleep for, too
	parked  bool // in a parking lot; otherwise on a semaphore
	kind    trace.LockKind
	by      int32 // who woke it from its last sleep; 0: nobody of its process
	address uint64
	shared  int32 // its number in sharedLocks; 0: none
	begin   trace.Time
	sleep   trace.Time // when the present or last sleep began
	end     trace.Time // when the last sleep ended
	in      trace.Time // the last time it got a CPU
	onCPU   trace.Time // time on CPU since its last sleep
	stack   trace.StackID
	told    bool // that it is in a deadlock
}

// sleepsAgainWithin is the time on CPU after which a thread that sleeps for the
// same lock again has had it: who was woken and finds that another thread was
// quicker looks at a word and goes back to sleep.
const sleepsAgainWithin = 20_000

// getsCPU handles a switch-in.
func (w *lockWait) getsCPU(at trace.Time) {
	if !w.open || at < w.begin {
		return
	}
	if w.blocked {
		w.blocked, w.end, w.onCPU = false, at, 0
	}
	w.in = at
}

// leavesForLock handles a switch-out. As for the GIL, a thread that slept and
// leaves again was switched in unseen, when it was woken or its CPU got free.
func (d *dispatcher) leavesForLock(p *process, t *thread, r probes.Record, before trace.Time) {
	w, at := &t.lock, trace.Time(r.Ts)
	if at < w.begin { // it was found asleep after that
		return
	}
	if w.open && w.blocked {
		in := at
		if t.woken > w.sleep {
			in = max(t.woken, before)
		}
		w.getsCPU(in)
		d.repaired++
	}
	w.onCPU += at - w.in
	switch {
	case r.Flags&probes.FlagAsleep == 0:
	case !r.AboutLock() || p.stacks == nil:
		d.lockEnds(t)
	case w.open && w.address == r.Pc && w.onCPU <= sleepsAgainWithin:
		d.gaveUnseen(t)
		w.blocked, w.sleep, w.by = true, at, 0
	default:
		d.lockEnds(t)
		d.lockBegins(p, t, r)
	}
}

func (d *dispatcher) lockBegins(p *process, t *thread, r probes.Record) {
	at := trace.Time(r.Ts)
	k := p.stacks.lookup(r.Own)
	w := lockWait{
		open: true, blocked: true, timed: r.Op&probes.LockTimed != 0, common: r.Op&probes.LockCommon != 0, parked: r.Op&probes.LockParked != 0,
		address: r.Pc, begin: at, sleep: at, end: at, in: at, stack: k.id,
	}
	w.kind = p.waitsFor(t, &w, k, r)
	d.tellWait(t, w)
}

// tellWait notes and tells that a thread waits.
func (d *dispatcher) tellWait(t *thread, w lockWait) {
	w.shared = d.shared.number(t.proc, &w)
	t.lock = w
	d.event(t.proc, trace.Event{Time: w.begin, Kind: trace.LockWaitBegin, TID: t.tid, Other: w.shared, Arg: int64(w.address), Lock: w.kind, Stack: w.stack})
}

// lockEnds ends a wait that the thread does not sleep in.
func (d *dispatcher) lockEnds(t *thread) {
	if w := &t.lock; w.open && !w.blocked {
		d.gaveUnseen(t)
		how := trace.WaitTaken
		switch {
		case w.by != 0 || w.common:
		case w.timed:
			how = trace.WaitTimeout
		default: // a signal, or who woke it was not reported
			how = trace.WaitUnknown
		}
		d.lockEndsAt(t, w.end, how)
	}
}

func (d *dispatcher) lockEndsAt(t *thread, at trace.Time, how trace.WaitOutcome) {
	w := &t.lock
	if !w.open {
		return
	}
	w.open = false
	d.event(t.proc, trace.Event{Time: max(at, w.begin+1), Kind: trace.LockWaitEnd, TID: t.tid, Other: w.by, Arg: int64(how)})
}

// gaveToOther handles a thread that woke one of another process, which slept for a lock that both share.
func (d *dispatcher) gaveToOther(p *process, r probes.Record) {
	if woken := d.tids[int32(r.Peer)]; woken != nil {
		d.gaveBack(p, woken, r)
	}
}

// gaveBack handles a thread of p that woke another which slept for a lock.
func (d *dispatcher) gaveBack(p *process, woken *thread, r probes.Record) {
	w := &woken.lock
	if !r.AboutLock() || !w.open || !w.blocked || p.stacks == nil {
		return
	}
	t := d.join(p, r.Tid)
	if t == nil {
		return
	}
	w.by = t.tid
	d.event(p, trace.Event{Time: trace.Time(r.Ts), Kind: trace.LockRelease, TID: t.tid, Other: woken.tid, Arg: int64(w.address), Stack: p.stacks.python(r.Own)})
}

// gaveUnseen tells that somebody else gave back a lock for which the thread slept: a process
// that is not recorded may have it, too. What lies before that is not the next holder's.
func (d *dispatcher) gaveUnseen(t *thread) {
	if w := &t.lock; w.common && w.by == 0 && t.woken > w.sleep {
		d.event(t.proc, trace.Event{Time: t.woken, Kind: trace.LockRelease, TID: t.tid, Other: t.tid, Arg: int64(w.address)})
	}
}

// lockInterrupted ends a wait that began before records were lost.
func (d *dispatcher) lockInterrupted(t *thread, at trace.Time) {
	if t.lock.open && t.lock.begin < at {
		d.lockEndsAt(t, at, trace.WaitUnknown)
	}
}

// flushLocks ends waits of threads that have run for a while.
func (d *dispatcher) flushLocks(p *process) {
	for _, t := range p.threads {
		if t.lock.in < d.now-late {
			d.lockEnds(t)
		}
	}
}
