package analyze

import (
	"iter"
	"sort"

	"gilscope/internal/trace"
)

func (b *builder) waitBegin(e *trace.Event) {
	i := b.thread(e.TID, e.PID)
	if i == none {
		return
	}
	b.waitEnd(i, trace.WaitUnknown)
	g := b.gil(e)
	gil, run := &b.tl.GILs[g], &b.gils[g]
	b.run[i].wait, b.run[i].waitGIL = int32(len(gil.Waits)), g
	gil.Waits = append(gil.Waits, Wait{Start: b.now, Stack: e.Stack, Thread: i})
	if run.waiting == 0 {
		run.since = b.now
	}
	run.waiting++
}

func (b *builder) waitEnd(i int32, outcome trace.WaitOutcome) {
	r := &b.run[i]
	if r.wait == none {
		return
	}
	gil, run := &b.tl.GILs[r.waitGIL], &b.gils[r.waitGIL]
	gil.Waits[r.wait].End, gil.Waits[r.wait].Outcome = b.now, outcome
	r.wait = none
	run.waiting--
	if run.waiting == 0 {
		gil.ContendedNS += int64(b.now - run.since)
	}
}

func (b *builder) holdBegin(e *trace.Event) {
	i := b.thread(e.TID, e.PID)
	if i == none {
		return
	}
	b.holdEnd(i, trace.DropUnknown, false)
	g := b.gil(e)
	gil := &b.tl.GILs[g]
	b.run[i].hold, b.run[i].holdGIL = int32(len(gil.Holds)), g
	gil.Holds = append(gil.Holds, Hold{Start: b.now, Stack: e.Stack, Thread: i})
	b.holder(g, e.TID, e.PID)
}

func (b *builder) holdEnd(i int32, reason trace.DropReason, open bool) {
	r := &b.run[i]
	if r.hold == none {
		return
	}
	h := &b.tl.GILs[r.holdGIL].Holds[r.hold]
	h.End, h.Reason, h.Open = b.now, reason, open
	r.hold = none
	// The lane may know better already (the next holder took it): then it stays.
	if r.laneGIL == r.holdGIL && !open {
		b.holder(r.holdGIL, Nobody, 0)
	}
}

// holder moves the lane of GIL g to tid from now on.
func (b *builder) holder(g, tid, pid int32) {
	gil := &b.tl.GILs[g]
	last := &gil.Lane[len(gil.Lane)-1]
	if last.TID == tid {
		return
	}
	// A thread of several interpreters may stand in a second lane by now.
	if last.Thread != none && b.run[last.Thread].laneGIL == g {
		b.run[last.Thread].laneGIL = none
	}
	thread := none
	if tid > 0 {
		if thread = b.claimed(tid, pid); thread != none {
			b.run[thread].laneGIL = g
		}
	}
	samples := int32(len(gil.Samples))
	next := Stretch{Start: b.now, Asked: noTime, TID: max(tid, Unknown), Thread: thread, firstSample: samples}
	last.End, last.endSample = b.now, samples
	if last.Start == b.now && len(gil.Lane) > 1 {
		*last = next // nothing can be charged to a stretch without length
		return
	}
	gil.Lane = append(gil.Lane, next)
}

func (b *builder) dropRequest(e *trace.Event) {
	g := b.gil(e)
	gil := &b.tl.GILs[g]
	gil.Requests++
	cur := &gil.Lane[len(gil.Lane)-1]
	if e.Other != 0 && cur.TID > 0 && cur.TID != e.Other {
		return // asked somebody whom the lane does not show: no claim about this holder
	}
	if cur.TID != Nobody && cur.Asked == noTime {
		cur.Asked = b.now
	}
	if cur.TID == e.Other {
		b.sample(g, e.Stack)
	}
}

