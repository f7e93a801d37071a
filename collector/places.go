package collector

import (
	"fmt"
	"math"
	"time"

	"gilscope/internal/cpython"
	"gilscope/internal/trace"
	"gilscope/probes"
)

// place is one interpreter of a process, at the index by which records name it.
// Interpreters that share a GIL have the same gil.
type place struct {
	id   int64
	addr probes.Place
	gil  *gil // nil: the interpreter is gone, its place is free
}

// gilOf is the GIL whose fields a record has; nil if it has none.
func (p *process) gilOf(r probes.Record) *gil {
	if r.Flags&probes.FlagGIL == 0 || int(r.Place) >= len(p.places) {
		return nil
	}
	return p.places[r.Place].gil
}

// gils are the GILs of the process, each once.
func (p *process) gils() []*gil {
	var all []*gil
	for i := range p.places {
		if g := p.places[i].gil; g != nil && p.first(g) == i {
			all = append(all, g)
		}
	}
	return all
}

// first is the place by which records name a GIL.
func (p *process) first(g *gil) int {
	for i := range p.places {
		if p.places[i].gil == g {
			return i
		}
	}
	return -1
}

// threadEnds closes what a thread has open, at its end or the recording's.
func (d *dispatcher) threadEnds(p *process, t *thread, at trace.Time, how trace.WaitOutcome) {
	d.lockEnds(t)
	d.lockEndsAt(t, at, how)
	d.worldGoesOn(t, at, trace.BlockUnknown)
	for i := range p.places {
		if g := p.places[i].gil; g != nil {
			g.ends(t, at, how)
		}
	}
}

// forget drops all that is known of a program that the process runs no more.
func (p *process) forget() {
	if p.py != nil {
		p.py.Close()
	}
	p.py, p.stacks, p.places, p.locks, p.head = nil, nil, nil, nil, 0
}

// addresses are the places as the probes get them.
func (p *process) addresses() []probes.Place {
	out := make([]probes.Place, len(p.places))
	for i := range p.places {
		out[i] = p.places[i].addr
	}
	return out
}

// settle takes in the interpreters that a process has now, and says what is new.
func (s *session) settle(p *process, interps []cpython.Interpreter) (changed bool) {
	alive := map[uint64]bool{}
	for i := range interps {
		in := &interps[i]
		alive[in.Addr] = true
		if at := p.find(in); at != nil {
			s.checkInterval(at, in)
			continue
		}
		changed = s.enter(p, in) || changed
	}
	for i := range p.places {
		if at := &p.places[i]; at.gil != nil && !alive[at.addr.Interp] {
			s.leave(p, at)
			changed = true
		}
	}
	return changed
}

// find is the place of an interpreter.
func (p *process) find(in *cpython.Interpreter) *place {
	for i := range p.places {
		if at := &p.places[i]; at.gil != nil && at.addr.Interp == in.Addr && at.id == in.ID {
			return at
		}
	}
	return nil
}

// enter gives a new interpreter a place, if there is one left.
func (s *session) enter(p *process, in *cpython.Interpreter) bool {
	if in.ID > math.MaxUint16 {
		return false
	}
	new := place{in.ID, probes.Place{Interp: in.Addr, GIL: in.GIL}, nil}
	for i := range p.places {
		if q := &p.places[i]; q.gil != nil && q.addr.GIL == in.GIL {
			new.gil = q.gil
		}
	}
	own := new.gil == nil
	if own {
		new.gil = newGIL(p, uint16(in.ID), trace.Time(in.Interval), p.plan.Detail == probes.Full,
			p.py.Libc().Kind == cpython.Glibc, func(e trace.Event) { s.d.event(p, e) })
	}
	if !p.put(new) {
		return false
	}
	if in.ID != 0 {
		s.w.Note(trace.Note{Time: now(), PID: p.pid, Name: trace.NoteInterpreter, Args: []trace.Arg{
			{Key: "interpreter", Num: in.ID}, {Key: "own_gil", Num: bit(own)}, {Key: "interval_ns", Num: int64(in.Interval)}}})
	}
	return true
}

// put puts an interpreter into a place: a new one, or when there is none left
// that of one which is gone.
func (p *process) put(new place) bool {
	if len(p.places) < probes.MaxPlaces {
		p.places = append(p.places, new)
		return true
	}
	for i := range p.places {
		if p.places[i].gil == nil {
			p.places[i] = new
			return true
		}
	}
	return false
}

// leave frees the place of an interpreter that is gone, and its GIL with it
// unless another interpreter uses that.
func (s *session) leave(p *process, at *place) {
	g := at.gil
	*at = place{}
	if p.first(g) >= 0 {
		return
	}
	when := s.d.now
	for _, t := range p.threads {
		g.ends(t, when, trace.WaitTaken)
	}
	g.flushHandOff()
	g.lane.set(when, 0)
	s.d.noteTotals(g, when)
	g.waiters.flush(when + late)
}

// checkInterval notices sys.setswitchinterval: drop requests come by it.
func (s *session) checkInterval(at *place, in *cpython.Interpreter) {
	if in.Interval == 0 || trace.Time(in.Interval) == at.gil.interval {
		return
	}
	at.gil.interval = trace.Time(in.Interval)
	s.w.Note(trace.Note{Time: now(), PID: at.gil.proc.pid, Name: trace.NoteInterval, Args: []trace.Arg{
		{Key: "interpreter", Num: int64(at.gil.number)}, {Key: "interval_ns", Num: int64(in.Interval)}}})
}

// checkInterpreters looks for interpreters that came or went. One read tells
// whether one came; what else may have changed is looked for when all is set.
func (s *session) checkInterpreters(p *process, all bool) error {
	if p.py == nil || len(p.places) == 0 || p.exited {
		return nil
	}
	if all {
		s.checkEnabled(p)
	}
	head, err := p.py.InterpretersHead()
	if err != nil || head == p.head && !all {
		return nil // it has ended, or execed: the record is on its way
	}
	interps, err := p.py.Interpreters()
	if err != nil {
		return nil
	}
	p.head = head
	if !s.settle(p, interps) {
		return nil
	}
	p.since = now()
	return s.probes.Describe(p.py, p.addresses(), s.o.Follow)
}

// checkEnabled notices that a free-threaded interpreter has got its GIL back:
// it imported a module that needs it. While it imports one that might, the GIL is
// on for a moment; so only what is still so at the next look counts.
func (s *session) checkEnabled(p *process) {
	enabled, err := p.py.GILEnabled()
	if err != nil || enabled == p.py.Build.GILEnabled {
		p.toggling = false
		return
	}
	if p.toggling = !p.toggling; p.toggling {
		if p.toggled = now(); p.turnedOn.at == 0 || !enabled {
			return
		}
		p.toggling = false // a probe has told that it is for good
	}
	p.py.Build.GILEnabled = enabled
	s.noteGILState(p, enabled)
	s.noteTarget(p, p.toggled, cpython.Interpreter{Interval: time.Duration(p.mainInterval())})
}

// tooMany says that a process has more interpreters than can be observed.
func (s *session) tooMany(p *process, n int) string {
	return fmt.Sprintf("pid %d has %d interpreters: the GILs of the first %d are recorded", p.pid, n, probes.MaxPlaces)
}

// checkEvery is how often interpreters are looked at for what one read does not tell.
const checkEvery = 200 * time.Millisecond
