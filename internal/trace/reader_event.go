package trace

// rawEvent is a TrackEvent as it stands in the file.
type rawEvent struct {
	typ, name, category, track uint64
	counter, correlation       uint64
	stack, flow                uint64
	other                      int32
	arg, argText, lockText     uint64
}

const (
	keyEventType        = fEventType<<3 | wireVarint
	keyEventNameIID     = fEventNameIID<<3 | wireVarint
	keyEventCategoryIID = fEventCategoryIID<<3 | wireVarint
	keyEventTrack       = fEventTrack<<3 | wireVarint
	keyEventAnnotation  = fEventAnnotation<<3 | wireBytes
	keyEventCounter     = fEventCounter<<3 | wireVarint
	keyEventCallstack   = fEventCallstack<<3 | wireVarint
	keyEventFlow        = fEventFlow<<3 | wireFixed64
	keyEventFlowEnd     = fEventFlowEnd<<3 | wireFixed64
	keyEventCorrelation = fEventCorrelation<<3 | wireVarint

	keyAnnotationNameIID = fAnnotationNameIID<<3 | wireVarint
	keyAnnotationInt     = fAnnotationInt<<3 | wireVarint
	keyAnnotationTextIID = fAnnotationTextIID<<3 | wireVarint
)

// trackEvent decodes a TrackEvent.
func (d *decoder) trackEvent(time Time, b []byte) {
	var r rawEvent
	for i := 0; i < len(b); {
		key, val, next := field(b, i)
		if next == 0 {
			break
		}
		i = next
		switch key {
		case keyEventType:
			r.typ = val
		case keyEventNameIID:
			r.name = val
		case keyEventCategoryIID:
			r.category = val
		case keyEventTrack:
			r.track = val
		case keyEventAnnotation:
			d.annotation(&r, b[val:next])
		case keyEventCounter:
			r.counter = val
		case keyEventCallstack:
			r.stack = val
		case keyEventFlow, keyEventFlowEnd:
			r.flow = val
		case keyEventCorrelation:
			r.correlation = val
		}
	}
	on := d.tracks.get(r.track)
	e := Event{Time: time, PID: on.pid, GIL: on.gil}
	switch on.what {
	case TrackThread, TrackThreadGIL, TrackWorld:
		e.TID = on.tid
		d.threadEvent(&e, &r, on.what)
	case TrackHolder:
		d.laneStep(&e, &r)
	case TrackWaiters:
		d.counter(&e, &r, GILWaiters)
	case TrackBusy:
		d.counter(&e, &r, GILBusy)
	case TrackLoop:
		e.TID = on.tid
		d.loopEvent(&e, &r)
	case TrackLoopShare, TrackLoopBusy, TrackLoopIdle, TrackLoopIterations, TrackLoopEvents, TrackLoopLate, TrackLoopLag:
		e.TID = on.tid
		d.counter(&e, &r, counterOn(on.what))
	case TrackExecutorWorkers, TrackExecutorBusy, TrackExecutorDNS, TrackExecutorBusyNS, TrackExecutorIdleNS,
		TrackExecutorQueue, TrackExecutorLeft, TrackExecutorWaited, TrackExecutorAtMost:
		d.counter(&e, &r, counterOn(on.what))
	case TrackRunning, TrackRunnable:
		d.counter(&e, &r, counterOn(on.what))
	case trackNotes:
		d.note(time, b)
	}
}

// annotation decodes an annotation with an interned name.
func (d *decoder) annotation(r *rawEvent, b []byte) {
	var name, num, text uint64
	for i := 0; i < len(b); {
		key, val, next := field(b, i)
		if next == 0 {
			break
		}
		i = next
		switch key {
		case keyAnnotationNameIID:
			name = val
		case keyAnnotationInt:
			num = val
		case keyAnnotationTextIID:
			text = val
		}
	}
	if name >= firstNameIID {
		return
	}
	switch d.names.roles[name] {
	case roleOther:
		r.other = int32(num)
	case roleStack:
		r.stack = num
	case roleArg:
		r.arg, r.argText = num, text
	case roleLock:
		r.lockText = text
	}
}

