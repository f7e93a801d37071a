package collector

import (
	"fmt"
	"time"

	"gilscope/internal/trace"
	"gilscope/probes"
)

// loopGovernor keeps what the tracepoints of system calls cost below the share of
// time that probes may cost. They slow down every call of the machine, so what
// counts is the CPU that makes the most. Calls are counted for a moment now and then,
// as counting costs, too. Above the budget no loop is watched for a while; the trace
// says so. Programs on single functions of the kernel cost others nothing, and are
// not governed.
type loopGovernor struct {
	begun    time.Time     // of the watch; zero: there is none
	since    time.Time     // begin of the present count, end of the last one, or begin of the time without
	counting bool          // calls are counted now
	before   []callCounts  // by CPU, when that began
	off      trace.Time    // since when no loop is watched; 0: they are
	pause    time.Duration // how long to go without next time
	rate     float64       // calls a second of that CPU, and
	cost     time.Duration // what one cost at the mean, when it was too much
}

// callCounts are the system calls of a CPU, and the waits of which loops may make
// among them.
type callCounts struct{ calls, waits uint64 }

// recount is how long after a count of system calls the next one begins.
const recount = time.Second

// governLoops ends or begins the watch over loops, where that is due.
func (s *session) governLoops() error {
	g := &s.loopGovernor
	if g.off != 0 {
		if time.Since(g.since) >= g.pause {
			s.watchLoopsAgain()
		}
		return nil
	}
	cost, _ := s.probes.CallCost()
	if s.o.Detail != probes.Auto || cost == (probes.CallCost{}) {
		g.begun, g.counting = time.Time{}, false
		return nil
	}
	if g.begun.IsZero() {
		g.begun, g.since = time.Now(), time.Time{}
	}
	if g.counting {
		return s.endCallCount(cost)
	}
	if time.Since(g.since) >= recount {
		return s.beginCallCount()
	}
	return nil
}

func (s *session) beginCallCount() error {
	if err := s.probes.CountCalls(true); err != nil {
		return err
	}
	counts, err := s.probes.Counts()
	if err != nil {
		return err
	}
	g := &s.loopGovernor
	g.before = g.before[:0]
	for _, c := range counts {
		g.before = append(g.before, callCounts{c.Calls, c.Waits})
	}
	g.counting, g.since = true, time.Now()
	return nil
}

// endCallCount ends a count that was long enough, and leaves the loops if their
// tracepoints cost a CPU too much.
func (s *session) endCallCount(cost probes.CallCost) error {
	g := &s.loopGovernor
	span := time.Since(g.since)
	if span < trial {
		return nil
	}
	counts, err := s.probes.Counts()
	if err != nil {
		return err
	}
	g.counting, g.since = false, time.Now()
	if err := s.probes.CountCalls(false); err != nil {
		return err
	}
	var dear time.Duration
	for i, c := range counts[:min(len(counts), len(g.before))] {
		calls, waits := c.Calls-g.before[i].calls, c.Waits-g.before[i].waits
		took := time.Duration(calls-min(waits, calls))*cost.Any + time.Duration(waits)*cost.Wait
		if took > dear {
			dear, g.rate, g.cost = took, float64(calls)/span.Seconds(), took/time.Duration(calls)
		}
	}
	switch {
	case float64(dear) > float64(span)*s.o.MaxOverhead:
		s.leaveLoops()
	case time.Since(g.begun) >= calm:
		g.pause = 0
	}
	return nil
}

// leaveLoops ends the watch over all loops. The next time is the later, the more
// often that was necessary.
func (s *session) leaveLoops() {
	g := &s.loopGovernor
	at := now()
	for _, p := range s.d.procs {
		for _, t := range p.threads {
			s.d.loopEnds(p, t, at)
		}
	}
	g.off, g.begun, g.pause = at, time.Time{}, min(max(2*g.pause, firstTry), lastTry)
	if g.pause == firstTry {
		s.prog.note(s.o.Words, fmt.Sprintf("event loops are watched part of the time only: a CPU makes %.0f system calls a second, which then cost %v more each: see --max-overhead", g.rate, g.cost))
	}
}

// watchLoopsAgain tells how long no loop was watched, and looks for them.
func (s *session) watchLoopsAgain() {
	s.tellLoopsOff(now())
	for _, p := range s.d.procs {
		if !p.exited && p.py != nil {
			s.findLoops(p)
		}
	}
}

// tellLoopsOff closes a time without a watch over loops, if there is one.
func (s *session) tellLoopsOff(at trace.Time) {
	g := &s.loopGovernor
	if g.off == 0 {
		return
	}
	s.w.Note(trace.Note{Time: at, Name: trace.NoteLoopsOff, Args: []trace.Arg{
		{Key: "since_ns", Num: int64(g.off)}, {Key: "calls_per_s", Num: int64(g.rate)}, {Key: "ns_per_call", Num: int64(g.cost)}}})
	g.off = 0
}

// sayCalls tells how the waits of loops are seen.
func (s *session) sayCalls() {
	cost, why := s.probes.CallCost()
	which := "single"
	if cost.All {
		which = "all"
	}
	if why == nil {
		fmt.Fprintln(s.o.Words, "event loops by the functions of the system calls they wait in")
	} else {
		fmt.Fprintf(s.o.Words, "event loops by the tracepoints of %s calls, which add %v to each call of the machine and %v to the wait of a loop: %v\n", which, cost.Any, cost.Wait, why)
	}
}
