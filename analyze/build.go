package analyze

import (
	"cmp"
	"slices"

	"gilscope/internal/trace"
)

// builder walks the events once. What it knows about a thread between two
// events stands in run, parallel to Timeline.Threads.
type builder struct {
	tl      *Timeline
	now     trace.Time
	latest  map[int32]int32 // by tid: the thread that has the number, or had it last
	gilOf   map[gilKey]int32
	run     []threadRun
	gils    []gilRun
	cpus    []int32 // by CPU: index of the target thread on it, or none
	lastTID int32   // one-entry caches: neighbours in time are mostly the same thread
	lastPID int32
	lastIdx int32
	lastKey gilKey
	lastGIL int32
}

const none int32 = -1

type gilKey struct {
	pid int32
	gil uint16
}

type threadRun struct {
	since   trace.Time
	wait    int32 // index of the open wait, or none
	waitGIL int32
	hold    int32 // index of the open hold, or none
	holdGIL int32
	laneGIL int32 // GIL whose lane names this thread now, or none
	cpu     int32
	state   State
	ended   bool
}

type gilRun struct {
	waiting int32 // open waits
	since   trace.Time
}

// Build turns a trace into a Timeline. The trace must stay unchanged as long as
// the Timeline is used. Events that contradict each other are resolved, never
// refused: a second begin ends the first, an end without a begin is passed over.
func Build(t *trace.Trace) *Timeline {
	tl := &Timeline{Trace: t, facts: factsOf(t), threadOf: make(map[uint64]int32, len(t.Threads)), lives: map[uint64][]int32{}}
	tl.Start, tl.End = bounds(t)
	b := &builder{tl: tl, latest: make(map[int32]int32, len(t.Threads)), gilOf: map[gilKey]int32{}, now: tl.Start, lastIdx: none}
	b.declared(t.Threads)
	forks := processStarts(t)
	for i := range t.Events {
		e := &t.Events[i]
		for len(forks) > 0 && forks[0].at <= e.Time {
			b.advance(forks[0].at)
			b.starts(forks[0].pid, forks[0].pid)
			forks = forks[1:]
		}
		b.advance(e.Time)
		b.event(e)
	}
	b.finish()
	tl.resolveSites()
	return tl
}

// advance moves the moment on. A file may claim any time; going backwards would
// make spans negative.
func (b *builder) advance(to trace.Time) { b.now = min(max(b.now, to), b.tl.End) }

// bounds is the recorded interval: the opening and closing note, widened to the events.
func bounds(t *trace.Trace) (start, end trace.Time) {
	first := true
	widen := func(at trace.Time) {
		at = max(at, 0)
		if first {
			start, end, first = at, at, false
		}
		start, end = min(start, at), max(end, at)
	}
	for _, n := range t.Notes {
		if n.Name == trace.NoteRecording || n.Name == trace.NoteEnd {
			widen(n.Time)
		}
	}
	if len(t.Events) > 0 {
		widen(t.Events[0].Time)
		widen(t.Events[len(t.Events)-1].Time)
	}
	return start, end
}

func (b *builder) event(e *trace.Event) {
	switch e.Kind {
	case trace.SchedSwitch:
		b.schedSwitch(e)
	case trace.SchedWaking:
		b.schedWaking(e)
	case trace.CPUSample:
		if i := b.thread(e.TID, e.PID); i != none && b.run[i].laneGIL != none {
			b.sample(b.run[i].laneGIL, e.Stack)
		}
	case trace.GILWaitBegin:
		b.waitBegin(e)
	case trace.GILWaitEnd:
		if i := b.thread(e.TID, e.PID); i != none {
			b.waitEnd(i, trace.WaitOutcome(e.Arg))
		}
	case trace.GILHoldBegin:
		b.holdBegin(e)
	case trace.GILHoldEnd:
		if i := b.thread(e.TID, e.PID); i != none {
			b.holdEnd(i, trace.DropReason(e.Arg), false)
		}
	case trace.GILHolder:
		b.holder(b.gil(e), e.TID, e.PID)
	case trace.GILDropRequest:
		b.dropRequest(e)
	case trace.GILHolderSeen:
		b.holderSeen(e)
	case trace.ThreadStart:
		b.starts(e.TID, e.PID)
	case trace.ThreadExit:
		b.threadExit(e)
	}
}

func (b *builder) gil(e *trace.Event) int32 {
	key := gilKey{e.PID, e.GIL}
	if len(b.gils) > 0 && key == b.lastKey {
		return b.lastGIL
	}
	g, ok := b.gilOf[key]
	if !ok {
		g = int32(len(b.gils))
		b.gilOf[key] = g
		b.gils = append(b.gils, gilRun{})
		lane := []Stretch{{Start: b.tl.Start, Asked: noTime, TID: Unknown, Thread: none}}
		b.tl.GILs = append(b.tl.GILs, GIL{PID: e.PID, Interpreter: e.GIL, Lane: lane})
	}
	b.lastKey, b.lastGIL = key, g
	return g
}

// finish closes what is open at the end of the recording and puts things in order.
func (b *builder) finish() {
	tl := b.tl
	b.now = tl.End
	for i := range tl.Threads {
		b.waitEnd(int32(i), trace.WaitUnknown)
		b.holdEnd(int32(i), trace.DropUnknown, true)
		b.setState(int32(i), NoState)
	}
	for i := range tl.GILs {
		g := &tl.GILs[i]
		last := &g.Lane[len(g.Lane)-1]
		last.End, last.endSample, last.Open = tl.End, int32(len(g.Samples)), true
	}
	slices.SortFunc(tl.GILs, func(x, y GIL) int {
		return cmp.Or(cmp.Compare(x.PID, y.PID), cmp.Compare(x.Interpreter, y.Interpreter))
	})
}