// threadEvent keeps a slice's begin or end or an instant of a thread.
func (d *decoder) threadEvent(e *Event, r *rawEvent, on Track) {
	if r.typ > typeInstant || r.name >= firstNameIID {
		return
	}
	e.Kind = d.names.kinds[r.name][r.typ]
	if e.Kind == NoKind || Specs[e.Kind].Track != on {
		return
	}
	s := &wire.specs[e.Kind]
	if s.otherIID != 0 || s.numberIID != 0 {
		e.Other = r.other
	}
	if s.stack && r.stack < uint64(len(d.t.Stacks)) {
		e.Stack = StackID(r.stack)
	}
	if s.flowField != 0 {
		e.Flow = r.flow
	}
	if s.lockIID != 0 && r.lockText < firstNameIID {
		e.Lock = d.names.locks[r.lockText]
	}
	d.arg(e, r)
	*d.events.slot() = *e
}

// arg decodes the annotation of FieldArg, if the kind has one.
func (d *decoder) arg(e *Event, r *rawEvent) {
	switch {
	case wire.specs[e.Kind].argIID == 0:
	case r.argText == 0 || r.argText >= firstNameIID:
		e.Arg = int64(r.arg)
	default:
		e.Arg = max(int64(d.names.enums[r.argText][e.Kind]), 0)
	}
}

// laneStep keeps a change of holder, see Writer.laneStep.
func (d *decoder) laneStep(e *Event, r *rawEvent) {
	switch {
	case r.typ == typeBegin:
		e.TID = int32(r.correlation)
	case r.typ == typeEnd && r.category == 0:
		return // belongs to the begin that follows
	}
	e.Kind = GILHolder
	*d.events.slot() = *e
}

func (d *decoder) counter(e *Event, r *rawEvent, k Kind) {
	e.Kind, e.Arg = k, int64(r.counter)
	*d.events.slot() = *e
}

// sample decodes a CPU sample.
func (d *decoder) sample(time Time, b []byte) {
	e := d.events.slot()
	e.Kind, e.Time = CPUSample, time
	f := fields{b: b}
	for f.next() {
		switch f.num {
		case fSampleCPU:
			e.CPU = uint16(f.val)
		case fSamplePID:
			e.PID = int32(f.val)
		case fSampleTID:
			e.TID = int32(f.val)
		case fSampleMode:
			e.Arg = int64(f.val)
		case fSampleStack:
			if f.val < uint64(len(d.t.Stacks)) {
				e.Stack = StackID(f.val)
			}
		}
	}
}

// note decodes a note; its names and texts are not interned.
func (d *decoder) note(time Time, b []byte) {
	n := Note{Time: time}
	first := true
	f := fields{b: b}
	for f.next() {
		switch f.num {
		case fEventName:
			n.Name = cleanText(string(f.sub), maxText)
		case fEventAnnotation:
			a := decodeArg(f.sub)
			switch {
			case first && a.Key == notePID:
				n.PID = int32(a.Num)
			case len(n.Args) < maxNoteArgs:
				n.Args = append(n.Args, a)
			}
			first = false
		}
	}
	if !d.budget.spend(namedEntry + 2*len(b)) { // an argument is 40 bytes, and 4 or more in the file
		return
	}
	d.t.Notes = append(d.t.Notes, n)
	d.recording = d.recording || n.Name == NoteRecording
	d.ended = n.Name == NoteEnd
}

func decodeArg(b []byte) Arg {
	var a Arg
	f := fields{b: b}
	for f.next() {
		switch f.num {
		case fAnnotationName:
			a.Key = cleanText(string(f.sub), maxText)
		case fAnnotationString:
			a.Text = cleanText(string(f.sub), maxNoteText)
		case fAnnotationInt:
			a.Num = int64(f.val)
		}
	}
	return a
}
