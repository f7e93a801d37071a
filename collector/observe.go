package collector

import (
	"fmt"
	"time"

	"gilscope/internal/cpython"
	"gilscope/internal/trace"
	"gilscope/probes"
)

// observe chooses how to see the GIL, attaches, and says so in the trace.
func (s *session) observe(p *process, py *cpython.Process) error {
	plan, err := probes.NewPlan(py, s.o.Detail, s.o.Backend)
	if err != nil {
		return err
	}
	interps, err := py.Interpreters()
	if err != nil {
		return err
	}
	if err := s.probes.Observe(py, interps[0], plan); err != nil {
		return err
	}
	s.follow(p, py, plan, interps[0].Interval)
	s.noteTarget(p, py, plan, interps[0])
	s.name(p)
	return nil
}

// follow sets up what turns the process's records into events.
func (s *session) follow(p *process, py *cpython.Process, plan probes.Plan, interval time.Duration) {
	p.py, p.stacks = py, newStacks(py, s.w)
	emit := func(e trace.Event) { s.d.event(p, e) }
	p.gil = &gil{
		proc: p, interval: trace.Time(interval), emit: emit,
		full:  plan.Detail == probes.Full,
		words: py.Libc().Kind == cpython.Glibc,
	}
	p.gil.lane.step = func(at trace.Time, holder int32) {
		emit(trace.Event{Time: at, Kind: trace.GILHolder, TID: holder})
	}
}

func (s *session) noteTarget(p *process, py *cpython.Process, plan probes.Plan, in cpython.Interpreter) {
	linkage := "static"
	if py.Build.Shared {
		linkage = "shared"
	}
	s.w.Note(trace.Note{Time: now(), PID: p.pid, Name: trace.NoteTarget, Args: []trace.Arg{
		{Key: "python", Text: py.Version.String()}, {Key: "linkage", Text: linkage},
		{Key: "free_threaded", Num: bit(py.Build.FreeThreaded)}, {Key: "gil_enabled", Num: bit(py.Build.GILEnabled)},
		{Key: "stripped", Num: bit(py.Build.Stripped)}, {Key: "pie", Num: bit(py.Build.PIE)},
		{Key: "path", Text: py.Build.Path}, {Key: "backend", Text: string(plan.Backend)},
		{Key: "cost", Text: plan.Cost()}, {Key: "sites", Text: plan.Sites()},
		{Key: "interval_ns", Num: int64(in.Interval)}, {Key: "interpreter", Num: in.ID},
	}})
	if s.o.Verbose {
		fmt.Fprintf(s.o.Words, "pid %d: Python %s (%s), backend %s, cost %s\n", p.pid, py.Version, py.Build.Path, plan.Backend, plan.Cost())
		for _, h := range plan.Hooks {
			fmt.Fprintf(s.o.Words, "  %s at %s+%#x: %s (%s)\n", h.Site.Name, h.Site.File, h.Site.Offset, h.Site.Insn, h.Site.Cost)
		}
	}
}

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// name tells the trace the names of the process's threads.
func (s *session) name(p *process) {
	p.naming = max(p.naming-1, 0)
	for tid, name := range p.names() {
		s.w.Thread(trace.Thread{PID: p.pid, TID: tid, Name: name})
	}
}
