package trace

import (
	"maps"
	"slices"
)

// describes says of a note's name whether it holds from then on, so that it is
// told again in a window that begins later.
var describes = map[string]bool{
	NoteStarted: true, NoteTarget: true, NoteDetail: true, NoteInterpreter: true, NoteInterval: true, NoteLoop: true, NoteExecutor: true, NoteWorker: true, NoteThread: true,
}

// sinceKey says in a NoteStarted that is told again when the process did start.
const sinceKey = "since_ns"

// beginKey says in a NoteLost when the loss began.
const beginKey = "begin_ns"

// note takes in a note.
func (x *window) note(n Note) {
	switch {
	case n.Name == NoteRecording:
		x.recording = n
		x.from = max(x.from, n.Time)
	case n.Name == NoteEnd, n.Name == NoteGIL && n.Time-Time(n.number("span_ns")) < x.from:
		// The window has an end of its own; totals must not count what was before it.
	case x.w == nil || n.Time < x.from && !x.begun:
		x.remember(n)
	case n.Time >= x.from && n.Time <= x.to || describes[n.Name]:
		x.head()
		n.Time = min(max(n.Time, x.from), x.to)
		n = x.loss(n)
		x.w.Note(n)
	}
}

// loss cuts the stretch of a NoteLost, and counts its events; it returns other notes as they are.
func (x *window) loss(n Note) Note {
	if n.Name != NoteLost {
		return n
	}
	x.lost += n.number("events")
	n.Args = slices.Clone(n.Args)
	for i := range n.Args {
		if a := &n.Args[i]; a.Key == beginKey {
			a.Num = max(a.Num, int64(x.from))
		}
	}
	return n
}

// remember keeps what a note before the window says of the state at its start.
func (x *window) remember(n Note) {
	p := x.procs[n.PID]
	switch {
	case p == nil:
	case n.Name == NoteExit:
		delete(x.procs, n.PID)
	case n.Name == NoteExec:
		p.notes = slices.DeleteFunc(p.notes, func(m Note) bool { return m.Name != NoteStarted })
		maps.DeleteFunc(p.threads, func(tid int32, _ *windowThread) bool { return tid != n.PID })
	case describes[n.Name]:
		about, tid, executor := n.number("interpreter"), n.number("tid"), n.number("executor")
		p.notes = slices.DeleteFunc(p.notes, func(m Note) bool {
			return m.Name == n.Name && m.number("interpreter") == about && m.number("tid") == tid && m.number("executor") == executor
		})
		p.notes = append(p.notes, n)
	}
}

// number is a named value of a note, 0 if it has none.
func (n Note) number(key string) int64 {
	for _, a := range n.Args {
		if a.Key == key {
			return a.Num
		}
	}
	return 0
}

// head writes what the window begins with, once.
func (x *window) head() {
	if x.begun {
		return
	}
	x.begun = true
	since := x.from - x.clock[0] // negative
	x.w.Clock(x.from, x.clock[1]+since, x.clock[2]+since)
	first := x.recording
	first.Time = x.from
	x.w.Note(first)
	for _, pid := range x.sortedPIDs() {
		p := x.procs[pid]
		x.w.Process(p.named)
		for _, tid := range slices.Sorted(maps.Keys(p.threads)) {
			if th := p.threads[tid]; th.named.TID != 0 {
				x.w.Thread(th.named)
			}
		}
		for _, n := range p.notes {
			if n.Name == NoteStarted && n.number(sinceKey) == 0 {
				n.Args = append(slices.Clip(n.Args), Arg{Key: sinceKey, Num: int64(n.Time)})
			}
			n.Time = x.from
			x.w.Note(n)
		}
	}
	for _, tid := range slices.Sorted(maps.Keys(x.runnable)) {
		x.write(&Event{Time: x.from, Kind: SchedWaking, CPU: x.runnable[tid], TID: tid, Arg: int64(x.runnable[tid])})
	}
}

// close writes what is open or was not told, and the closing note, whose time
// is that of the window's end.
func (x *window) close(end Note) error {
	x.head()
	x.seg = segmentTables{t: &Trace{}}
	for _, flow := range slices.Sorted(maps.Keys(x.flows)) {
		hold := x.flows[flow]
		hold[1].Flow = 0 // nobody took the GIL before the window's end
		x.write(&hold[0])
		x.write(&hold[1])
	}
	for _, pid := range x.sortedPIDs() {
		p := x.procs[pid]
		for i := range p.lanes {
			x.restate(&p.lanes[i])
		}
		for _, tid := range slices.Sorted(maps.Keys(p.threads)) {
			x.closeThread(p.threads[tid])
		}
	}
	for i := range x.cpus {
		x.restate(&x.cpus[i])
	}
	end.Name, end.Time = NoteEnd, x.to
	end.Args = append([]Arg{{Key: "events", Num: x.events}}, end.Args...)
	x.w.Note(end)
	return x.w.Close()
}

