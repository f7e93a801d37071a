package analyze

import (
	"cmp"
	"slices"

	"gilscope/internal/trace"
)

// A replay is what the threads of a process did, as steps without a time: what they
// computed, for how long they slept for something outside, and what of other threads they
// waited for. Waits for the GIL and for CPUs are left out: they are what is to be found anew.

// act is what a step is.
type act uint8

const (
	actRun   act = iota // computes for NS
	actPause            // sleeps for NS: a timer, a file, another process
	actAwait            // waits until a signal was raised
	actRaise            // raises a signal: gives a lock back, starts a thread
)

type replayStep struct {
	ns     int64 // of run and pause
	signal int32 // of await and raise
	act    act
	lock   bool // of await: for a lock that a thread holds
}

// actor is one thread of a replay.
type actor struct {
	steps   []replayStep
	worked  int64 // ns on a CPU, or waiting for one or for the GIL
	counts  bool  // its end is the program's; otherwise it paces itself, or waits for others
	firstAt trace.Time
	lastAt  trace.Time // recorded begin of its first and end of its last run; 0: none
}

// replay is the threads of one process.
type replay struct {
	tl      *Timeline
	pid     int32
	actors  []actor
	of      map[int32]int // by thread: its actor
	signals int32
	raises  map[int32][]raised   // by thread, in order of time
	awaits  map[int32][]awaiting // the same: waits that are known
	begins  map[int32]int32      // by thread: the signal that starts it
}

// raised is a signal that a thread raised.
type raised struct {
	at     trace.Time
	signal int32
}

// awaiting is a stretch in which a thread waits for the GIL or for a signal.
type awaiting struct {
	from, to trace.Time
	signal   int32 // negative: for the GIL
	lock     bool
}

const forGIL int32 = -1

// worksShare is the part of its time in which a thread must compute, or want to, so
// that its end counts for the end of the program: others pace themselves.
const worksShare = 0.05

// replayOf makes the replay of a process.
func (tl *Timeline) replayOf(pid int32, known knownWaits) *replay {
	r := &replay{tl: tl, pid: pid, of: map[int32]int{}, raises: map[int32][]raised{}, awaits: map[int32][]awaiting{}, begins: map[int32]int32{}}
	for th, waits := range known.gil {
		if tl.Threads[th].PID == pid {
			for _, w := range waits {
				r.awaits[int32(th)] = append(r.awaits[int32(th)], awaiting{w.from, w.to, forGIL, false})
			}
		}
	}
	for _, e := range known.others {
		if tl.Threads[e.waiter].PID == pid {
			r.raises[e.by] = append(r.raises[e.by], raised{e.at, r.signals})
			r.awaits[e.waiter] = append(r.awaits[e.waiter], awaiting{e.from, e.to, r.signals, e.lock})
			r.signals++
		}
	}
	r.starts()
	for th := range tl.Threads {
		if tl.Threads[th].PID == pid && len(tl.Threads[th].States) > 0 {
			r.add(int32(th))
		}
	}
	return r
}

// maxStarts bounds the threads of which it is asked who started them.
const maxStarts = 1 << 12

// starts finds who started the threads: who ran then. Of several, who held the GIL.
func (r *replay) starts() {
	n := 0
	for th := range r.tl.Threads {
		t := &r.tl.Threads[th]
		if t.PID != r.pid || !t.Started {
			continue
		}
		if n++; n > maxStarts {
			return
		}
		if by := r.runsAt(t.Start); by != none && by != int32(th) {
			r.begins[int32(th)] = r.signals
			r.raises[by] = append(r.raises[by], raised{t.Start, r.signals})
			r.signals++
		}
	}
}

// runsAt is who ran at a moment; none if that is not known of one thread.
func (r *replay) runsAt(at trace.Time) int32 {
	running := none
	for i := range r.tl.Threads {
		t := &r.tl.Threads[i]
		if t.PID != r.pid || t.stateAt(at) != Running {
			continue
		}
		for g := range r.tl.GILs {
			if gil := &r.tl.GILs[g]; gil.PID == r.pid && gil.holderAt(at) == int32(i) {
				return int32(i)
			}
		}
		if running != none {
			return none
		}
		running = int32(i)
	}
	return running
}

// stateAt is what a thread did at a moment.
func (t *Thread) stateAt(at trace.Time) State {
	i, _ := slices.BinarySearchFunc(t.States, at, func(s StateSpan, at trace.Time) int { return cmp.Compare(s.End, at) })
	if i < len(t.States) && t.States[i].Start <= at {
		return t.States[i].State
	}
	return NoState
}

