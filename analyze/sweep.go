package analyze

import (
	"math"
	"slices"

	"gilscope/internal/trace"
)

// sweep goes over the changes in what the threads of one process do, in order of time.
type sweep struct {
	from, to trace.Time // the life of the process, as far as recorded
	base     trace.Time // of the times in changes
	changes  []turn
	many     []runPart // when two or more threads ran
	ready    int64     // ns in which threads were ready within a wait for the GIL
}

// turn is a thread that begins or ceases to do something, as one number: there are as
// many of them as switches, and numbers are sorted fast. From the highest bit on: the
// time since the base, what it is about, and whether it begins.
type turn uint64

const (
	turnBits  = 4
	turnLimit = trace.Time(math.MaxUint64 >> turnBits >> 1) // later times, which no recording has, count as this
)

func (s *sweep) turn(at trace.Time, what activity, begins uint64) turn {
	return turn(uint64(min(max(at-s.base, 0), turnLimit))<<turnBits | uint64(what)<<1 | begins)
}

// thread adds what a thread did: the scheduler's states, those asleep cut by its
// known waits. Where it is not known, it counts nowhere.
func (s *sweep) thread(th *Thread, waits []waiting) {
	s.from, s.to = min(s.from, th.Start), max(s.to, th.End)
	for _, span := range th.States {
		for len(waits) > 0 && waits[0].to <= span.Start {
			waits = waits[1:]
		}
		switch span.State {
		case Running:
			s.add(span.Start, span.End, doesRun)
		case Runnable:
			s.add(span.Start, span.End, isReady)
			s.ready += overlap(span, waits, waitsGIL)
		case Blocked:
			s.blocked(span, waits)
		}
	}
}

// overlap is how much of a span lies in waits of a kind.
func overlap(span StateSpan, waits []waiting, what activity) (ns int64) {
	from := span.Start
	for _, w := range waits {
		if w.from >= span.End {
			break
		}
		end := min(w.to, span.End)
		if w.what == what {
			ns += max(int64(end-max(from, w.from)), 0)
		}
		from = max(from, end)
	}
	return ns
}

// blocked cuts a span asleep by the waits that it lies in.
func (s *sweep) blocked(span StateSpan, waits []waiting) {
	from := span.Start
	for _, w := range waits {
		if w.from >= span.End {
			break
		}
		s.add(from, w.from, sleeps)
		end := min(w.to, span.End)
		s.add(max(from, w.from), end, w.what)
		from = max(from, end)
	}
	s.add(from, span.End, sleeps)
}

func (s *sweep) add(from, to trace.Time, what activity) {
	if from < to {
		s.changes = append(s.changes, s.turn(from, what, 1), s.turn(to, what, 0))
	}
}

// row sums up the levels.
func (s *sweep) row() ScalingRow {
	slices.Sort(s.changes)
	row := ScalingRow{SpanNS: int64(s.to - s.from), Levels: []Level{}, readyForGIL: s.ready}
	var now [numActivities]int64
	levels := []*Level{}
	last, serial, serialized, runnable := s.from, int64(0), int64(0), int64(0)
	pass := func(to trace.Time) {
		ns := int64(min(to, s.to) - last)
		if ns <= 0 {
			return
		}
		n := now[doesRun]
		if n > 1 {
			s.together(last, last+trace.Time(ns))
		}
		last += trace.Time(ns)
		for int64(len(levels)) <= n {
			levels = append(levels, &Level{Running: int64(len(levels))})
		}
		levels[n].pass(&now, ns)
		row.ParallelismMax, row.RunnableMax = max(row.ParallelismMax, n), max(row.RunnableMax, now[isReady])
		row.OnCPUNS += n * ns
		runnable += now[isReady] * ns
		if n > 0 {
			row.ActiveNS += ns
		}
		if n == 1 {
			serial += ns
			if now[isReady]+now[waitsGIL]+now[waitsLock] > 0 {
				serialized += ns
			}
		}
	}
	for _, c := range s.changes {
		pass(s.base + trace.Time(c>>turnBits))
		now[c>>1&(1<<(turnBits-1)-1)] += int64(c&1)*2 - 1
	}
	pass(s.to)
	for _, l := range levels {
		if l.NS > 0 {
			row.Levels = append(row.Levels, *l)
		}
	}
	row.ParallelismMean, row.RunnableMean = share(row.OnCPUNS, row.SpanNS), share(runnable, row.SpanNS)
	row.SerialShare, row.SerializedShare = share(serial, row.ActiveNS), share(serialized, row.ActiveNS)
	return row
}

// pass adds a time in which nothing changed.
func (l *Level) pass(now *[numActivities]int64, ns int64) {
	l.NS += ns
	l.RunnableNS += now[isReady] * ns
	l.GILWaitNS += now[waitsGIL] * ns
	l.LockWaitNS += now[waitsLock] * ns
	l.OthersWaitNS += now[waitsOthers] * ns
	l.BlockedNS += now[sleeps] * ns
}
