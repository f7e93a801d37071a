package collector

import "gilscope/internal/trace"

func (g *gil) tellWait(t *thread) {
	w := &t.wait
	w.told, w.guess, t.asked = true, false, false
	g.emit(trace.Event{Time: w.begin, Kind: trace.GILWaitBegin, TID: t.tid, Other: w.holder, Stack: w.stack})
	g.waiters.change(w.begin, +1)
}

// waitEnds closes the thread's wait. The end is never before the last sleep,
// and no wait is empty: in the trace, ends sort before begins.
func (g *gil) waitEnds(t *thread, end trace.Time, how trace.WaitOutcome) {
	w := &t.wait
	if w.guess && !w.slept {
		*w = wait{}
		return
	}
	if !w.told {
		g.tellWait(t)
	}
	if w.expired != 0 && how == trace.WaitTaken {
		g.asks(t, w.last, w.expired, 0) // answered so soon that it did not sleep again
	}
	end = max(end, w.begin+1, w.sleep)
	t.loop.waited(w.begin, end)
	g.emit(trace.Event{Time: end, Kind: trace.GILWaitEnd, TID: t.tid, Arg: int64(how)})
	g.waiters.change(end, -1)
	*w = wait{}
}

// wakes handles a thread that wakes another on a word of the GIL: it has just
// dropped it, or taken it, so it does not wait.
func (g *gil) wakes(t *thread, at trace.Time, word uint16) {
	if !t.wait.open || t.wait.blocked {
		return
	}
	switch word {
	case wordCondLo, wordCondHi:
		g.waitEnds(t, t.wait.end, trace.WaitTaken)
	case wordSwitchLo, wordSwitchHi:
		end := t.wait.end
		if at-end <= signalsWithin {
			end = at
		}
		g.waitEnds(t, end, trace.WaitTaken)
	}
}

// droppedAt tells where a thread dropped the GIL when it woke a waiter. That is
// just after the drop; in the trace it stands at the end of the hold.
func (g *gil) droppedAt(t *thread, at trace.Time, stack trace.StackID) {
	if g.lane.holder == 0 && g.lane.last == t.tid {
		at = min(at, g.lane.at)
	}
	g.emit(trace.Event{Time: at - 1, Kind: trace.GILHolderSeen, TID: t.tid, Other: t.tid, Arg: int64(trace.SeenDrop), Stack: stack})
}

// getsCPU handles a thread that was switched in.
func (g *gil) getsCPU(t *thread, at trace.Time) {
	if !t.wait.open {
		return
	}
	if t.wait.blocked {
		t.wait.blocked, t.wait.onCPU = false, 0
		g.expires(t, at)
	}
	t.wait.end = at
}

// expires notes that a timer and not a drop ended a slice of the wait: the
// thread now asks the holder to drop the GIL, if that is still the same.
func (g *gil) expires(t *thread, at trace.Time) {
	w := &t.wait
	if !w.slice || t.signal || !w.locked || at-w.sleep < g.interval-g.interval/50 {
		return
	}
	w.expired = at
	changed := g.lane.known && g.lane.switches != w.switches
	if holder := g.proc.thread(w.last); holder != nil && !changed {
		holder.asked = true
	}
}

// leavesCPU handles every switch-out, before sleeps. A thread that was asleep
// and leaves again was switched in unseen: the kernel does not report every
// switch. Then its sleep ended when it was last woken, or later when its CPU was
// last given to another thread (that was at others), at the latest now. It
// returns whether a switch had to be repaired.
func (g *gil) leavesCPU(t *thread, at, others trace.Time) bool {
	if t.wait.open && t.wait.blocked {
		end := at
		if t.woken > t.wait.sleep {
			end = max(t.woken, others)
		}
		t.wait.blocked, t.wait.end, t.wait.onCPU = false, end, at-end
		t.lastIn = end
		return true
	}
	t.wait.onCPU += at - t.lastIn
	return false
}

// enters handles a probe at the start of a wait (or of a slice of one).
func (g *gil) enters(t *thread, s sample) {
	t.slice = true
	if !t.wait.open {
		t.wait = wait{open: true, of: g, begin: s.time, end: s.time, sleep: s.time, holder: s.heldBy()}
	}
}

// ends closes what the thread has open, at its end or the recording's.
func (g *gil) ends(t *thread, at trace.Time, how trace.WaitOutcome) {
	if t.wait.open && t.wait.of == g {
		g.waitEnds(t, at, how)
	}
	if t.holds == g {
		reason := trace.DropExit
		if how == trace.WaitUnknown {
			reason = trace.DropUnknown
		}
		g.holdEnds(t, at, reason)
	}
	g.lane.ends(t.tid, at)
}
