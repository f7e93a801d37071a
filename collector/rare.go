package collector

import (
	"fmt"

	"gilscope/internal/trace"
	"gilscope/probes"
)

// observeRare puts probes on the functions of a free-threaded build that run seldom. Without
// them a recording tells less, and is one.
func (s *session) observeRare(p *process) {
	found, plan, err := s.probes.HookRare(p.py, s.o.Follow)
	if err != nil {
		s.prog.note(s.o.Words, "warning: "+err.Error())
	}
	p.rare, p.rarePlan = found, plan
}

// maxRare is how many hits there may be of functions that run seldom from one look at the process to the
// next (checkEvery): 15,000 a second, which cost about 2 % of a CPU.
const maxRare = 3000

// brakeRare takes the probes off that are hit too often. It says so, for then pauses are
// missing from the recording.
func (s *session) brakeRare(p *process) {
	n := p.rares
	if p.rares = 0; n <= maxRare || p.exited {
		return
	}
	p.rare = nil
	text := fmt.Sprintf("warning: pid %d stops the world, or imports, so often that from now on this is not recorded", p.pid)
	if err := s.probes.UnhookRare(int(p.pid)); err != nil {
		text += ": " + err.Error()
	}
	s.prog.note(s.o.Words, text)
	for _, t := range p.threads {
		s.d.worldGoesOn(t, s.d.now, trace.BlockUnknown)
	}
}

// rare handles what these probes saw.
func (d *dispatcher) rare(p *process, r probes.Record) {
	d.hits++
	p.rares++
	t := d.join(p, r.Tid)
	if t == nil || p.stacks == nil {
		return
	}
	switch at := trace.Time(r.Ts); r.Arg {
	case probes.RareStops:
		d.stops(p, t, r, p.stacks.python(r.Own))
	case probes.RareStopped:
		d.stopped(p, t, at)
	case probes.RareStarts:
		d.worldGoesOn(t, at, trace.BlockOver)
	case probes.RareChecksGIL:
		if t.imported = ""; p.py != nil {
			t.imported = p.py.StrIn(r.Stack)
		}
	case probes.RareGILOn:
		p.turnedOn = turnedOn{at: at, tid: t.tid, module: t.imported, stack: p.stacks.python(r.Own)}
	}
}
