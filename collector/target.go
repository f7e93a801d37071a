package collector

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"gilscope/internal/cpython"
	"gilscope/internal/trace"
)

// checkTarget refuses a process in a state in which recording would show
// nothing, or would endanger it.
func checkTarget(pid int, force bool) error {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return fmt.Errorf("pid %d: %w: there is no such process", pid, errors.Join(ErrTarget, err))
	}
	if force {
		return nil
	}
	status := fields(string(b))
	if tracer := status["TracerPid"]; tracer != "" && tracer != "0" {
		return fmt.Errorf("pid %d is being traced by pid %s: %w: a breakpoint on a probed function could kill it; detach the tracer, or pass --force",
			pid, tracer, ErrTarget)
	}
	if state := status["State"]; strings.HasPrefix(state, "T") || strings.HasPrefix(state, "t") {
		return fmt.Errorf("pid %d is stopped (state %s): %w: continue it (kill -CONT %d), or pass --force", pid, state, ErrTarget, pid)
	}
	if strings.HasPrefix(status["State"], "Z") {
		return fmt.Errorf("pid %d has ended and waits for its parent: %w: record another process", pid, ErrTarget)
	}
	return nil
}

// fields splits the "Name:\tvalue" lines of /proc/PID/status.
func fields(text string) map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(line, ":"); ok {
			m[k] = strings.TrimSpace(v)
		}
	}
	return m
}

// starting is a target that has execed and whose interpreter is not up yet.
type starting struct {
	p       *process
	program string
	since   time.Time
}

// How often and how long to look for an interpreter after an exec. A program
// that is not Python by then is recorded no further until it execs again.
const (
	startEvery = 2 * time.Millisecond
	startFor   = 10 * time.Second
)

// execed is called when a target became another program.
func (s *session) execed(p *process, _ trace.Time) {
	s.stub = false
	if err := s.probes.Unhook(int(p.pid)); err != nil {
		s.prog.note(s.o.Words, fmt.Sprintf("warning: pid %d became another program: detach: %v", p.pid, err))
	}
	s.starts = slices.DeleteFunc(s.starts, func(st *starting) bool { return st.p == p })
	s.starts = append(s.starts, &starting{p, executable(int(p.pid)), time.Now()})
}

// findStarted observes those whose interpreter is up by now.
func (s *session) findStarted() {
	kept := s.starts[:0]
	for _, st := range s.starts {
		switch {
		case st.p.exited || s.startedUp(st):
		case time.Since(st.since) > startFor:
			s.notFound(st)
		default:
			kept = append(kept, st)
		}
	}
	s.starts = kept
}

// startedUp says that there is nothing more to wait for.
func (s *session) startedUp(st *starting) bool {
	at := now()
	py, err := cpython.Open(int(st.p.pid))
	switch {
	case err == nil:
	case errors.Is(err, cpython.ErrNotReady), errors.Is(err, cpython.ErrNotPython), errors.Is(err, cpython.ErrUnmapped),
		errors.Is(err, cpython.ErrGone): // its exit, or another exec, is on its way
		return false
	default:
		st.p.looked = at
		fmt.Fprintf(s.o.Words, "warning: pid %d is not recorded further: %v\n", st.p.pid, err)
		return true
	}
	st.p.looked = at
	s.w.Process(trace.Process{PID: st.p.pid, PPID: parent(int(st.p.pid)), Name: executable(int(st.p.pid))})
	if err := s.observe(st.p, py); err != nil {
		fmt.Fprintf(s.o.Words, "warning: pid %d is not recorded further: %v\n", st.p.pid, err)
	}
	return true
}

// notFound says that a target's GIL is missing in the trace, and why.
func (s *session) notFound(st *starting) {
	s.prog.note(s.o.Words, fmt.Sprintf("no Python was found in %s: its scheduling only was recorded", st.program))
}

// exited is called when a target's last thread has ended.
func (s *session) exited(p *process) {
	s.alive--
	s.prog.note(s.o.Words, fmt.Sprintf("pid %d %s", p.pid, p.end()))
	for _, st := range s.starts {
		if st.p == p {
			s.notFound(st)
		}
	}
}

// end says how the process ended.
func (p *process) end() string {
	switch {
	case !p.gone.IsZero():
		return "ended; how it did was lost"
	case p.status&0x7f != 0:
		return fmt.Sprintf("was killed by signal %d (%v)", p.status&0x7f, syscall.Signal(p.status&0x7f))
	}
	return fmt.Sprintf("ended with code %d", p.status>>8&0xff)
}

// reapAfter is how long the record of an exit may take to come.
const reapAfter = 200 * time.Millisecond

// reap notices targets that ended without a record (it was lost).
func (s *session) reap() {
	for pid, fd := range s.pidfds {
		p := s.d.procs[pid]
		if p.exited {
			continue
		}
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if n, err := unix.Poll(fds, 0); err == nil && n == 1 && !isTask(pid, pid) {
			if p.gone.IsZero() {
				p.gone = time.Now()
			}
			if time.Since(p.gone) < reapAfter {
				continue
			}
			p.exited = true
			s.d.close(p, now(), trace.WaitExit)
			s.w.Note(trace.Note{Time: now(), PID: pid, Name: trace.NoteExit})
			s.exited(p)
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// checkInterval notices sys.setswitchinterval: drop requests come by it.
func (s *session) checkInterval(p *process) {
	if p.py == nil || p.gil == nil || p.exited {
		return
	}
	interps, err := p.py.Interpreters()
	if err != nil || trace.Time(interps[0].Interval) == p.gil.interval {
		return
	}
	p.gil.interval = trace.Time(interps[0].Interval)
	s.w.Note(trace.Note{Time: now(), PID: p.pid, Name: trace.NoteInterval, Args: []trace.Arg{
		{Key: "interpreter", Num: interps[0].ID}, {Key: "interval_ns", Num: int64(interps[0].Interval)}}})
}