// closeThread ends what a thread is in. It cannot wait and hold at one time: if
// the end of the earlier is not known yet, it came before the begin of the later.
func (x *window) closeThread(th *windowThread) {
	waitEnd, holdEnd := x.to, x.to
	if th.wait.begin.Kind != NoKind && th.hold.begin.Kind != NoKind {
		if th.wait.begin.Time < th.hold.begin.Time {
			waitEnd = th.hold.begin.Time
		} else {
			holdEnd = th.wait.begin.Time
		}
	}
	if b := th.hold.begin; b.Kind != NoKind && b.Time < holdEnd {
		x.slice(&th.hold, Event{Kind: GILHoldEnd, Time: holdEnd, PID: b.PID, TID: b.TID, GIL: b.GIL, Arg: int64(DropUnknown)})
	}
	if b := th.block.begin; b.Kind != NoKind {
		x.slice(&th.block, Event{Kind: LoopBlockEnd, Time: x.to, PID: b.PID, TID: b.TID, Arg: int64(BlockUnknown)})
	}
	if b := th.world.begin; b.Kind != NoKind && b.Time < x.to {
		x.slice(&th.world, Event{Kind: WorldStopEnd, Time: x.to, PID: b.PID, TID: b.TID, Arg: int64(BlockUnknown)})
	}
	if b := th.lock.begin; b.Kind != NoKind && b.Time < x.to {
		x.slice(&th.lock, Event{Kind: LockWaitEnd, Time: x.to, PID: b.PID, TID: b.TID, Arg: int64(WaitUnknown)})
	}
	x.restateDeadlock(th)
	if b := th.wait.begin; b.Kind != NoKind && b.Time < waitEnd {
		x.slice(&th.wait, Event{Kind: GILWaitEnd, Time: waitEnd, PID: b.PID, TID: b.TID, GIL: b.GIL, Arg: int64(WaitUnknown)})
	}
}

// restateDeadlock says at the window's first moment that a thread is in a
// deadlock of which the recording told before that.
func (x *window) restateDeadlock(th *windowThread) {
	e := th.stuck.begin
	if e.Kind == NoKind || e.Time >= x.from {
		return
	}
	if e.Time, e.Stack = x.from, 0; th.stuck.portable != nil {
		e.Stack = internPortable(x.w, th.stuck.portable)
	}
	x.write(&e)
}

// segmentTables translates the ids of one segment into those of a Writer; what
// is translated once is kept.
type segmentTables struct {
	t       *Trace
	strings []StringID
	frames  []FrameID
	stacks  []StackID
	ids     []FrameID
}

// stack translates a stack.
func (s *segmentTables) stack(w *Writer, id StackID) StackID {
	if id == 0 || int(id) >= len(s.t.Stacks) {
		return 0
	}
	if s.stacks == nil {
		s.strings, s.frames, s.stacks = make([]StringID, len(s.t.Strings)), make([]FrameID, len(s.t.Frames)), make([]StackID, len(s.t.Stacks))
	}
	if s.stacks[id] == 0 {
		s.ids = s.ids[:0]
		for _, f := range s.t.Stacks[id] {
			s.ids = append(s.ids, s.frame(w, f))
		}
		s.stacks[id] = w.Stack(s.ids)
	}
	return s.stacks[id]
}

func (s *segmentTables) frame(w *Writer, id FrameID) FrameID {
	if s.frames[id] == 0 {
		f := s.t.Frames[id]
		f.Function, f.File, f.Module = s.string(w, f.Function), s.string(w, f.File), s.string(w, f.Module)
		s.frames[id] = w.Frame(f)
	}
	return s.frames[id]
}

func (s *segmentTables) string(w *Writer, id StringID) StringID {
	if s.strings[id] == 0 {
		s.strings[id] = w.String(s.t.Strings[id])
	}
	return s.strings[id]
}

// portableFrame is a frame that needs no table.
type portableFrame struct {
	function, file, module string
	line                   int32
	relPC                  uint64
}

// keepStacks makes the stacks of open slices independent of the segment.
func (x *window) keepStacks() {
	for _, p := range x.procs {
		for _, th := range p.threads {
			for _, s := range [...]*openSlice{&th.wait, &th.hold, &th.block, &th.lock, &th.world, &th.stuck} {
				if s.begin.Stack != 0 {
					s.portable = x.seg.portable(s.begin.Stack)
					s.begin.Stack = 0
				}
			}
		}
	}
	x.seg = segmentTables{}
}

func (s *segmentTables) portable(id StackID) []portableFrame {
	if int(id) >= len(s.t.Stacks) {
		return nil
	}
	var out []portableFrame
	text := s.t.Strings
	for _, id := range s.t.Stacks[id] {
		f := s.t.Frames[id]
		out = append(out, portableFrame{text[f.Function], text[f.File], text[f.Module], f.Line, f.RelPC})
	}
	return out
}

// internPortable gives a Writer a portable stack.
func internPortable(w *Writer, frames []portableFrame) StackID {
	ids := make([]FrameID, len(frames))
	for i, f := range frames {
		ids[i] = w.Frame(Frame{Function: w.String(f.function), File: w.String(f.file), Module: w.String(f.module), Line: f.line, RelPC: f.relPC})
	}
	return w.Stack(ids)
}
