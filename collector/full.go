package collector

import "gilscope/internal/trace"

// taken handles a take that a probe saw.
func (g *gil) taken(t *thread, s sample) {
	t.slice, t.asked = false, false
	if t.wait.open {
		g.waitEnds(t, s.time, trace.WaitTaken)
	}
	if !g.full || s.time < g.from {
		return
	}
	g.count(s)
	g.takeOver(s.time)
	flow := g.handOff(t)
	if t.holds != nil {
		t.holds.holdEnds(t, s.time, trace.DropUnknown)
	}
	t.holds, t.since, g.held = g, s.time, t
	g.emit(trace.Event{Time: s.time, Kind: trace.GILHoldBegin, TID: t.tid, Flow: flow})
	g.lane.known, g.lane.switches = true, s.switches
	g.lane.set(s.time, t.tid)
}

// count adds a take to the totals. The interpreter counts changes of the thread
// state, and one thread can have several of them: each time a sub-interpreter
// imports a single-phase extension module, its thread makes a new one of the main
// interpreter's (Python/import.c, switch_to_main_interpreter, 3.13).
func (g *gil) count(s sample) {
	n := &g.totals
	if n.takes++; n.takes > 1 && n.taker != s.tstate {
		n.changes++
	}
	n.taker = s.tstate
	n.seen(s)
}

// takeOver ends a hold whose drop was not seen (lost records, a thread that was
// killed): there is one holder at a time. The lane may know of none by then: a
// sample after the loss finds the GIL free.
func (g *gil) takeOver(at trace.Time) {
	if g.held != nil {
		g.holdEnds(g.held, at, trace.DropUnknown)
	}
}

// handOff tells the pending end of the last hold, linked to this take if it is
// another thread's, and returns the link.
func (g *gil) handOff(t *thread) uint64 {
	end := g.pending
	if end.Kind == trace.NoKind {
		return 0
	}
	g.pending = trace.Event{}
	if end.TID != t.tid {
		g.proc.flows++
		end.Flow = uint64(g.proc.pid)<<32 | g.proc.flows
	}
	g.emit(end)
	return end.Flow
}

// drops handles a drop that a probe saw.
func (g *gil) drops(t *thread, s sample, reason trace.DropReason) {
	if t.wait.open {
		g.waitEnds(t, t.wait.end, trace.WaitTaken)
	}
	if s.time < g.from {
		return
	}
	switch {
	case t.holds == g:
		g.holdEnds(t, s.time, reason)
	case g.full:
		g.takeOver(s.time)
		g.count(s) // it took before the probes came, or was on its way to where they are
	}
	if g.full && reason != trace.DropUnknown {
		t.asked = reason == trace.DropForced // whoever else may have seen it
	}
	g.lane.known = true
	g.lane.set(s.time, 0)
}

// holdEnds closes the thread's hold. The event waits for the next taker, so
// that both can carry the number of the hand-off.
func (g *gil) holdEnds(t *thread, at trace.Time, reason trace.DropReason) {
	g.flushHandOff()
	t.holds, g.held = nil, nil
	at = max(at, t.since+1) // no hold is empty: in the trace, ends sort before begins
	g.busy.add(t.since, at)
	g.pending = trace.Event{Time: at, Kind: trace.GILHoldEnd, TID: t.tid, Arg: int64(reason)}
}

// flushHandOff tells a pending end of which no taker is known.
func (g *gil) flushHandOff() {
	if end := g.pending; end.Kind != trace.NoKind {
		g.pending = trace.Event{}
		g.emit(end)
	}
}
