package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"gilscope/analyze"
	"gilscope/internal/testkernel"
	"gilscope/internal/trace"
	"gilscope/oracle"
)

// recording is what gilscope made of one step.
type recording struct {
	trace  *trace.Trace
	report *analyze.Report
}

// read wants a step whose recording and report succeeded, whole and without a loss.
func read(s testkernel.Step) (recording, error) {
	for _, run := range []testkernel.Run{s.Run, s.Report} {
		if run.Exit != 0 {
			return recording{}, fmt.Errorf("%s: exit code %d: %s", strings.Join(run.Args, " "), run.Exit, lastLine(run.Stderr))
		}
	}
	r := recording{report: new(analyze.Report)}
	err := json.Unmarshal([]byte(s.Report.Stdout), r.report)
	if err != nil {
		return r, fmt.Errorf("the report: %w", err)
	}
	if r.trace, err = trace.Read(strings.NewReader(string(s.Trace))); err != nil {
		return r, err
	}
	problems := r.trace.Validate()
	if n := r.report.Recording.LostEvents; n > 0 || !r.report.Recording.Complete {
		problems = append(problems, fmt.Errorf("%d events lost, complete: %v", n, r.report.Recording.Complete))
	}
	return r, errors.Join(problems...)
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// member is what one recorded process measured of itself.
type member struct {
	*oracle.Truth
	pid      int32           // as the host numbers it
	From, To int64           // when its threads were all there; 0: during the whole recording
	Code     int64           // with which it was to end
	HostPID  int32           `json:"host_pid"` // in a container
	HostTIDs map[int32]int32 `json:"host_tids"`
}

func parseMember(text string) (member, error) {
	var m member
	err := json.Unmarshal([]byte(text), &m)
	if err != nil {
		return m, fmt.Errorf("what a process measured: %w", err)
	}
	if m.Truth, err = oracle.ParseTruth([]byte(text)); err != nil {
		return m, err
	}
	m.pid = int32(m.PID)
	if m.HostPID == 0 {
		return m, nil
	}
	m.pid = m.HostPID
	threads := map[int32]*oracle.TruthThread{}
	for own, th := range m.Threads {
		threads[m.HostTIDs[own]] = th
	}
	m.Threads = threads
	return m, nil
}

// score sets what processes measured against what was recorded of them. The
// lengths of waits are not compared, as livetest does: where CPUs are emulated,
// and the host is busy with other work, they stand still at any time.
type score struct {
	processes       int
	measured, found int64 // waits that threads timed, and those of them that were recorded
	blamed, right   int64 // of the reported waits: those on a thread that measures, and on the right line, ns
}

// share is how much of all that is, in percent.
func share(part, all int64) float64 {
	if all == 0 {
		return 0
	}
	return 100 * float64(part) / float64(all)
}

// edge is kept away from both ends of a recording: of waits that were under way
// when it began, only the rest is seen.
const edge = 50e6 // ns

// window is when both the process and the recorder saw everything.
func (r recording) window(m member) (from, to int64) {
	from, to = m.From, m.To
	for _, n := range r.trace.Notes {
		switch {
		case n.Name == trace.NoteTarget && n.PID == m.pid:
			from = max(from, int64(n.Time)+edge)
		case n.Name == trace.NoteEnd && to == 0:
			to = int64(n.Time) - edge
		}
	}
	return from, to
}

// add compares one process.
func (s *score) add(r recording, m member) error {
	var gil *analyze.GILRow
	for i := range r.report.GIL {
		if r.report.GIL[i].PID == m.pid {
			gil = &r.report.GIL[i]
		}
	}
	if gil == nil || gil.Waits == 0 {
		return fmt.Errorf("pid %d (%s): no wait is in the report", m.pid, m.Program)
	}
	s.processes++
	from, to := r.window(m)
	for tid, th := range m.Threads {
		if th.Role != "io" { // the others see a wait only as a gap in what they do
			continue
		}
		s.find(th.Waits, waitsOf(r.trace, tid), from, to)
	}
	var sum int64
	for _, b := range gil.Blame {
		sum += b.WaitNS
		s.blame(m, b)
	}
	if sum != gil.WaitNS {
		return fmt.Errorf("pid %d: blame sums to %d ns, the waits to %d ns", m.pid, sum, gil.WaitNS)
	}
	return nil
}

// long is the switch interval: who waits for a thread that computes, waits that
// long at least. What is shorter can be a stop of the machine.
const long = 5e6 // ns

// find looks for the long waits that a thread measured among the recorded ones.
func (s *score) find(measured, recorded []oracle.Interval, from, to int64) {
	for _, w := range measured {
		if w[0] < from || w[1] > to || w[1]-w[0] < long {
			continue
		}
		s.measured++
		if _, n := oracle.Clip(recorded, w[0], w[1]); n > 0 {
			s.found++
		}
	}
}

// blame counts a row of the blame. What is charged to the code that measures,
// says nothing.
func (s *score) blame(m member, b analyze.Blame) {
	if b.Waiter.TID == nil || b.Holder.TID == nil {
		return
	}
	waiter, holder := m.Threads[*b.Waiter.TID], m.Threads[*b.Holder.TID]
	if waiter == nil || holder == nil || b.Holder.Site == nil || b.Holder.Site.File == nil || filepath.Base(*b.Holder.Site.File) == "gilclock.py" {
		return
	}
	for _, e := range m.Expect {
		if e.WaiterRole == waiter.Role {
			s.blamed += b.WaitNS
			if e.HolderRole == holder.Role && at(e, *b.Holder.Site) {
				s.right += b.WaitNS
			}
		}
	}
}

// at says whether the place is in the function that a program expects there.
func at(e oracle.Expectation, s analyze.SiteRow) bool {
	return s.Function != nil && s.Line != nil && (*s.Function == e.Function || strings.HasSuffix(*s.Function, "."+e.Function)) &&
		filepath.Base(*s.File) == filepath.Base(e.File) && int(*s.Line) >= e.Line[0] && int(*s.Line) <= e.Line[1]
}

// waitsOf are a thread's waits in the trace.
func waitsOf(t *trace.Trace, tid int32) []oracle.Interval {
	var all []oracle.Interval
	begin := int64(-1)
	for _, e := range t.Events {
		switch {
		case e.TID != tid:
		case e.Kind == trace.GILWaitBegin:
			begin = int64(e.Time)
		case e.Kind == trace.GILWaitEnd && begin >= 0:
			all = append(all, oracle.Interval{begin, int64(e.Time)})
			begin = -1
		}
	}
	return all
}
