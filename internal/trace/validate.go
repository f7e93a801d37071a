package trace

import "fmt"

// maxReported is how many violations Validate returns; the last says that
// there are more.
const maxReported = 100

// Validate checks what every recording promises, and returns what it breaks:
//
//   - the first note is the recording's, notes are in order of time, and a
//     complete recording has one end note, the last
//   - strings, frames and stacks refer to what exists; a stack has a frame
//   - events are in canonical order (see Sort), of a known kind, with ids that
//     exist, enum values that have a name, and 0 in fields the kind does not use
//   - what happens to a thread names its process and the thread
//   - begins and ends of a thread's waits and holds pair up, last at least 1 ns,
//     and never overlap; in a complete recording none is left open; the same for the
//     blocks of a loop
//   - two holds of one GIL never overlap
//   - a hand-off (Flow) has one end of a hold and one begin of a later hold of
//     the same GIL by another thread
//   - waiters are not negative, busy is 0 to 100
//   - a block names a frame of its stack
func (t *Trace) Validate() []error {
	v := &validator{
		t:     t,
		open:  map[openKey]*Event{},
		holds: map[uint64]*Event{},
		flows: map[uint64]*flow{},
	}
	v.notes()
	v.tables()
	for i := range t.Events {
		if v.full {
			break
		}
		v.event(i)
	}
	v.atEnd()
	return v.errs
}

type validator struct {
	t     *Trace
	open  map[openKey]*Event // begin of the slice that is open on a track of a thread
	holds map[uint64]*Event  // begin of the hold of a GIL, by process and interpreter
	flows map[uint64]*flow
	errs  []error
	full  bool
}

// flow is a hand-off and the events that name it.
type flow struct{ from, to *Event }

func (v *validator) report(format string, args ...any) {
	switch {
	case v.full:
	case len(v.errs) == maxReported-1:
		v.full = true
		v.errs = append(v.errs, fmt.Errorf("more violations than the %d above", maxReported-1))
	default:
		v.errs = append(v.errs, fmt.Errorf(format, args...))
	}
}

// at reports a violation by an event.
func (v *validator) at(e *Event, format string, args ...any) {
	v.report("%d %s pid=%d tid=%d: %s", e.Time, e.Kind, e.PID, e.TID, fmt.Sprintf(format, args...))
}

func (v *validator) notes() {
	notes, ends := v.t.Notes, 0
	for i := range notes {
		if i > 0 && notes[i].Time < notes[i-1].Time {
			v.report("note %q at %d comes after a later one", notes[i].Name, notes[i].Time)
		}
		if notes[i].Name == NoteEnd {
			ends++
		}
	}
	if len(notes) == 0 || notes[0].Name != NoteRecording {
		v.report("the first note is not %q", NoteRecording)
	}
	if v.t.Complete && (ends != 1 || !v.t.hasEnd()) {
		v.report("complete, but has %d %q notes, or it is not the last", ends, NoteEnd)
	}
}

// tables checks strings, frames and stacks.
func (v *validator) tables() {
	t := v.t
	if len(t.Strings) == 0 || t.Strings[0] != "" || len(t.Frames) == 0 || t.Frames[0] != (Frame{}) || len(t.Stacks) == 0 || t.Stacks[0] != nil {
		v.report("strings, frames and stacks do not have the empty value at 0")
	}
	for i, f := range t.Frames {
		if n := StringID(len(t.Strings)); f.Function >= n || f.File >= n || f.Module >= n {
			v.report("frame %d: a string is out of range", i)
		}
	}
	for i, s := range t.Stacks {
		if len(s) == 0 && i > 0 {
			v.report("stack %d is empty", i)
		}
		for _, f := range s {
			if f == 0 || int(f) >= len(t.Frames) {
				v.report("stack %d: frame %d does not exist", i, f)
			}
		}
	}
}

// event checks the event at i by itself and against those before it.
func (v *validator) event(i int) {
	e := &v.t.Events[i]
	if e.Kind == NoKind || e.Kind >= numKinds {
		v.report("%d: kind %d is unknown", e.Time, e.Kind)
		return
	}
	if i > 0 && before(e, &v.t.Events[i-1]) {
		v.at(e, "not in canonical order")
	}
	v.values(e)
	switch Specs[e.Kind].Form {
	case FormBegin:
		v.begin(e)
	case FormEnd:
		v.end(e)
	}
	v.flow(e)
}

