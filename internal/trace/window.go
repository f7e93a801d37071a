package trace

import (
	"maps"
	"slices"
)

// window follows a recording and writes the part of it between two moments as
// a recording of its own, by these rules:
//
//   - a wait or hold that goes on at the first moment begins there; one that goes
//     on at the last ends there, its outcome unknown. One that was over by the
//     first moment is left out. (So a slice is written when both ends are known.)
//   - holder lanes, counters and CPUs have at the first moment the value they had; a
//     thread that waits for a CPU then becomes runnable there. That others sleep is
//     not told: nothing in a trace says that of a thread that does nothing.
//   - processes, threads, and notes that describe them are told again at the
//     first moment, those of processes that were gone by then are not.
//   - a loss that goes on at the first moment is told whole, since how much of it came
//     before is not known, but begins there.
//   - a hand-off whose drop lies before the first moment is none.
//
// Without a Writer it only follows: so it is the state at the beginning of
// what a Flight keeps. Its memory grows with what lives, not with what happened.
type window struct {
	from, to  Time
	w         *Writer // nil: only the state is followed
	clock     [3]Time // CLOCK_BOOTTIME, MONOTONIC and REALTIME at one moment
	begun     bool    // the head is written
	recording Note
	procs     map[int32]*windowProcess
	cpus      []laneState
	runnable  map[int32]uint16    // threads that wait for a CPU, by number; the CPU they left or are to run on
	flows     map[uint64][2]Event // holds that end with a hand-off whose take has not come
	stray     windowProcess       // stands for processes that are not, or no more, known
	seg       segmentTables
	events    int64 // written
	lost      int64 // in the stretches of losses that were written
}

// windowProcess is the state of one process.
type windowProcess struct {
	named   Process
	threads map[int32]*windowThread
	lanes   []laneState
	notes   []Note // that describe it, in order of time
}

// windowThread is the state of one thread.
type windowThread struct {
	named      Thread
	wait, hold openSlice
	block      openSlice
	lock       openSlice
	world      openSlice
	stuck      openSlice // the Deadlock it is in
}

// openSlice is a begin whose end has not come. While the segment is read that
// it stands in, its stack is an id of that; later it is portable.
type openSlice struct {
	begin    Event // Kind NoKind: none
	portable []portableFrame
}

// laneState is a CPU, a holder lane or a counter.
type laneState struct {
	last Event // the latest before the window; Kind NoKind: none
	told bool  // the lane has a value in the window
}

func newWindow() *window {
	return &window{procs: map[int32]*windowProcess{}, runnable: map[int32]uint16{}}
}

// clone is a window that goes on from the same state and writes to w.
func (x *window) clone(w *Writer, from, to Time, clock [3]Time) *window {
	c := &window{
		from: max(from, x.recording.Time), to: to, w: w, clock: clock, recording: x.recording,
		procs: make(map[int32]*windowProcess, len(x.procs)), cpus: slices.Clone(x.cpus),
		runnable: maps.Clone(x.runnable), flows: map[uint64][2]Event{},
	}
	for pid, p := range x.procs {
		q := &windowProcess{named: p.named, lanes: slices.Clone(p.lanes), notes: slices.Clone(p.notes),
			threads: make(map[int32]*windowThread, len(p.threads))}
		for tid, th := range p.threads {
			t := *th
			q.threads[tid] = &t
		}
		c.procs[pid] = q
	}
	return c
}

// apply takes in the next stretch of the recording.
func (x *window) apply(t *Trace) {
	x.seg = segmentTables{t: t}
	for _, p := range t.Processes {
		x.process(p)
	}
	for _, th := range t.Threads {
		x.thread(th)
	}
	notes := t.Notes
	for i := range t.Events {
		e := &t.Events[i]
		for len(notes) > 0 && notes[0].Time < e.Time {
			x.note(notes[0])
			notes = notes[1:]
		}
		x.event(e)
	}
	for _, n := range notes {
		x.note(n)
	}
	x.keepStacks()
}

// process and thread take in a name.
func (x *window) process(named Process) {
	p := x.procs[named.PID]
	if p == nil {
		p = &windowProcess{threads: map[int32]*windowThread{}}
		x.procs[named.PID] = p
	}
	if p.named != named && x.begun {
		x.w.Process(named)
	}
	p.named = named
}

func (x *window) thread(named Thread) {
	p := x.procs[named.PID]
	if p == nil {
		return
	}
	th := p.thread(named.TID)
	if th.named != named && x.begun {
		x.w.Thread(named)
	}
	th.named = named
}

