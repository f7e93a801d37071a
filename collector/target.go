package collector

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

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
	if err := mayTrace(pid); err != nil {
		return err
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

// taskStateOf is the state of a process in words, such as "S (sleeping)".
func taskStateOf(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return "gone"
	}
	return fields(string(b))["State"]
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
	next    time.Time // when to look again
}

func newStarting(p *process) *starting {
	return &starting{p: p, program: executable(int(p.pid)), since: time.Now()}
}

// every is how often to look: an interpreter is up within milliseconds, and
// what has none for long will hardly get one.
func (st *starting) every() time.Duration {
	return min(max(time.Since(st.since)/16, startEvery), startSeldom)
}

// How often and how long to look for an interpreter after an exec. A program
// that is not Python by then is recorded no further until it execs again.
const (
	startEvery  = 2 * time.Millisecond
	startSeldom = 200 * time.Millisecond
	startFor    = 10 * time.Second
)

// doubtFor is how long an interpreter that starts may look like one that is broken: it is read
// while it makes what is read.
const doubtFor = 500 * time.Millisecond

// mayPass says that what was found wrong with a program may be so only because it is starting.
func (st *starting) mayPass(err error) bool {
	return time.Since(st.since) < doubtFor && !errors.Is(err, cpython.ErrUnsupported) && !errors.Is(err, cpython.ErrPermission)
}

// execed is called when a target became another program.
func (s *session) execed(p *process, at trace.Time) {
	s.stub = false
	if !p.exited && !s.admit(p) {
		return
	}
	s.charge(p)
	s.probes.UnhookLater(int(p.pid))
	if !p.exited {
		if err := s.probes.Watch(int(p.pid), s.o.Follow); err != nil {
			s.prog.note(s.o.Words, fmt.Sprintf("warning: pid %d became another program: %v", p.pid, err))
		}
	}
	s.starts = slices.DeleteFunc(s.starts, func(st *starting) bool { return st.p == p })
	s.starts = append(s.starts, newStarting(p))
	p.name = executable(int(p.pid))
	s.w.Process(trace.Process{PID: p.pid, PPID: p.parent, Name: p.name})
	s.recognise(p, at)
}

// findStarted observes those whose interpreter is up by now.
func (s *session) findStarted() {
	kept := s.starts[:0]
	for _, st := range s.starts {
		switch {
		case st.p.exited:
		case time.Now().Before(st.next):
			kept = append(kept, st)
		case s.startedUp(st):
		case time.Since(st.since) > startFor:
			s.notFound(st)
		default:
			st.next = time.Now().Add(st.every())
			kept = append(kept, st)
		}
	}
	s.starts = kept
}

// startedUp says that there is nothing more to wait for.
func (s *session) startedUp(st *starting) bool {
	if !s.admit(st.p) {
		return true
	}
	at := now()
	py, err := cpython.Open(int(st.p.pid))
	switch {
	case err == nil:
	case errors.Is(err, cpython.ErrNotReady), errors.Is(err, cpython.ErrNotPython), errors.Is(err, cpython.ErrUnmapped),
		errors.Is(err, cpython.ErrGone): // its exit, or another exec, is on its way
		return false
	case st.mayPass(err):
		return false
	default:
		st.p.looked = at
		fmt.Fprintf(s.o.Words, "warning: pid %d is not recorded further: %v\n", st.p.pid, err)
		return true
	}
	st.p.looked = at
	if err := s.observe(st.p, py); err != nil && st.p.py != py && st.mayPass(err) {
		py.Close()
		return false
	} else if err != nil {
		fmt.Fprintf(s.o.Words, "warning: pid %d is not recorded further: %v\n", st.p.pid, err)
	}
	return true
}

// notFound is about a target that became something else than Python. It stays
// one only if its children may be of interest.
func (s *session) notFound(st *starting) {
	if st.p.given || s.o.Verbose {
		s.prog.note(s.o.Words, fmt.Sprintf("no Python was found in %s (pid %d): its scheduling only was recorded", st.program, st.p.pid))
	}
	if s.o.Follow || st.p.exited {
		return
	}
	st.p.exited = true
	s.release(st.p)
}

// exited is called when a target's last thread has ended.
func (s *session) exited(p *process) {
	if p.given || s.o.Verbose {
		s.prog.note(s.o.Words, fmt.Sprintf("pid %d %s", p.pid, p.end()))
	}
	for _, st := range s.starts {
		if st.p == p {
			s.notFound(st)
		}
	}
	s.release(p)
}

// release ends the recording of one target.
func (s *session) release(p *process) {
	s.alive--
	s.charge(p)
	s.ends.drop(p.pid)
	if err := s.probes.Forget(int(p.pid)); err != nil {
		s.prog.note(s.o.Words, fmt.Sprintf("warning: pid %d: detach: %v", p.pid, err))
	}
	if p.py != nil {
		p.py.Close()
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
const (
	reapAfter = 200 * time.Millisecond
	endEvery  = 3 * time.Millisecond // how often to look for it meanwhile
)

// overdue says that the record of an end at since is lost: what was in the ring
// some time later has been read. How late it is now tells nothing, for a reader
// that got no CPU has the record still before it.
func overdue(since, emptied time.Time) bool { return emptied.Sub(since) >= reapAfter }

// reap notices targets that ended without a record (it was lost).
func (s *session) reap() {
	for pid, since := range s.ends.ended() {
		p := s.d.procs[pid]
		if p == nil || p.exited || !overdue(since, s.emptied) {
			continue
		}
		p.gone, p.exited = since, true
		s.d.close(p, now(), trace.WaitExit)
		s.w.Note(trace.Note{Time: now(), PID: pid, Name: trace.NoteExit})
		s.exited(p)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
