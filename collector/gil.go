package collector

import "gilscope/internal/trace"

// Futex words of the GIL by offset (glibc x86-64: cond 32, mutex 80,
// switch_cond 120, switch_mutex 168 in struct _gil_runtime_state).
const (
	wordCondLock = 64 // who comes out of a wait slice or signals wants this lock of the condition variable
	wordCondLo   = 72 // a wait slice sleeps here; a drop wakes
	wordCondHi   = 76
	wordMutex    = 80
	wordSwitchLo = 160 // a dropper sleeps here; a take wakes
	wordSwitchHi = 164
)

// Limits of the rules; measured, see docs/design/gil.md.
const (
	// A thread that sleeps again after so little time on CPU took nothing in between.
	goesOnAfter = 50_000
	// A take signals the dropper right after it: within this time of the
	// switch-in, that signal is the better end of the wait.
	signalsWithin = 200_000
)

// gil follows one GIL: who waits for it, and who holds it. Times are those of
// the records; events may be emitted late, never wrong.
type gil struct {
	proc     *process
	number   uint16 // the id of its interpreter; 0: the main one
	interval trace.Time
	full     bool       // takes and drops are seen
	partly   bool       // but not all the time
	from     trace.Time // since when they are
	words    bool       // futex words tell what a thread sleeps on (glibc)
	lane     lane
	emit     func(trace.Event)
	held     *thread     // detail full: who has it, as far as takes and drops were seen
	pending  trace.Event // detail full: a hold's end that waits for the next taker; NoKind: none
	totals   totals
	waiters  waiterCount
	busy     busyShare
}

// newGIL makes a GIL whose events go to emit.
func newGIL(p *process, number uint16, interval trace.Time, full, words bool, emit func(trace.Event)) *gil {
	g := &gil{proc: p, number: number, interval: interval, full: full, words: words}
	g.emit = func(e trace.Event) {
		e.GIL = number
		emit(e)
	}
	g.lane.step = func(at trace.Time, holder int32) {
		g.emit(trace.Event{Time: at, Kind: trace.GILHolder, TID: holder})
	}
	g.waiters.emit = func(at trace.Time, n int64) {
		g.emit(trace.Event{Time: at, Kind: trace.GILWaiters, Arg: n})
	}
	g.busy.emit = func(at trace.Time, percent int64) {
		g.emit(trace.Event{Time: at, Kind: trace.GILBusy, Arg: percent})
	}
	return g
}

// flush emits the counters up to a moment before which nothing changes.
func (g *gil) flush(until trace.Time) {
	g.waiters.flush(until)
	if g.full {
		g.busy.flush(until)
	}
}

// concerns notes that a thread now has to do with this GIL. With one GIL at a
// time: whatever it waited for before, it has by now.
func (g *gil) concerns(t *thread) {
	if w := &t.wait; w.open && w.of != g {
		w.of.waitEnds(t, w.end, trace.WaitTaken)
	}
}

// totals is what the interpreter itself counts, to hold ours against.
type totals struct {
	first, last    sample // the first and last time the GIL's fields were seen (detail full: at a take)
	taker          uint64 // thread state of the last take
	takes, changes int64  // takes, and those by another thread state than the one before
}

// seen notes the GIL's fields at one more moment.
func (n *totals) seen(s sample) {
	if n.first.time == 0 {
		n.first = s
	}
	n.last = s
}

// switches is by how much the interpreter's switch number rose.
func (n *totals) switches() int64 { return int64(n.last.switches - n.first.switches) }

// sampled takes in the GIL's fields, seen by any thread at any moment: they move
// the holder lane, and a thread that holds the GIL does not wait any more.
func (g *gil) sampled(s sample) {
	holder := g.proc.thread(s.holder)
	if holder != nil && holder.wait.open && holder.wait.of == g && !holder.wait.blocked {
		w := &holder.wait
		if s.locked || s.holder != w.last || s.switches != w.switches {
			g.waitEnds(holder, w.end, trace.WaitTaken)
		}
	}
	if !g.full {
		g.totals.seen(s)
		g.lane.sampled(s, holder)
	} else if !g.lane.known {
		g.lane.start(s)
	}
}

// block is a switch-out of a thread that went to sleep.
type block struct {
	sample
	waiting     bool // in FUTEX_WAIT on word
	word        uint16
	stack       trace.StackID // the thread's own, if it was walked
	holderStack trace.StackID // the holder's
}

