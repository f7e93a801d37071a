package collector

import (
	"gilscope/internal/trace"
	"gilscope/probes"
)

// stops handles a thread that is about to stop all others.
func (d *dispatcher) stops(p *process, t *thread, r probes.Record, stack trace.StackID) {
	if !p.rare[probes.RareStarts] {
		return // its end would not be seen; those who were stopped tell
	}
	at := trace.Time(r.Ts)
	d.worldGoesOn(t, at, trace.BlockUnknown)
	t.stops = at
	d.event(p, trace.Event{Time: at, Kind: trace.WorldStopBegin, TID: t.tid, Arg: int64(p.whyStopped(r)), Stack: stack})
}

// stopped handles the moment at which all have stopped.
func (d *dispatcher) stopped(p *process, t *thread, at trace.Time) {
	if t.stops != 0 && at > t.stops {
		d.event(p, trace.Event{Time: at, Kind: trace.WorldStopped, TID: t.tid})
	}
}

// worldGoesOn ends the pause that a thread has asked for, if it has.
func (d *dispatcher) worldGoesOn(t *thread, at trace.Time, how trace.BlockEnd) {
	if t.stops == 0 {
		return
	}
	d.event(t.proc, trace.Event{Time: max(at, t.stops+1), Kind: trace.WorldStopEnd, TID: t.tid, Arg: int64(how)})
	t.stops = 0
}

// worldInterrupted ends a pause that began before records were lost.
func (d *dispatcher) worldInterrupted(t *thread, at trace.Time) {
	if t.stops < at {
		d.worldGoesOn(t, at, trace.BlockUnknown)
	}
}
