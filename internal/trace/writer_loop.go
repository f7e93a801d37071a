package trace

import "strconv"

// loopTracks are the lane and the counters of one event loop; its thread's number
// follows their names.
type loopTracks [TrackLoopLag - TrackLoop + 1]track

// loopTrack is a track of a thread's loop, its descriptor written.
func (w *Writer) loopTrack(t *thread, what Track) uint64 {
	p := t.proc
	if p.loops.uuid == 0 {
		p.loops = w.newTrack(trackLoops, p.own.uuid)
	}
	if t.loop == nil {
		t.loop = new(loopTracks)
		for i := range t.loop {
			t.loop[i] = w.newTrack(TrackLoop+Track(i), p.loops.uuid)
			t.loop[i].tid = t.tid
		}
	}
	tr := &t.loop[what-TrackLoop]
	if tr.gen != w.in.gen {
		w.useProcess(p)
		w.processTrack(p)
		w.needTrack(&p.loops)
		w.needTrack(tr)
	}
	return tr.uuid
}

// loopCounter writes a value of a counter of a loop.
func (w *Writer) loopCounter(e *Event) {
	w.counterValue(e, w.loopTrack(w.thread(e.PID, e.TID), Specs[e.Kind].Track))
}

// loopBlock writes the begin or the end of a block, or an instant with tasks. The slice is
// named by its cause, or the number of tasks, and by the line that is to be looked at, of
// which it has the source location.
func (w *Writer) loopBlock(e *Event) {
	s := &wire.specs[e.Kind]
	th := w.thread(e.PID, e.TID)
	th.lives(e.Kind)
	uuid := w.loopTrack(th, TrackLoop)
	begins := e.Kind != LoopBlockEnd
	var name uint64
	var site FrameID
	if begins {
		site = w.blockSite(e)
		name = w.in.needSliceName(w.in.name(w.blockName(e, site)))
		if site != 0 {
			w.in.needStack(e.Stack)
			w.in.needLocation(site)
		}
	}
	w.writePending()

	at := w.beginAt(e.Time)
	b, event := open(w.buf, fPacketTrackEvent)
	switch e.Kind {
	case LoopBlockEnd:
		b = appendUint(b, fEventType, typeEnd)
	case LoopTasks:
		b = appendUint(b, fEventType, typeInstant)
	default:
		b = appendUint(b, fEventType, typeBegin)
	}
	if begins {
		b = appendUint(b, fEventNameIID, name)
	}
	b = appendUint(b, fEventCategoryIID, s.category)
	b = appendUint(b, fEventTrack, uuid)
	b = appendEnum(b, s, e.Arg)
	if e.Other != 0 {
		b = appendAnnotation(b, annSite, fAnnotationInt, uint64(e.Other))
	}
	if site != 0 {
		b = appendUint(b, fEventLocationIID, uint64(site))
		b = w.appendCallstack(b, e.Stack)
	}
	w.buf = seal(b, event)
	w.end(at)
}

// blockSite is the frame of the block's stack that it is named by; 0: none.
func (w *Writer) blockSite(e *Event) FrameID {
	if e.Stack == 0 || int(e.Stack) >= len(w.in.stacks) {
		return 0
	}
	s := w.in.stacks[e.Stack]
	frames := w.in.frameRefs[s.start:s.end]
	if e.Other < 0 || int(e.Other) >= len(frames) {
		return frames[0]
	}
	return frames[e.Other]
}

func (w *Writer) blockName(e *Event, site FrameID) string {
	cause := Specs[e.Kind].field(FieldArg).valueName(e.Arg)
	if e.Kind == LoopTasks {
		cause = strconv.FormatInt(e.Arg, 10) + " " + Specs[e.Kind].Slice + " at"
	}
	if cause == "" {
		cause = strconv.FormatInt(e.Arg, 10)
	}
	if site == 0 {
		return cause
	}
	f := w.in.frames[site].frame
	return cause + " " + functionText(f, w.in.strings[f.Function].text, w.in.strings[f.File].text)
}

// loopEvent keeps the begin or the end of a block, or tasks.
func (d *decoder) loopEvent(e *Event, r *rawEvent) {
	switch r.typ {
	case typeBegin:
		e.Kind = LoopBlockBegin
	case typeEnd:
		e.Kind = LoopBlockEnd
	case typeInstant:
		e.Kind = LoopTasks
	default:
		return
	}
	if e.Kind != LoopBlockEnd {
		e.Other = r.other
		if r.stack < uint64(len(d.t.Stacks)) {
			e.Stack = StackID(r.stack)
		}
	}
	d.arg(e, r)
	*d.events.slot() = *e
}
