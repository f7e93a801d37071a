package collector

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"gilscope/internal/cpython"
	"gilscope/internal/trace"
	"gilscope/probes"
)

// Start methods, as multiprocessing names them, and the one it does not have.
const (
	methodFork       = "fork"
	methodSpawn      = "spawn"
	methodForkServer = "forkserver"
	methodSubprocess = "subprocess"
)

// Roles of processes that multiprocessing starts for itself.
const (
	roleForkServer      = "fork server"
	roleResourceTracker = "resource tracker"
)

// forked takes in a child whose recording the probes have begun at the fork. It
// has its parent's interpreter, at the same addresses.
func (s *session) forked(parent *process, r probes.Record) {
	at, shared := trace.Time(r.Ts), r.Flags&probes.FlagShared != 0
	c := s.add(int32(r.Arg))
	if err := s.ends.add(c.pid); errors.Is(err, unix.ESRCH) {
		s.ends.missed(c.pid)
	} else if err != nil {
		s.prog.note(s.o.Words, fmt.Sprintf("warning: %v", err))
	}
	c.parent, c.method = parent.pid, methodFork
	switch {
	case shared:
		c.method = methodSubprocess // the parent sleeps until it execs
	case parent.role == roleForkServer:
		c.method = methodForkServer
	}
	s.w.Process(trace.Process{PID: c.pid, PPID: parent.pid, Name: parent.name})
	c.name = parent.name
	s.noteStarted(c, at)
	if t := s.d.join(c, r.Peer); t != nil {
		t.born = at
	}
	if !s.admit(c) {
		return
	}
	switch {
	case shared: // its exec will come
	case parent.py == nil:
		s.starts = append(s.starts, newStarting(c))
	default:
		s.inherit(c, parent, at)
	}
}

// inherit gives a forked child what is known of its parent's interpreter.
func (s *session) inherit(c, parent *process, at trace.Time) {
	c.py, c.plan, c.head, c.since = parent.py.Forked(int(c.pid)), parent.plan, parent.head, at
	c.rare, c.rarePlan, c.rares = parent.rare, parent.rarePlan, rareHitsFrom(s.probes.RareHits(int(c.pid)))
	c.level = parent.level
	c.stacks = newStacks(c.py, s.w, parent.stacks)
	c.stacks.paths = s.o.paths()
	gils := map[*gil]*gil{}
	for _, from := range parent.places {
		if g := from.gil; g != nil && gils[g] == nil {
			gils[g] = newGIL(c, g.number, g.interval, g.full, g.words, func(e trace.Event) { s.d.event(c, e) })
		}
		c.places = append(c.places, place{from.id, from.addr, gils[from.gil]})
	}
	s.endow(c)
	s.probes.Inherit(int(c.pid), int(parent.pid))
	if parent.since >= at {
		// The parent's interpreter was found after this fork: the child's copy has nothing of it.
		if err := s.probes.Describe(c.py, c.addresses(), s.o.Follow); err != nil {
			s.prog.note(s.o.Words, fmt.Sprintf("warning: pid %d is not recorded: %v", c.pid, err))
		}
		at = now()
		c.since = at // for its own children
	}
	s.noteTarget(c, at, cpython.Interpreter{Interval: time.Duration(c.mainInterval())})
	s.noteDetail(c, at)
}

// mainInterval is the switch interval of the main interpreter, 0 if it is not known.
func (p *process) mainInterval() trace.Time {
	if len(p.places) == 0 || p.places[0].gil == nil {
		return 0
	}
	return p.places[0].gil.interval
}

// noteStarted says how a process was started, as far as that is known.
func (s *session) noteStarted(p *process, at trace.Time) {
	args := []trace.Arg{{Key: "parent", Num: int64(p.parent)}, {Key: "method", Text: p.method}}
	if p.role != "" {
		args = append(args, trace.Arg{Key: "role", Text: p.role})
	}
	s.w.Note(trace.Note{Time: at, PID: p.pid, Name: trace.NoteStarted, Args: args})
}

// maxCommandLine bounds what is looked at of a command line.
const maxCommandLine = 8 << 10

// recognise tells what a child became by its exec. Its command line says so; it
// is looked at and not kept.
func (s *session) recognise(p *process, at trace.Time) {
	if p.method == "" {
		return // it ran before the recording, or it is the recorded command itself
	}
	line := commandLine(int(p.pid))
	p.method, p.role = methodSubprocess, ""
	switch {
	case bytes.Contains(line, []byte("multiprocessing.resource_tracker")):
		p.role = roleResourceTracker
	case bytes.Contains(line, []byte("multiprocessing.forkserver")):
		p.role = roleForkServer
	case bytes.Contains(line, []byte("multiprocessing.spawn")):
		p.method = methodSpawn
	}
	s.noteStarted(p, at)
}

func commandLine(pid int) []byte {
	f, err := os.Open(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return nil
	}
	defer f.Close()
	line, _ := io.ReadAll(io.LimitReader(f, maxCommandLine))
	return line
}
