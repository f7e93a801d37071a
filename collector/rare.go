package collector

import (
	"fmt"
	"time"

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
	p.rare, p.rarePlan, p.rares = found, plan, rareHitsFrom(s.probes.RareHits(int(p.pid)))
	if err := s.calibrateFor(plan); err != nil {
		s.prog.note(s.o.Words, fmt.Sprintf("warning: what stop-the-world pauses cost here is not known: %v", err))
	}
}

// rising follows a counter that only rises.
type rising uint64

// of is how much it rose since it was last asked.
func (r *rising) of(now uint64) uint64 {
	n := now - min(uint64(*r), now)
	*r = rising(now)
	return n
}

// rareHits are the hits of the probes on functions that run seldom, as those know them who keep their cost
// within limits.
type rareHits struct{ charged, window, look rising }

func rareHitsFrom(now uint64) rareHits { return rareHits{rising(now), rising(now), rising(now)} }

// rareInPrograms is inPrograms for these probes, whose programs walk the stack as well: measured 1.9 to 2.2 times
// as much as in the calibration, in a loop that collects an empty heap (CPU time with and without).
const rareInPrograms = 2

// rareCost is what one of these hits costs.
func (s *session) rareCost(p *process) time.Duration {
	return s.hitCost(p.rarePlan) * rareInPrograms * 100 / (inPrograms * 100)
}

// rareSpent is what these hits have cost since the last window of the governor began.
func (s *session) rareSpent(p *process) time.Duration {
	return time.Duration(p.rares.window.of(s.probes.RareHits(int(p.pid)))) * s.rareCost(p)
}

// maxRareShare is the share of one CPU that these probes may cost where no budget was given.
const maxRareShare = 0.02

// brakeRare takes the probes off that cost too much since the last look, which was that long ago. It says
// so, for then pauses are missing from the recording.
func (s *session) brakeRare(p *process, since time.Duration) {
	hits, share := p.rares.look.of(s.probes.RareHits(int(p.pid))), maxRareShare
	if s.o.Detail == probes.Auto {
		share = s.o.MaxOverhead
	}
	if p.rare == nil || p.exited || float64(hits)*float64(s.rareCost(p)) <= share*float64(since) {
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