func (p *windowProcess) thread(tid int32) *windowThread {
	th := p.threads[tid]
	if th == nil {
		if p.threads == nil {
			p.threads = map[int32]*windowThread{}
		}
		th = &windowThread{}
		p.threads[tid] = th
	}
	return th
}

// of is the state of the process of an event.
func (x *window) of(e *Event) *windowProcess {
	if p := x.procs[e.PID]; p != nil {
		return p
	}
	x.stray = windowProcess{}
	return &x.stray
}

// event takes in one event.
func (x *window) event(e *Event) {
	switch Specs[e.Kind].Form {
	case FormSwitch:
		for int(e.CPU) >= len(x.cpus) {
			x.cpus = append(x.cpus, laneState{})
		}
		x.followSwitch(e)
		x.lane(&x.cpus[e.CPU], e)
	case FormLaneStep, FormCounter:
		x.lane(x.of(e).lane(e), e)
	case FormBegin:
		x.sliceBegins(e)
	case FormEnd:
		x.sliceEnds(e)
	default:
		x.instant(e)
	}
}

// instant takes in an event that stands for itself.
func (x *window) instant(e *Event) {
	if e.Time >= x.from && e.Time <= x.to && x.w != nil {
		out := *e
		out.Stack = x.seg.stack(x.w, e.Stack)
		x.write(&out)
		return
	}
	switch e.Kind {
	case Deadlock:
		x.of(e).thread(e.TID).stuck = openSlice{begin: *e}
	case ThreadExit:
		p := x.of(e)
		delete(p.threads, e.TID)
		p.notes = slices.DeleteFunc(p.notes, func(n Note) bool {
			return (n.Name == NoteWorker || n.Name == NoteThread) && n.number("tid") == int64(e.TID)
		})
		delete(x.runnable, e.TID)
	case SchedWaking:
		if int(e.CPU) >= len(x.cpus) || x.cpus[e.CPU].last.TID != e.TID { // who wakes itself runs
			x.runnable[e.TID] = uint16(e.Arg)
		}
	}
}

// slice is where the thread's slices of a kind wait for their ends.
func (th *windowThread) slice(begin Kind) *openSlice {
	switch begin {
	case GILHoldBegin:
		return &th.hold
	case LoopBlockBegin:
		return &th.block
	case LockWaitBegin:
		return &th.lock
	case WorldStopBegin:
		return &th.world
	}
	return &th.wait
}

func (x *window) sliceBegins(e *Event) {
	if e.Time >= x.to && x.w != nil {
		return
	}
	begin := *e
	if from, ok := x.flows[e.Flow]; ok && e.Flow != 0 {
		delete(x.flows, e.Flow)
		x.write(&from[0])
		x.write(&from[1])
	} else {
		begin.Flow = 0
	}
	*x.of(e).thread(e.TID).slice(e.Kind) = openSlice{begin: begin}
}

func (x *window) sliceEnds(e *Event) {
	th := x.of(e).threads[e.TID]
	if th == nil {
		return
	}
	s := th.slice(Specs[e.Kind].Ends)
	if s.begin.Kind != NoKind {
		x.slice(s, *e)
	}
	if *s = (openSlice{}); e.Kind == LockWaitEnd && e.Time <= x.from {
		th.stuck = openSlice{}
	}
}

// slice writes a slice, the part of it that lies in the window.
func (x *window) slice(s *openSlice, end Event) {
	end.Time = min(end.Time, max(x.to, s.begin.Time+1))
	if x.w == nil || end.Time <= x.from {
		return
	}
	begin := s.begin
	if begin.Stack = x.seg.stack(x.w, begin.Stack); s.portable != nil {
		begin.Stack = internPortable(x.w, s.portable)
	}
	if begin.Time < x.from {
		begin.Time = x.from
		if begin.Kind == GILWaitBegin {
			begin.Other = x.holderAtStart(&begin)
		}
	}
	if end.Flow != 0 {
		x.flows[end.Flow] = [2]Event{begin, end}
		return
	}
	x.write(&begin)
	x.write(&end)
}

// holderAtStart is who held the GIL of a wait when the window began.
func (x *window) holderAtStart(wait *Event) int32 {
	lane := x.of(wait).lane(&Event{Kind: GILHolder, PID: wait.PID, GIL: wait.GIL})
	return lane.last.TID
}

// write writes an event, after the head.
func (x *window) write(e *Event) {
	x.head()
	x.events++
	x.w.Event(e)
}

// sortedPIDs are the processes in order, so that a window is always the same.
func (x *window) sortedPIDs() []int32 { return slices.Sorted(maps.Keys(x.procs)) }