// holderAt is the thread that held the GIL at a moment.
func (g *GIL) holderAt(at trace.Time) int32 {
	i, _ := slices.BinarySearchFunc(g.Lane, at, func(s Stretch, at trace.Time) int { return cmp.Compare(s.End, at) })
	if i < len(g.Lane) {
		return g.Lane[i].Thread
	}
	return none
}

// add makes the actor of a thread.
func (r *replay) add(th int32) {
	t := &r.tl.Threads[th]
	slices.SortFunc(r.raises[th], func(x, y raised) int { return cmp.Compare(x.at, y.at) })
	slices.SortFunc(r.awaits[th], func(x, y awaiting) int { return cmp.Compare(x.from, y.from) })
	b := actorBuilder{raises: r.raises[th], awaits: r.awaits[th], from: t.Start}
	if signal, ok := r.begins[th]; ok {
		b.step(replayStep{act: actAwait, signal: signal})
		b.from = t.States[0].Start
	} else {
		b.pause(int64(t.Start - r.tl.Start))
	}
	for _, s := range t.States {
		b.pieces(b.from, s.Start, NoState)
		b.pieces(s.Start, s.End, s.State)
		b.from = s.End
	}
	b.raise(t.End)
	b.cutEnd()
	b.counts = float64(b.worked) >= worksShare*float64(r.tl.NS())
	r.of[th] = len(r.actors)
	r.actors = append(r.actors, b.actor)
}

// actorBuilder makes the steps of a thread in order of time.
type actorBuilder struct {
	actor
	raises  []raised
	awaits  []awaiting
	awaited int32 // signal of the last await, plus 1
	from    trace.Time
}

// pieces cuts a stretch of one state by the waits that it lies in.
func (b *actorBuilder) pieces(from, to trace.Time, state State) {
	for from < to {
		for len(b.awaits) > 0 && b.awaits[0].to <= from {
			b.awaits = b.awaits[1:]
		}
		if len(b.awaits) == 0 || b.awaits[0].from >= to {
			b.piece(from, to, state, nil)
			return
		}
		w := &b.awaits[0]
		if from < w.from {
			b.piece(from, w.from, state, nil)
		}
		end := min(w.to, to)
		b.piece(max(from, w.from), end, state, w)
		from = end
	}
}

// piece adds one piece. What a thread runs within a wait for the GIL is looking whether it has it.
func (b *actorBuilder) piece(from, to trace.Time, state State, w *awaiting) {
	ns := int64(to - from)
	gil := w != nil && w.signal == forGIL
	if state == Running || state == Runnable || gil {
		b.worked += ns
	}
	switch {
	case gil || state == Runnable:
	case state == Running:
		b.run(from, to)
	case w == nil:
		b.pause(ns)
	case b.awaited != w.signal+1:
		b.awaited = w.signal + 1
		b.raise(from)
		b.step(replayStep{act: actAwait, signal: w.signal, lock: w.lock})
	}
}

// run adds computing, cut where the thread raises signals.
func (b *actorBuilder) run(from, to trace.Time) {
	if b.lastAt == 0 {
		b.firstAt = from
	}
	b.lastAt = to
	for len(b.raises) > 0 && b.raises[0].at <= to {
		at := max(b.raises[0].at, from)
		b.compute(int64(at - from))
		b.step(replayStep{act: actRaise, signal: b.raises[0].signal})
		from, b.raises = at, b.raises[1:]
	}
	b.compute(int64(to - from))
}

// raise adds what was raised up to a moment at which the thread was not seen to run.
func (b *actorBuilder) raise(upTo trace.Time) {
	for len(b.raises) > 0 && b.raises[0].at <= upTo {
		b.step(replayStep{act: actRaise, signal: b.raises[0].signal})
		b.raises = b.raises[1:]
	}
}

func (b *actorBuilder) compute(ns int64) {
	if n := len(b.steps); n > 0 && b.steps[n-1].act == actRun {
		b.steps[n-1].ns += ns
	} else if ns > 0 {
		b.step(replayStep{act: actRun, ns: ns})
	}
}

func (b *actorBuilder) pause(ns int64) {
	if ns > 0 {
		b.step(replayStep{act: actPause, ns: ns})
	}
}

func (b *actorBuilder) step(s replayStep) { b.steps = append(b.steps, s) }

// cutEnd takes off what a thread waited for when it was last seen: it had no more to do.
func (b *actorBuilder) cutEnd() {
	n := len(b.steps)
	for n > 0 && (b.steps[n-1].act == actPause || b.steps[n-1].act == actAwait) {
		n--
	}
	b.steps = b.steps[:n]
}
