package trace

// trackEvent writes a begin, an end or an instant on a thread's track.
func (w *Writer) trackEvent(e *Event) {
	s := &wire.specs[e.Kind]
	th := w.thread(e.PID, e.TID)
	th.lives(e.Kind)
	var uuid uint64
	if Specs[e.Kind].Track == TrackThread {
		uuid = w.threadTrack(th)
	} else {
		uuid = w.childTrack(th, Specs[e.Kind].Track, e.GIL)
	}
	if s.stack {
		w.needSite(e.Stack)
	}
	var holder uint64
	if s.otherIID != 0 && e.Other != 0 {
		holder = w.in.needText(w.peer(e.PID, e.Other).nameID)
	}
	w.writePending()

	at := w.beginAt(e.Time)
	b, event := open(w.buf, fPacketTrackEvent)
	b = append(b, s.prefix...)
	b = appendUint(b, fEventTrack, uuid)
	if holder != 0 {
		b = appendAnnotation(b, s.otherIID, fAnnotationTextIID, holder)
		b = appendAnnotation(b, s.otherIID+1, fAnnotationInt, uint64(e.Other))
	}
	if s.numberIID != 0 && e.Other != 0 {
		b = appendAnnotation(b, s.numberIID, fAnnotationInt, uint64(e.Other))
	}
	b = appendEnum(b, s, e.Arg)
	if s.lockIID != 0 && int(e.Lock) < len(lockKindNames) {
		b = appendAnnotation(b, annLock, fAnnotationTextIID, s.lockIID+uint64(e.Lock))
	}
	if s.stack {
		b = w.appendStack(b, e.Stack)
	}
	if s.flowField != 0 && e.Flow != 0 {
		b = appendFixed64(b, s.flowField, e.Flow)
	}
	w.buf = seal(b, event)
	w.end(at)
}

// appendEnum appends the annotation of FieldArg, if the kind has one.
func appendEnum(b []byte, s *wireSpec, v int64) []byte {
	switch {
	case s.argIID == 0:
		return b
	case uint64(v) < s.enums:
		return appendAnnotation(b, s.argIID, fAnnotationTextIID, s.enumIID+uint64(v))
	}
	return appendAnnotation(b, s.argIID, fAnnotationInt, uint64(v)) // a value that has no name
}

// needSite sees to it that a stack of a slice or instant can be referred to.
func (w *Writer) needSite(id StackID) {
	if id == 0 || int(id) >= len(w.in.stacks) {
		return
	}
	w.in.needStack(id)
	w.in.needLocation(w.in.stacks[id].site)
}

// appendStack appends the source location and the callstack of an event.
func (w *Writer) appendStack(b []byte, id StackID) []byte {
	if id == 0 || int(id) >= len(w.in.stacks) {
		return b
	}
	return w.appendCallstack(appendUint(b, fEventLocationIID, uint64(w.in.stacks[id].site)), id)
}

// appendCallstack appends the callstack of an event.
func (w *Writer) appendCallstack(b []byte, id StackID) []byte {
	if w.o.NoCallstacks {
		return appendAnnotation(b, annStack, fAnnotationInt, uint64(id))
	}
	return appendUint(b, fEventCallstack, uint64(id))
}

// appendAnnotation appends a debug annotation with an interned name.
func appendAnnotation(b []byte, name, field, v uint64) []byte {
	b, at := open(b, fEventAnnotation)
	b = appendUint(b, fAnnotationNameIID, name)
	b = appendUint(b, field, v)
	return seal(b, at)
}

// counter writes a value of a counter of a GIL's group.
func (w *Writer) counter(e *Event) {
	g := w.gilGroup(e.PID, e.GIL)
	uuid := g.waiters.uuid
	if e.Kind == GILBusy {
		uuid = g.busy.uuid
	}
	w.counterValue(e, uuid)
}

func (w *Writer) counterValue(e *Event, uuid uint64) {
	at := w.beginAt(e.Time)
	b, event := open(w.buf, fPacketTrackEvent)
	b = appendUint(b, fEventType, typeCounter)
	b = appendUint(b, fEventTrack, uuid)
	b = appendUint(b, fEventCounter, uint64(e.Arg))
	w.buf = seal(b, event)
	w.end(at)
}

// laneStep writes a change of holder: the end of the slice that is open and
// the begin of the next. Read takes the two for one event: an end without a
// category belongs to the begin after it, one with a category says that
// nobody holds the GIL. If that is said while no slice is open it becomes an
// instant, since Perfetto counts an end without a begin as lost data.
func (w *Writer) laneStep(e *Event) {
	s := &wire.specs[e.Kind]
	g := w.gilGroup(e.PID, e.GIL)
	var name uint64
	if e.TID != 0 {
		name = w.in.needSliceName(w.thread(e.PID, e.TID).nameID)
		w.writePending()
	}
	if g.held {
		category := s.category
		if e.TID != 0 {
			category = 0
		}
		w.laneEvent(e, g, typeEnd, 0, category)
	}
	switch {
	case e.TID != 0:
		w.laneEvent(e, g, typeBegin, name, s.category)
	case !g.held:
		w.laneEvent(e, g, typeInstant, s.nameID, s.category)
	}
	g.held = e.TID != 0
}

func (w *Writer) laneEvent(e *Event, g *gilTracks, typ, name, category uint64) {
	at := w.beginAt(e.Time)
	b, event := open(w.buf, fPacketTrackEvent)
	b = appendUint(b, fEventType, typ)
	b = appendUint(b, fEventTrack, g.holder.uuid)
	if name != 0 {
		b = appendUint(b, fEventNameIID, name)
	}
	if category != 0 {
		b = appendUint(b, fEventCategoryIID, category)
	}
	if typ == typeBegin {
		b = appendUint(b, fEventCorrelation, uint64(e.TID)) // colour, one per thread
		b = appendAnnotation(b, annHolderTID, fAnnotationInt, uint64(e.TID))
	}
	w.buf = seal(b, event)
	w.end(at)
}

// sample writes a CPU sample.
func (w *Writer) sample(e *Event) {
	w.useThread(w.thread(e.PID, e.TID))
	stack := e.Stack
	if int(stack) >= len(w.in.stacks) {
		stack = 0
	}
	if stack != 0 {
		w.in.needStack(stack)
		w.writePending()
	}
	at := w.beginAt(e.Time)
	b, sample := open(w.buf, fPacketPerfSample)
	b = appendUint(b, fSampleCPU, uint64(e.CPU))
	b = appendUint(b, fSamplePID, uint64(e.PID))
	b = appendUint(b, fSampleTID, uint64(e.TID))
	if stack != 0 {
		b = appendUint(b, fSampleStack, uint64(stack))
	}
	b = appendUint(b, fSampleMode, uint64(e.Arg))
	w.buf = seal(b, sample)
	w.end(at)
}
