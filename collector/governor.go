package collector

import (
	"fmt"
	"slices"
	"time"

	"gilscope/internal/cpython"
	"gilscope/internal/trace"
	"gilscope/probes"
)

// The governor keeps what probes cost a target below a share of time: each
// process starts at detail full, steps down to waits when its hits cost more
// over a window, and tries again when that may be over. The probes count the hits
// of a window themselves and fall silent at the last one that it has; so a burst
// is over budget by no more than what the traps cost until they are off.
const (
	window   = 250 * time.Millisecond
	trial    = window / 5      // the first one at full: what is far over budget shows at once, and each try costs less
	calm     = 5 * time.Second // at full for so long: the next step down is a new matter
	firstTry = time.Second
	lastTry  = 64 * time.Second
	removal  = 150 * time.Millisecond // in which the kernel takes probes off, about: so long they trap, silent or not
)

// level is the detail at which a process is recorded now.
type level struct {
	high, low probes.Plan // detail full, and what is left when that costs too much
	governed  bool
	full      bool
	since     time.Time     // of the level
	renewed   time.Time     // when the present window began,
	from      trace.Time    // by the clock of records, too,
	window    time.Duration // and how long it is
	pause     time.Duration // how long to stay down next time
	spent     bool          // the window was used up at the last look, and no record has said so
}

// calibrate measures what hits cost, before there are targets.
func (s *session) calibrate() error {
	s.perHit = map[cpython.Cost]time.Duration{}
	if s.o.Detail == probes.Waits && (s.o.Backend == probes.AutoBackend || s.o.Backend == probes.Futex) {
		return nil // no probe
	}
	return s.measureHits(probes.PlannedCosts)
}