// holderSeen takes a look at the holder. What it did when it dropped the GIL
// stands for the hold only if there was no look at it before.
func (b *builder) holderSeen(e *trace.Event) {
	g := b.gil(e)
	gil := &b.tl.GILs[g]
	cur := &gil.Lane[len(gil.Lane)-1]
	if e.Other <= 0 || cur.TID != e.Other {
		return
	}
	if trace.SeenAt(e.Arg) == trace.SeenDrop && len(gil.Samples) > int(cur.firstSample) {
		return
	}
	b.sample(g, e.Stack)
}

// sample keeps a stack of the thread that the lane of GIL g names now.
func (b *builder) sample(g int32, stack trace.StackID) {
	if stack == 0 || int(stack) >= len(b.tl.Trace.Stacks) {
		return
	}
	b.tl.GILs[g].Samples = append(b.tl.GILs[g].Samples, Sample{Time: b.now, Stack: stack})
}

// Piece is a part of a wait (or of any interval) that one holder and one of its
// stack samples answer for.
type Piece struct {
	Start, End trace.Time
	Holder     int32 // a tid, Nobody, or Unknown
	Stretch    int32 // index in GIL.Lane
	Sample     int32 // index in GIL.Samples; negative: no stack of this hold is known
	Asked      bool  // the holder had been asked to drop
}

// NS is the length of the piece.
func (p Piece) NS() int64 { return int64(p.End - p.Start) }

// Pieces cuts [from, to) by holder, by the sample of that holder inside the same
// stretch that answers (see until), and at the drop request. The pieces are in order and cover the
// interval exactly, which is why blame sums to the wait. waiter is the thread
// whose wait this is, 0 if it is none.
func (g *GIL) Pieces(from, to trace.Time, waiter int32) iter.Seq[Piece] {
	return func(yield func(Piece) bool) {
		i := sort.Search(len(g.Lane), func(i int) bool { return g.Lane[i].End > from })
		for ; i < len(g.Lane) && from < to; i++ {
			stop := min(g.Lane[i].End, to)
			if !g.cut(i, from, stop, g.chargedTo(i, to, waiter), yield) {
				return
			}
			from = stop
		}
		if from < to {
			yield(Piece{Start: from, End: to, Holder: Unknown, Stretch: none, Sample: none})
		}
	}
}

// chargedTo is who answers for a stretch. A lane that names the waiter itself at
// the end of its wait is the handoff: it was chosen, but does not run yet.
// Anywhere else that is a contradiction, and nobody may be blamed by it.
func (g *GIL) chargedTo(i int, to trace.Time, waiter int32) int32 {
	s := &g.Lane[i]
	switch {
	case s.TID <= 0 || s.TID != waiter:
		return s.TID
	case s.End >= to:
		return Nobody
	}
	return Unknown
}

// cut yields the pieces of [from, stop), which lies inside stretch i.
func (g *GIL) cut(i int, from, stop trace.Time, holder int32, yield func(Piece) bool) bool {
	s := &g.Lane[i]
	sample := none
	if holder > 0 && s.firstSample < s.endSample {
		n := int(s.endSample - s.firstSample - 1)
		sample = s.firstSample + int32(sort.Search(n, func(k int) bool { return g.until(s.firstSample+int32(k)) > from }))
	}
	for from < stop {
		p := Piece{Start: from, End: stop, Holder: holder, Stretch: int32(i), Sample: sample}
		if s.Asked != noTime && holder != Nobody {
			if p.Asked = from >= s.Asked; !p.Asked {
				p.End = min(p.End, s.Asked)
			}
		}
		if sample != none && sample+1 < s.endSample {
			p.End = min(p.End, g.until(sample))
		}
		if !yield(p) {
			return false
		}
		from = p.End
		for sample != none && sample+1 < s.endSample && g.until(sample) <= from {
			sample++
		}
	}
	return true
}

// until is where sample k ceases to answer and the next one takes over: at its
// own moment. A sample answers for the time before it, and the last one of a
// hold also for the rest. Waits begin, and are sampled first, when somebody has
// just taken the GIL: to charge what follows to that line, where the holder only
// passed by, would blame whatever it does first.
func (g *GIL) until(k int32) trace.Time { return g.Samples[k].Time }
