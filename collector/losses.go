package collector

import (
	"gilscope/internal/trace"
	"gilscope/probes"
)

// losses finds when events were lost. How many, the probes count by CPU
// (probes/bpf/maps.h); that count is read after each read of the ring, so a loss
// lies between two looks. A recorder that slept looks seldom. But records are
// numbered by CPU, lost ones too: the loss began at the last record before the
// first number that is missing.
type losses struct {
	cpus   []cpuRecords
	told   []int64    // by CPU: lost events that stand in stretches, as last counted
	open   []stretch  // not in the trace yet, in order of their ends
	looked trace.Time // when the counts were read
}

// cpuRecords is where the numbers of a CPU's records have come to.
type cpuRecords struct {
	next  uint32
	known bool
	last  trace.Time // of the newest record
	gaps  []seqGap   // since there is a stretch that is not told
}

// seqGap is a run of numbers that are missing between two records. Some may come
// yet: a probe can be preempted while it makes its record.
type seqGap struct {
	from, to trace.Time
	first    uint32
	run      uint32
	missing  uint32
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
	soon           = trace.Time(4 * readEvery)
	mostGaps       = 4096 // of a CPU; the first ones tell what there is to tell
	// Who slept or held before a gap of this length may have done anything in it.
	// In a shorter one the rule for switches that were not reported (gil.leavesCPU)
	// is off by no more than the gap.
	longGap = trace.Time(5e6)
)

// counted takes in the counts that were read between two moments.
func (l *losses) counted(counts []probes.Counts, before, after trace.Time) {
	for len(l.told) < len(counts) {
		l.told = append(l.told, 0)
	}
	for cpu := range counts {
		if n := int64(counts[cpu].Lost) - l.told[cpu]; n > 0 {
			l.told[cpu] += n
			l.add(stretch{begin: l.looked, end: after, cpu: cpu, events: n})
		}
	}
	l.looked = before
}

// add begins a stretch, or goes on with the one before if the look before was
// soon before this one: then there was hardly a time without losses.
func (l *losses) add(s stretch) {
	last := l.newest(s.cpu)
	if last != nil && last.end >= s.begin && s.end-s.begin <= soon && s.end-last.begin <= longestStretch {
		last.end, last.events = s.end, last.events+s.events
		return
	}
	l.open = append(l.open, s)
}

func (l *losses) newest(cpu int) *stretch {
	for i := len(l.open) - 1; i >= 0; i-- {
		if l.open[i].cpu == cpu {
			return &l.open[i]
		}
	}
	return nil
}

// record takes in the number of a record; they come in order of time. It returns
// the moment before a long gap, 0 if there is none here.
func (l *losses) record(r *probes.Rec) (gap trace.Time) {
	for int(r.Cpu) >= len(l.cpus) {
		l.cpus = append(l.cpus, cpuRecords{})
	}
	c, at := &l.cpus[r.Cpu], trace.Time(r.Ts)
	missing := int32(r.Seq - c.next)
	switch {
	case !c.known || missing == 0:
	case missing < 0:
		c.fill(r.Seq)
		return 0
	case len(l.open) > 0:
		if len(c.gaps) < mostGaps {
			c.gaps = append(c.gaps, seqGap{c.last, at, c.next, uint32(missing), uint32(missing)})
		}
		if at-c.last >= longGap && l.touches(int(r.Cpu), c.last, at) {
			gap = c.last
		}
	}
	c.next, c.known, c.last = r.Seq+1, true, at
	return gap
}

// fill notes that a number has come late.
func (c *cpuRecords) fill(seq uint32) {
	for i := len(c.gaps) - 1; i >= 0; i-- {
		if g := &c.gaps[i]; seq-g.first < g.run && g.missing > 0 {
			g.missing--
			return
		}
	}
}

// touches says whether a CPU lost events between two moments.
func (l *losses) touches(cpu int, from, to trace.Time) bool {
	for i := range l.open {
		if s := &l.open[i]; s.cpu == cpu && to >= s.begin && from <= s.end {
			return true
		}
	}
	return false
}

// place moves the begin of a stretch to its first gap.
func (l *losses) place(s *stretch) {
	if s.cpu >= len(l.cpus) {
		return
	}
	for _, g := range l.cpus[s.cpu].gaps {
		if g.missing > 0 && g.to >= s.begin && g.from <= s.end {
			s.begin = max(s.begin, g.from)
			return
		}
	}
}

// tell writes the stretches of which all records up to a moment are known. The
// recording ends at last, if that is not 0.
func (l *losses) tell(w *trace.Writer, upTo, last trace.Time) {
	kept := l.open[:0]
	for _, s := range l.open {
		if s.end > upTo {
			kept = append(kept, s)
			continue
		}
		l.place(&s)
		if last != 0 {
			s.begin, s.end = min(s.begin, last), min(s.end, last)
		}
		w.Note(trace.Note{Time: s.end, Name: trace.NoteLost, Args: []trace.Arg{
			{Key: "begin_ns", Num: int64(s.begin)}, {Key: "events", Num: s.events},
			{Key: "cpu", Num: int64(s.cpu)}, {Key: "what", Text: "ring"}}})
	}
	if l.open = kept; len(kept) == 0 {
		for i := range l.cpus {
			l.cpus[i].gaps = l.cpus[i].gaps[:0]
		}
	}
}

// whatever tells all stretches.
const whatever = trace.Time(1<<63 - 1)

// lookForLosses reads what the probes count.
func (s *session) lookForLosses() error {
	before := now()
	counts, err := s.probes.Counts()
	if err != nil {
		return err
	}
	s.d.losses.counted(counts, before, now())
	return nil
}

// interrupted ends what was open before a long gap: whether it went on is not
// known. What is known of the GIL begins anew.
func (d *dispatcher) interrupted(at trace.Time) {
	for _, p := range d.procs {
		for _, g := range p.gils() {
			for _, t := range p.threads {
				g.interrupted(t, at)
			}
			g.flushHandOff()
			g.lane.known = false
		}
	}
}

// interrupted ends the wait or hold of a thread that began before a gap.
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
