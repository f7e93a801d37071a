package collector

import (
	"fmt"
	"strings"

	"gilscope/internal/cpython"
	"gilscope/internal/trace"
	"gilscope/probes"
)

// observe chooses how to see the GIL, attaches, and says so in the trace.
func (s *session) observe(p *process, py *cpython.Process) error {
	if err := s.choose(p, py); err != nil {
		return err
	}
	interps, err := py.Interpreters()
	if err != nil {
		return err
	}
	p.py, p.stacks = py, newStacks(py, s.w, nil)
	p.stacks.paths = s.o.paths()
	s.settle(p, interps)
	if len(interps) > probes.MaxPlaces {
		s.prog.note(s.o.Words, s.tooMany(p, len(interps)))
	}
	s.endow(p)
	if err := s.probes.Observe(py, p.addresses(), p.plan, s.o.Follow); err != nil {
		p.places = nil
		return err
	}
	s.observeRare(p)
	p.since = now()
	for _, g := range p.gils() {
		g.from = p.since
	}
	s.noteTarget(p, p.since, interps[0])
	s.noteDetail(p, p.since)
	if err := s.probes.AskRunning(); err != nil {
		s.prog.note(s.o.Words, fmt.Sprintf("warning: pid %d: %v", p.pid, err))
	}
	return s.lookAtThreads(p, py)
}

// lookAtThreads finds out what the threads are that were there before.
func (s *session) lookAtThreads(p *process, py *cpython.Process) error {
	for _, look := range []func(*process){s.name, s.findLoops, s.findWorkers, s.assignWorkers, s.findSleepers} {
		if err := s.breathe(); err != nil {
			return err
		}
		if p.exited || p.stub || p.py != py { // it has ended, or become another program
			return nil
		}
		look(p)
	}
	return s.breathe()
}

// noteTarget describes the interpreter and how it is observed.
func (s *session) noteTarget(p *process, at trace.Time, in cpython.Interpreter) {
	py, plan := p.py, p.plan
	linkage := "static"
	if py.Build.Shared {
		linkage = "shared"
	}
	args := []trace.Arg{
		{Key: "python", Text: py.Version.String()}, {Key: "linkage", Text: linkage},
		{Key: "free_threaded", Num: bit(py.Build.FreeThreaded)}, {Key: "gil_enabled", Num: bit(py.Build.GILEnabled)},
		{Key: "stripped", Num: bit(py.Build.Stripped)}, {Key: "pie", Num: bit(py.Build.PIE)},
		{Key: "path", Text: s.o.paths().shown(py.Build.Path)}, {Key: "backend", Text: string(plan.Backend)},
		{Key: "cost", Text: plan.Cost()}, {Key: "sites", Text: s.o.paths().sites(plan)},
		{Key: "interval_ns", Num: int64(in.Interval)}, {Key: "interpreter", Num: in.ID},
		{Key: "libc", Text: strings.TrimSpace(string(py.Libc().Kind) + " " + py.Libc().Version)},
	}
	if len(p.rarePlan.Hooks) > 0 {
		args = append(args, trace.Arg{Key: "rare_sites", Text: s.o.paths().sites(p.rarePlan)})
	}
	if py.NSLevel() > 0 {
		args = append(args, trace.Arg{Key: "ns_pid", Num: int64(py.NSPID())})
	}
	s.w.Note(trace.Note{Time: at, PID: p.pid, Name: trace.NoteTarget, Args: args})
	if s.o.Verbose && p.method != methodFork {
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

// name tells the trace the names of the process's threads, and which are daemons.
func (s *session) name(p *process) {
	p.naming = max(p.naming-1, 0)
	for tid, is := range p.names() {
		s.w.Thread(trace.Thread{PID: p.pid, TID: tid, Name: is.Name})
		if t := p.threads[tid]; is.Daemon != nil && !t.daemonTold && t.ended == 0 {
			t.daemonTold = true
			at := max(now(), t.born)
			if s.d.end != 0 {
				at = s.d.end // the note about the end is the last
			}
			s.w.Note(trace.Note{Time: at, PID: p.pid, Name: trace.NoteThread,
				Args: []trace.Arg{{Key: "tid", Num: int64(tid)}, {Key: "daemon", Num: bit(*is.Daemon)}}})
		}
	}
}
