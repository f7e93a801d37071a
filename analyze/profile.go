package analyze

import (
	"cmp"
	"slices"

	"gilscope/internal/trace"
)

// StackWeight is a stack of one thread with the time and the number of things
// charged to it.
type StackWeight struct {
	Thread int32 // index in Timeline.Threads
	Stack  trace.StackID
	Site   SiteID // of the leaf; has the native function even where the stack does not
	Count  int64  // waits, holds or samples with a part in it
	NS     int64
	last   int // the wait, hold or sample counted last
}

type stackKey struct {
	thread int32
	stack  trace.StackID
	site   SiteID
}

type weights map[stackKey]*StackWeight

// add charges a part of thing number n, which counts once however many parts it has.
func (ws weights) add(k stackKey, n int, ns int64) {
	w := ws[k]
	if w == nil {
		w = &StackWeight{Thread: k.thread, Stack: k.stack, Site: k.site, last: -1}
		ws[k] = w
	}
	if w.last != n {
		w.last = n
		w.Count++
	}
	w.NS += ns
}

func (ws weights) sorted() []StackWeight {
	out := make([]StackWeight, 0, len(ws))
	for _, w := range ws {
		out = append(out, *w)
	}
	slices.SortFunc(out, func(x, y StackWeight) int {
		return cmp.Or(cmp.Compare(y.NS, x.NS), cmp.Compare(y.Count, x.Count), cmp.Compare(x.Thread, y.Thread),
			cmp.Compare(x.Stack, y.Stack), cmp.Compare(x.Site, y.Site))
	})
	return out
}

// WaitStacks is the waited time by the waiter's stack.
func (tl *Timeline) WaitStacks() []StackWeight {
	ws := weights{}
	n := 0
	for i := range tl.GILs {
		for _, w := range tl.GILs[i].Waits {
			n++
			ws.add(stackKey{w.Thread, w.Stack, tl.SiteOf(w.Stack)}, n, w.NS())
		}
	}
	return ws.sorted()
}

// BlameStacks is the waited time by the stack of the holder that caused it.
// Time without a known holder is in no stack.
func (tl *Timeline) BlameStacks() []StackWeight {
	ws := weights{}
	n := 0
	for i := range tl.GILs {
		g := &tl.GILs[i]
		for _, w := range g.Waits {
			n++
			for p := range g.Pieces(w.Start, w.End, tl.Threads[w.Thread].TID) {
				g.addPiece(ws, p, n)
			}
		}
	}
	return ws.sorted()
}

// HoldStacks is the time the GIL was held by the holder's stack. It is true for
// processes recorded at detail full; the others are left out.
func (tl *Timeline) HoldStacks() []StackWeight {
	ws := weights{}
	for i := range tl.GILs {
		g := &tl.GILs[i]
		if !tl.Full(g.PID) {
			continue
		}
		for p := range g.Pieces(tl.Start, tl.End, 0) {
			g.addPiece(ws, p, int(p.Stretch))
		}
	}
	return ws.sorted()
}

func (g *GIL) addPiece(ws weights, p Piece, n int) {
	if p.Holder <= 0 || g.Lane[p.Stretch].Thread == none {
		return
	}
	k := stackKey{thread: g.Lane[p.Stretch].Thread}
	if p.Sample >= 0 {
		k.stack, k.site = g.Samples[p.Sample].Stack, g.Samples[p.Sample].Site
	}
	ws.add(k, n, p.NS())
}

// CPUStacks is the CPU samples by stack. The time of one sample is known if the
// recording says how often it sampled; otherwise NS is 0.
func (tl *Timeline) CPUStacks() []StackWeight {
	var period int64
	if n, ok := lastNote(tl.Trace, trace.NoteRecording, 0); ok {
		if hz, ok := number(n, "sample_hz"); ok && hz > 0 {
			period = 1e9 / hz
		}
	}
	ws := weights{}
	for i := range tl.Trace.Events {
		e := &tl.Trace.Events[i]
		if e.Kind != trace.CPUSample || int(e.Stack) >= len(tl.Trace.Stacks) {
			continue
		}
		if thread, ok := tl.threadAt(e.PID, e.TID, e.Time); ok {
			ws.add(stackKey{thread, e.Stack, tl.SiteOf(e.Stack)}, i, period)
		}
	}
	return ws.sorted()
}
