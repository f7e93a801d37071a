package collector

import (
	"fmt"
	"time"

	"gilscope/internal/trace"
	"gilscope/probes"
)

// loopGovernor keeps what the tracepoints of system calls cost below the share of
// time that probes may cost. They slow down every call of the machine, so what
// counts is the CPU that makes the most. Above that no loop is watched for a
// while; the trace says so. Programs on single functions of the kernel cost
// others nothing, and are not governed.
type loopGovernor struct {
	begun time.Time     // of the watch
	since time.Time     // begin of the present window, or of the time without
	calls []uint64      // by CPU, then
	off   trace.Time    // since when no loop is watched; 0: they are
	pause time.Duration // how long to go without next time
	rate  float64       // calls a second of that CPU, and
	cost  time.Duration // what one cost, when it was too much
}

// governLoops ends or begins the watch over loops, where that is due.
func (s *session) governLoops() error {
	g := &s.loopGovernor
	if g.off != 0 {
		if time.Since(g.since) >= g.pause {
			s.watchLoopsAgain()
		}
		return nil
	}
	long := window
	if time.Since(g.begun) < window {
		long = trial
	}
	cost, _ := s.probes.CallCost()
	if s.o.Detail != probes.Auto || cost == 0 || time.Since(g.since) < long {
		return nil
	}
	counts, err := s.probes.Counts()
	if err != nil {
		return err
	}
	span := time.Since(g.since).Seconds()
	known := len(g.calls) == len(counts)
	g.since, g.rate, g.cost = time.Now(), 0, cost
	for i, c := range counts {
		if known {
			g.rate = max(g.rate, float64(c.Calls-g.calls[i])/span)
		} else {
			g.calls = append(g.calls, 0)
		}
		g.calls[i] = c.Calls
	}
	switch {
	case !known:
		g.begun = g.since
	case time.Since(g.begun) >= calm:
		g.pause = 0
	}
	if known && g.rate*g.cost.Seconds() > s.o.MaxOverhead {
		s.leaveLoops()
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
	g.off, g.calls, g.pause = at, nil, min(max(2*g.pause, firstTry), lastTry)
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
	if cost, why := s.probes.CallCost(); cost > 0 {
		fmt.Fprintf(s.o.Words, "event loops by the tracepoints of all system calls, %v each, for this kernel refuses better: %v\n", cost, why)
	} else {
		fmt.Fprintln(s.o.Words, "event loops by the functions of the system calls they wait in")
	}
}
