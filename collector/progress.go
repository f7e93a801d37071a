package collector

import (
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"gilscope/internal/cpython"
)

// progress is the line that says how the recording goes: four times a second
// on a terminal, every ten seconds elsewhere.
type progress struct {
	last   time.Time
	events int64
	line   bool // an unfinished line is on the terminal
}

// announce says what is recorded, once every hook is live.
func (s *session) announce(targets []*cpython.Process) {
	var what []string
	for _, t := range targets {
		s.sayFrozen(t.PID)
		what = append(what, fmt.Sprintf("pid %d (Python %s)", t.PID, t.Version))
	}
	if len(s.o.Command) > 0 {
		what = append(what, s.o.Command[0])
	}
	fmt.Fprintf(s.o.Words, "recording %s, detail %s\n", strings.Join(what, ", "), s.o.Detail)
	if s.o.Verbose {
		fmt.Fprintf(s.o.Words, "attached in %v\n", s.sum.Attach.Round(time.Millisecond))
	}
	s.prog.last = time.Now()
}

// sayFrozen says that nothing can happen in a process.
func (s *session) sayFrozen(pid int) {
	if group := FrozenBy(pid); group != "" {
		s.prog.note(s.o.Words, fmt.Sprintf("warning: pid %d is frozen by cgroup %s: nothing happens in it until that is thawed (echo 0 > cgroup.freeze)", pid, group))
	}
}

// sayNothing says why there may be nothing in the trace.
func (s *session) sayNothing() {
	if s.d.events > 0 {
		return
	}
	for pid, p := range s.d.procs {
		if p.given && !p.exited {
			s.prog.note(s.o.Words, fmt.Sprintf("warning: nothing happened in pid %d (state %s)", pid, taskStateOf(int(pid))))
			s.sayFrozen(int(pid))
		}
	}
}

// report prints the progress line when it is due.
func (s *session) report() error {
	p := &s.prog
	tty := isTerminal(s.o.Words)
	every := 10 * time.Second
	if tty {
		every = 250 * time.Millisecond
	}
	took := time.Since(p.last)
	if took < every {
		return nil
	}
	counts, err := s.probes.Counts()
	if err != nil {
		return err
	}
	var lost uint64
	for _, c := range counts {
		lost += c.Lost
	}
	rate := float64(s.d.events-p.events) / took.Seconds()
	p.last, p.events = time.Now(), s.d.events
	text := fmt.Sprintf("rec %s  %.1fk events/s  lost %d  %.1f MB", time.Since(s.begun).Round(time.Second), rate/1e3, lost, float64(s.size())/1e6)
	if tty {
		fmt.Fprint(s.o.Words, Redraw+text)
		p.line = true
		return nil
	}
	fmt.Fprintln(s.o.Words, text)
	return nil
}

// note prints a line of its own.
func (p *progress) note(w io.Writer, text string) {
	p.finish(w)
	fmt.Fprintln(w, text)
}

// finish ends an unfinished progress line.
func (p *progress) finish(w io.Writer) {
	if p.line {
		fmt.Fprintln(w)
		p.line = false
	}
}

// Redraw begins what is written over the last line of a terminal.
const Redraw = "\r\033[K"

func isTerminal(w any) bool {
	f, ok := w.(interface{ Fd() uintptr })
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