// values checks the fields of an event.
func (v *validator) values(e *Event) {
	s := &Specs[e.Kind]
	var used [numFields]*Field
	for i := range s.Fields {
		used[s.Fields[i].Of] = &s.Fields[i]
	}
	for of := range numFields {
		value := of.get(e)
		f := used[of]
		switch {
		case f == nil && value != 0:
			v.at(e, "field %d is %d, but the kind does not use it", of, value)
		case f == nil:
		case f.Enum != nil && f.valueName(value) == "":
			v.at(e, "%s=%d has no meaning", f.Key, value)
		case of == FieldOther && f.Key == depthKey && !v.inStack(e):
			v.at(e, "site_depth=%d is not in stack %d", value, e.Stack)
		case of == FieldPID && value <= 0:
			v.at(e, "the process is missing")
		case of == FieldTID && value <= 0 && used[FieldPID] != nil && s.Form != FormLaneStep:
			v.at(e, "the thread is missing")
		case of == FieldStack && value >= int64(len(v.t.Stacks)):
			v.at(e, "stack %d does not exist", value)
		case s.Form == FormCounter && of == FieldArg && (value < 0 || (e.Kind == GILBusy || e.Kind == LoopBusyShare) && value > 100):
			v.at(e, "%s=%d is out of range", f.Key, value)
		}
	}
}

// inStack says whether the site of a block or of tasks is in its stack, or there is neither.
func (v *validator) inStack(e *Event) bool {
	return e.Other == 0 || e.Other > 0 && int(e.Stack) < len(v.t.Stacks) && int(e.Other) < len(v.t.Stacks[e.Stack])
}

// gilKey names a GIL of a process.
func gilKey(e *Event) uint64 { return threadKey(e.PID, int32(e.GIL)) }

// openKey names a track of a thread.
type openKey struct {
	thread uint64
	track  Track
}

func openKeyOf(e *Event) openKey { return openKey{threadKey(e.PID, e.TID), Specs[e.Kind].Track} }

func (v *validator) begin(e *Event) {
	key := openKeyOf(e)
	if b := v.open[key]; b != nil {
		v.at(e, "the %s of %d is still open", b.Kind, b.Time)
	}
	v.open[key] = e
	if e.Kind != GILHoldBegin {
		return
	}
	if b := v.holds[gilKey(e)]; b != nil {
		v.at(e, "thread %d holds the GIL since %d", b.TID, b.Time)
	}
	v.holds[gilKey(e)] = e
}

func (v *validator) end(e *Event) {
	key := openKeyOf(e)
	b := v.open[key]
	switch {
	case b == nil || b.Kind != Specs[e.Kind].Ends || b.GIL != e.GIL:
		v.at(e, "no %s before it", Specs[e.Kind].Ends)
	case b.Time >= e.Time:
		v.at(e, "lasts no time")
	}
	delete(v.open, key)
	if h := v.holds[gilKey(e)]; h != nil && e.Kind == GILHoldEnd && h.TID == e.TID {
		delete(v.holds, gilKey(e))
	}
}

// flow keeps the two sides of a hand-off and checks each against the other.
func (v *validator) flow(e *Event) {
	if e.Flow == 0 || (e.Kind != GILHoldEnd && e.Kind != GILHoldBegin) {
		return
	}
	f := v.flows[e.Flow]
	if f == nil {
		f = &flow{}
		v.flows[e.Flow] = f
	}
	side := &f.from
	if e.Kind == GILHoldBegin {
		side = &f.to
	}
	switch {
	case *side != nil:
		v.at(e, "hand-off %d is named before, at %d", e.Flow, (*side).Time)
	case side == &f.to && f.from == nil:
		v.at(e, "hand-off %d has no drop before it", e.Flow)
	case side == &f.to && f.from.TID == e.TID:
		v.at(e, "hand-off %d is from the thread to itself", e.Flow)
	case side == &f.to && gilKey(f.from) != gilKey(e):
		v.at(e, "hand-off %d is from another GIL", e.Flow)
	}
	*side = e
}

// atEnd checks what must be closed at the end of a complete recording.
func (v *validator) atEnd() {
	if !v.t.Complete {
		return
	}
	for i := range v.t.Events { // in order, so that the report is the same each time
		e := &v.t.Events[i]
		if e.Kind >= numKinds {
			continue
		}
		if v.open[openKeyOf(e)] == e {
			v.at(e, "open at the end of the recording")
		}
		if f := v.flows[e.Flow]; e.Flow != 0 && f != nil && f.from == e && f.to == nil {
			v.at(e, "hand-off %d reaches nobody", e.Flow)
		}
	}
}