// calibrateFor measures what hits of a plan cost where that is not known: probes on functions that run seldom
// are there at any detail, and wherever these begin.
func (s *session) calibrateFor(plan probes.Plan) error {
	var unknown []cpython.Cost
	for _, h := range plan.Hooks {
		if _, ok := s.perHit[h.Site.Cost]; !ok && !slices.Contains(unknown, h.Site.Cost) {
			unknown = append(unknown, h.Site.Cost)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	return s.measureHits(unknown) // their probes go at the end, or with those of the first calibration
}

func (s *session) measureHits(costs []cpython.Cost) error {
	hits, err := s.probes.Calibrate(costs...)
	if err != nil {
		return err
	}
	for _, h := range hits {
		s.perHit[h.Cost] = h.Record
		if s.o.Verbose {
			fmt.Fprintf(s.o.Words, "a hit with its record costs %v here (%v)\n", h.Record, h.Cost)
		}
	}
	return nil
}

// A hit in a program costs more than one in the tight loop of the calibration, which
// has all it needs in the caches: measured 1.6 times as much in a loop of os.stat,
// 1.85 times in gunicorn with threads (bench, CPU time with and without).
const inPrograms = 1.75

// hitCost is what a hit of the plan's dearest site costs.
func (s *session) hitCost(p probes.Plan) time.Duration {
	worst := time.Duration(0)
	for _, h := range p.Hooks {
		worst = max(worst, s.perHit[h.Site.Cost])
	}
	return max(time.Duration(inPrograms*float64(worst)), 1)
}

// choose plans how to observe a process: at the detail that was asked for, or
// governed between the two. What cannot be seen in full is seen at waits.
func (s *session) choose(p *process, py *cpython.Process) error {
	var err error
	if s.o.Detail != probes.Auto {
		p.plan, err = probes.NewPlan(py, s.o.Detail, s.o.Backend)
		return err
	}
	high, fullErr := probes.NewPlan(py, probes.Full, s.o.Backend)
	low, lowErr := probes.NewPlan(py, probes.Waits, s.o.Backend)
	switch {
	case fullErr == nil && lowErr == nil:
		p.level = level{high: high, low: low, governed: true, full: true}
		p.plan = high
		return nil
	case fullErr == nil:
		p.plan = high
		return nil
	}
	p.plan = low
	return lowErr
}

// renew begins a window, and gives the process the hits that it has for it.
func (s *session) renew(p *process, long time.Duration) {
	p.level.renewed, p.level.from, p.level.window = time.Now(), now(), long
	s.probes.Allow(int(p.pid), allowance(float64(long)*s.o.MaxOverhead, float64(s.rareSpent(p)), float64(s.hitCost(p.level.high))))
}

// allowance is how many hits there may be for a budget of ns. What the probes on functions that run seldom
// have cost since the last window is part of that.
func allowance(budget, rare, each float64) uint64 {
	return uint64(max(budget-rare, 0) / each)
}

// endow gives a process its first window at a level.
func (s *session) endow(p *process) {
	p.charged = s.probes.Hits(int(p.pid))
	l := &p.level
	l.since = time.Now()
	switch {
	case !l.governed || !l.full && len(l.low.Hooks) > 0:
		s.probes.AllowAll(int(p.pid))
	case l.full:
		s.renew(p, trial)
	}
}

// noteDetail says in the trace at which level a process is from now on.
func (s *session) noteDetail(p *process, at trace.Time) {
	s.w.Note(trace.Note{Time: at, PID: p.pid, Name: trace.NoteDetail, Args: []trace.Arg{{Key: "detail", Text: string(p.plan.Detail)}}})
}

// govern renews windows, and lets those try again that have waited long enough.
func (s *session) govern() error {
	for _, p := range s.d.procs {
		l := &p.level
		if !l.governed || p.exited || len(p.places) == 0 {
			continue
		}
		if l.full && time.Since(l.renewed) >= l.window {
			if s.brakeLost(p) {
				continue
			}
			s.renew(p, window)
			if time.Since(l.since) >= calm {
				l.pause = 0
			}
		}
		if !l.full && time.Since(l.since) >= l.pause {
			if err := s.raise(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// brakeLost steps down a process whose probes are silent though no record told so:
// it was lost. It is given one look's time to come.
func (s *session) brakeLost(p *process) bool {
	l := &p.level
	was := l.spent
	l.spent = s.probes.Spent(int(p.pid))
	if l.spent && was {
		s.braked(p, now())
	}
	return l.spent
}

// hushBraked takes the probes off that have just been read to be silent. That it
// is so is told in its turn, by braked.
func (s *session) hushBraked() {
	for _, pid := range s.batch.Braked() {
		for _, q := range s.d.procs {
			if (uint32(q.pid) == pid || s.o.Follow) && q.governed() {
				s.probes.Hush(int(q.pid))
			}
		}
	}
}

// governed says that the process is at full, and may have to step down.
func (p *process) governed() bool {
	return p.level.governed && p.level.full && !p.exited && len(p.places) > 0
}

// braked is called when a process has used up its window: its probes are silent
// by now. Processes with common probes step down together, for a probe costs
// whoever maps the file.
func (s *session) braked(p *process, at trace.Time) {
	for _, q := range s.d.procs {
		if q == p || s.o.Follow {
			s.lower(q, at)
		}
	}
}

func (s *session) lower(p *process, at trace.Time) {
	l := &p.level
	if !p.governed() {
		return
	}
	s.probes.Hush(int(p.pid))
	s.charge(p)
	p.plan, l.full, l.spent, l.since = l.low, false, false, time.Now()
	l.pause = min(max(2*l.pause, firstTry, l.worth(at, s.o.MaxOverhead)), lastTry)
	s.endow(p)
	if err := s.probes.Attach(int(p.pid), l.low, s.o.Follow); err != nil {
		s.prog.note(s.o.Words, fmt.Sprintf("warning: pid %d: %v", p.pid, err))
	}
	for _, g := range p.gils() {
		g.setFull(false, at)
	}
	s.noteDetail(p, at)
}

// worth is how long to go without probes for the try that ends now to have cost no
// more than the budget: the sooner its window was used up, the larger the share of
// the time that goes into traps until the probes are off.
func (l *level) worth(at trace.Time, budget float64) time.Duration {
	if budget <= 0 {
		return lastTry
	}
	share := 1.0
	if took := float64(at - l.from); took > 0 {
		share = min(1, float64(l.window)*budget/took)
	}
	return time.Duration(float64(removal) * share / budget)
}

func (s *session) raise(p *process) error {
	l := &p.level
	p.plan, l.full = l.high, true
	s.endow(p) // a burst at once must not find it without a limit
	if err := s.probes.Attach(int(p.pid), l.high, s.o.Follow); err != nil {
		p.plan, l.full, l.since = l.low, false, time.Now()
		return nil // it has just ended, or something in it changed: later, perhaps
	}
	at := now()
	for _, g := range p.gils() {
		g.setFull(true, at)
	}
	s.noteDetail(p, at)
	return nil
}

// setFull changes what is known of the GIL from now on: at full every take and
// drop, else what samples of its fields tell.
func (g *gil) setFull(full bool, at trace.Time) {
	if g.full == full {
		return
	}
	g.full, g.partly, g.from = full, true, at
	if full {
		g.busy = busyShare{emit: g.busy.emit, start: at}
		return
	}
	for _, t := range g.proc.threads {
		if t.holds == g {
			g.holdEnds(t, at, trace.DropUnknown)
		}
	}
	g.flushHandOff()
	g.busy.flush(at)
	g.lane.seen = max(g.lane.seen, at)
}
