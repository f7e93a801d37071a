package collector

import (
	"fmt"
	"slices"

	"gilscope/internal/trace"
	"gilscope/probes"
)

// losses finds when events were lost. How many, and when the first and the last
// one since the reader's last look, the probes note by CPU (probes/bpf/maps.h).
type losses struct {
	told   []int64    // by CPU: lost events that stand in stretches, as last counted
	stored []int64    // by CPU: records that came
	open   []stretch  // not in the trace yet
	holes  []stretch  // long ones, whose end has not been passed yet
	looked trace.Time // when the counts were read
	last   trace.Time // when they last showed a loss
}

// stretch is a time in which a CPU lost events.
type stretch struct {
	begin, end trace.Time
	cpu        int
	events     int64
}

// Limits of stretches.
const (
	// A loss that goes on is told in pieces of this length, so that a dump, or a
	// recorder that is killed, has what concerns it.
	longestStretch = trace.Time(1e9)
	// What was lost this soon after another loss is told with it.
	soon = trace.Time(2 * readEvery)
	// Who waited or held before a hole of this length may have done anything in it.
	// In a shorter one the rule for switches that were not reported (gil.leavesCPU)
	// is off by no more than the hole.
	longHole = trace.Time(5e6)
)

// counted takes in the counts that were read just after a moment.
func (l *losses) counted(counts []probes.Counts, at trace.Time) {
	for len(l.told) < len(counts) {
		l.told = append(l.told, 0)
	}
	for cpu := range counts {
		c := &counts[cpu]
		if n := int64(c.Lost) - l.told[cpu]; n > 0 {
			l.told[cpu] += n
			l.last = at
			// FirstLost is of the look before if this was lost between the reading and the noting of that.
			begin := max(trace.Time(c.FirstLost), l.looked)
			s := stretch{begin: begin, end: max(trace.Time(c.LastLost), begin), cpu: cpu, events: n}
			if s.end-s.begin >= longHole {
				l.holes = append(l.holes, s)
			}
			l.add(s)
		}
	}
	l.looked = at
}

// add begins a stretch, or goes on with the one before.
func (l *losses) add(s stretch) {
	for i := len(l.open) - 1; i >= 0; i-- {
		last := &l.open[i]
		if last.cpu != s.cpu {
			continue
		}
		if s.begin-last.end <= soon && s.end-last.begin <= longestStretch {
			last.end, last.events = max(s.end, last.end), last.events+s.events
			return
		}
		break
	}
	l.open = append(l.open, s)
}

// passed says that what was stored up to a moment is known. If that is the end of
// a hole, it returns since when records are missing, else 0.
func (l *losses) passed(at trace.Time) (since trace.Time) {
	for i := 0; i < len(l.holes); i++ {
		if h := l.holes[i]; at > h.end {
			since = max(since, h.begin)
			l.holes = slices.Delete(l.holes, i, i+1)
			i--
		}
	}
	return since
}

// tell writes the stretches of which all records up to a moment are known. The
// recording ends at last, if that is not 0.
func (l *losses) tell(w *trace.Writer, upTo, last trace.Time) {
	kept := l.open[:0]
	for _, s := range l.open {
		if s.end >= upTo {
			kept = append(kept, s)
			continue
		}
		if last != 0 {
			s.begin, s.end = min(s.begin, last), min(s.end, last)
		}
		w.Note(trace.Note{Time: s.end, Name: trace.NoteLost, Args: []trace.Arg{
			{Key: "begin_ns", Num: int64(s.begin)}, {Key: "events", Num: s.events},
			{Key: "cpu", Num: int64(s.cpu)}, {Key: "what", Text: "ring"}}})
	}
	l.open = kept
}

// store counts a record that came.
func (l *losses) store(cpu uint16) {
	for int(cpu) >= len(l.stored) {
		l.stored = append(l.stored, 0)
	}
	l.stored[cpu]++
}

// checkCounts holds the counts of each CPU against each other, once nothing can be
// produced any more and all has been read: what was produced was stored or lost.
func (s *session) checkCounts() error {
	counts, err := s.probes.Counts()
	if err != nil {
		return err
	}
	l := &s.d.losses
	for cpu, c := range counts {
		stored := int64(0)
		if cpu < len(l.stored) {
			stored = l.stored[cpu]
		}
		if int64(c.Produced) != stored+int64(c.Lost) {
			return fmt.Errorf("CPU %d produced %d records, %d were stored and %d lost: please report this", cpu, c.Produced, stored, c.Lost)
		}
	}
	return nil
}

// whatever tells all stretches.
const whatever = trace.Time(1<<63 - 1)

// lookForLosses reads what the probes count.
func (s *session) lookForLosses() error {
	at := now()
	counts, err := s.probes.Look()
	if err != nil {
		return err
	}
	s.d.losses.counted(counts, at)
	return nil
}

// interrupted ends what was open when a hole began: whether it went on is not
// known. What is known of the GIL begins anew.
func (d *dispatcher) interrupted(at trace.Time) {
	d.forgetUse()
	for _, p := range d.procs {
		for _, t := range p.threads {
			d.lockInterrupted(t, at)
			d.worldInterrupted(t, at)
		}
		for _, g := range p.gils() {
			for _, t := range p.threads {
				g.interrupted(t, at)
			}
			g.flushHandOff()
			g.lane.known = false
		}
	}
}

// interrupted ends the wait or hold of a thread that began before a hole.
func (g *gil) interrupted(t *thread, at trace.Time) {
	switch w := &t.wait; {
	case !w.open || w.of != g || w.begin >= at:
	case w.guess:
		*w = wait{}
	default:
		g.waitEnds(t, at, trace.WaitUnknown)
	}
	if t.holds == g && t.since < at {
		g.holdEnds(t, at, trace.DropUnknown)
	}
	t.asked, t.slice = false, false
}