// sleeps handles a thread that left the CPU asleep.
func (g *gil) sleeps(t *thread, b block) {
	s := b.sample
	mine := s.locked && s.holder == t.tid
	taking := b.takes(t) && !mine || (t.slice && !g.words)
	t.slice = false
	if !taking && b.waiting && b.word >= wordSwitchLo {
		g.sleepsInDrop(t, b)
		return
	}
	if !taking {
		if t.wait.guess {
			t.wait = wait{}
		} else if t.wait.open {
			g.waitEnds(t, t.wait.end, trace.WaitTaken)
		}
		if mine && b.holderStack != 0 {
			g.emit(trace.Event{Time: s.time, Kind: trace.GILHolderSeen, TID: t.tid, Other: t.tid, Arg: int64(trace.SeenBlock), Stack: b.holderStack})
		}
		return
	}
	again := t.wait.open
	if again && !g.goesOn(t, s) {
		g.waitEnds(t, t.wait.end, trace.WaitTaken)
		again = false
	}
	if !again {
		t.wait = wait{open: true, of: g, begin: s.time}
	}
	g.blocks(t, b)
}

// takes says that the thread sleeps on its way to the GIL. The lock of the
// condition variable is also wanted by who dropped the GIL and signals that.
func (b *block) takes(t *thread) bool {
	if !b.waiting {
		return false
	}
	return b.word >= wordCondLo && b.word <= wordMutex || b.word == wordCondLock && b.holder != t.tid
}

// sleepsInDrop handles a thread that sleeps in its drop until another thread has
// taken the GIL. If it was asked to drop it waits to have the GIL again.
func (g *gil) sleepsInDrop(t *thread, b block) {
	g.preempted(t, b)
	if t.wait.guess {
		t.wait.slept, t.wait.blocked, t.wait.sleep = true, true, b.time
	}
}

// preempted handles a thread that left the CPU though it wants it. On its way
// into the sleep of a wait, its wait has begun; so it has after a drop that it
// was asked for, for then it wants the GIL back at once. That this was so shows
// when it sleeps on the GIL next; until then the wait is a guess.
func (g *gil) preempted(t *thread, b block) {
	if t.wait.open || b.locked && b.holder == t.tid {
		return
	}
	if b.takes(t) || t.asked {
		t.wait = wait{open: true, of: g, guess: true, begin: b.time, end: b.time, sleep: b.time}
	}
}

// goesOn says whether a thread that sleeps on the GIL again does so within the
// same wait: it was hardly on CPU, or the GIL shows that it took nothing.
func (g *gil) goesOn(t *thread, s sample) bool {
	w := &t.wait
	if w.onCPU <= goesOnAfter || !w.told && !w.guess {
		return true
	}
	if !w.told {
		return false
	}
	return s.switches == w.switches && s.locked && !w.mine
}

// blocks notes one sleep of a wait, and what it tells of the sleep before.
func (g *gil) blocks(t *thread, b block) {
	w, s := &t.wait, b.sample
	expired := w.expired != 0 && s.locked && s.switches == w.switches
	if !w.told {
		w.stack, w.holder = b.stack, s.heldBy()
		g.tellWait(t)
	}
	switch {
	case expired:
		g.asks(t, s.holder, w.expired, b.holderStack)
	case b.holderStack != 0 && s.locked:
		g.emit(trace.Event{Time: s.time, Kind: trace.GILHolderSeen, TID: t.tid, Other: s.holder, Stack: b.holderStack})
	}
	w.blocked, w.sleep, w.expired = true, s.time, 0
	w.slice = b.word == wordCondLo || b.word == wordCondHi || b.word == 0
	w.mine = w.mine || s.holder == t.tid
	w.locked, w.last, w.switches = s.locked, s.holder, s.switches
}

// asks notes that a thread's switch interval expired: it asks the holder to drop.
func (g *gil) asks(t *thread, holder int32, at trace.Time, holderStack trace.StackID) {
	g.emit(trace.Event{Time: at, Kind: trace.GILDropRequest, TID: t.tid, Other: holder, Stack: holderStack})
}

func (s sample) heldBy() int32 {
	if s.locked {
		return s.holder
	}
	return 0
}
