package collector

import (
	"gilscope/internal/trace"
	"gilscope/probes"
)

// observeRare puts probes on the functions of a free-threaded build that run seldom. Without
// them a recording tells less, and is one.
func (s *session) observeRare(p *process) {
	found, err := s.probes.HookRare(p.py, s.o.Follow)
	if err != nil {
		s.prog.note(s.o.Words, "warning: "+err.Error())
	}
	p.rare = found
}

// rare handles what these probes saw.
func (d *dispatcher) rare(p *process, r probes.Record) {
	d.hits++
	t := d.join(p, r.Tid)
	if t == nil || p.stacks == nil || p.py == nil {
		return
	}
	stack := p.stacks.python(r.Own) // also where it is not needed: later records may have the tag only
	switch at := trace.Time(r.Ts); r.Arg {
	case probes.RareStops:
		d.stops(p, t, r, stack)
	case probes.RareStopped:
		d.stopped(p, t, at)
	case probes.RareStarts:
		d.worldGoesOn(t, at, trace.BlockOver)
	case probes.RareChecksGIL:
		t.imported = p.py.StrIn(r.Stack)
	case probes.RareGILOn:
		p.turnedOn = turnedOn{at: at, tid: t.tid, module: t.imported, stack: stack}
	}
}
