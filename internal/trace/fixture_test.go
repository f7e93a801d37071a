package trace

import (
	"fmt"
	"math/rand/v2"
)

// writeAll writes a whole trace with the ids it has.
func writeAll(w *Writer, t *Trace) {
	for _, s := range t.Strings[1:] {
		w.String(s)
	}
	for _, f := range t.Frames[1:] {
		w.Frame(f)
	}
	for _, s := range t.Stacks[1:] {
		w.Stack(s)
	}
	for _, p := range t.Processes {
		w.Process(p)
	}
	for _, th := range t.Threads {
		w.Thread(th)
	}
	end := len(t.Notes)
	if t.Complete {
		end--
	}
	for _, n := range t.Notes[:end] {
		w.Note(n)
	}
	for i := range t.Events {
		w.Event(&t.Events[i])
	}
	for _, n := range t.Notes[end:] {
		w.Note(n)
	}
}

// simulate makes a recording of one process whose threads share a GIL: like a
// real one, and valid. Each step is one hand-off.
func simulate(seed uint64, threads, steps int) *Trace {
	r := rand.New(rand.NewPCG(seed, 1))
	const pid, start = 1000, 5_000_000_000_000
	t := &Trace{Strings: []string{""}, Frames: []Frame{{}}, Stacks: [][]FrameID{nil}, Complete: true}
	t.Processes = []Process{{PID: 1, Name: "init"}, {PID: pid, PPID: 1, Name: "python3"}}
	for i := range threads {
		t.Threads = append(t.Threads, Thread{PID: pid, TID: int32(pid + i), Name: fmt.Sprintf("worker-%d", i)})
	}
	simulateStacks(t, r)
	t.Notes = append(t.Notes, Note{Time: start, Name: NoteRecording, Args: []Arg{{Key: "version", Text: "0.1"}, {Key: "cpus", Num: 4}}})
	t.Notes = append(t.Notes, Note{Time: start + 5, PID: pid, Name: NoteTarget, Args: []Arg{{Key: "python", Text: "3.12.1"}, {Key: "interval_ns", Num: 5_000_000}}})
	s := &simulation{t: t, r: r, pid: pid, now: start, threads: threads}
	s.run(steps)
	t.Notes = append(t.Notes, Note{Time: s.now + 10, Name: NoteEnd, Args: []Arg{{Key: "events", Num: int64(len(t.Events))}, {Key: "reason", Text: "duration"}}})
	Sort(t.Events)
	return t
}

// simulateStacks makes 40 Python frames, 10 native ones and 64 stacks.
func simulateStacks(t *Trace, r *rand.Rand) {
	str := func(s string) StringID {
		t.Strings = append(t.Strings, s)
		return StringID(len(t.Strings) - 1)
	}
	module := str("/usr/lib/libpython3.12.so.1.0")
	for i := range 40 {
		t.Frames = append(t.Frames, Frame{Function: str(fmt.Sprintf("Class%d.method", i)), File: str(fmt.Sprintf("/app/pkg/mod%d.py", i)), Line: int32(10 + i)})
	}
	for i := range 10 {
		t.Frames = append(t.Frames, Frame{Function: str(fmt.Sprintf("_PyEval_%d", i)), Module: module, RelPC: uint64(0x1000 + 16*i)})
	}
	for i := range 64 {
		stack := []FrameID{FrameID(1 + i%50)}
		for range 3 + r.IntN(20) {
			stack = append(stack, FrameID(1+r.IntN(40)))
		}
		t.Stacks = append(t.Stacks, stack)
	}
}

type simulation struct {
	t       *Trace
	r       *rand.Rand
	pid     int32
	now     Time
	threads int
	flow    uint64
}

func (s *simulation) add(e Event) { s.t.Events = append(s.t.Events, e) }

// pass lets time pass.
func (s *simulation) pass(most int) Time {
	s.now += Time(1 + s.r.IntN(most))
	return s.now
}

// run hands the GIL round; the mix of kinds is about that of a real recording:
// 60 % scheduling, 30 % GIL, 10 % samples.
func (s *simulation) run(steps int) {
	g := Event{PID: s.pid}
	with := func(k Kind, tid int, e Event) Event {
		e.Kind, e.PID, e.TID, e.Time = k, g.PID, s.pid+int32(tid), s.now
		return e
	}
	stack := func() StackID { return StackID(1 + s.r.IntN(len(s.t.Stacks)-1)) }
	for i := range s.threads {
		s.pass(100)
		s.add(with(ThreadStart, i, Event{Arg: int64(s.pid), Other: 1, Stack: stack()}))
	}
	s.pass(1000)
	s.add(with(GILHoldBegin, 0, Event{Stack: stack()}))
	s.add(with(GILHolder, 0, Event{}))
	for i := range steps {
		from, to := i%s.threads, (i+1)%s.threads
		s.pass(1000)
		s.add(with(GILWaitBegin, to, Event{Other: s.pid + int32(from), Stack: stack()}))
		s.add(Event{Kind: GILWaiters, PID: s.pid, Time: s.now, Arg: 1})
		s.sched(from, to, 12)
		s.add(with(GILDropRequest, to, Event{Other: s.pid + int32(from), Stack: stack()}))
		s.pass(100)
		s.add(with(CPUSample, from, Event{CPU: 1, Arg: int64(ModeUser), Stack: stack()}))
		s.pass(100)
		s.add(with(CPUSample, to, Event{CPU: 2, Arg: int64(ModeKernel), Stack: stack()}))
		s.flow++
		s.pass(3000)
		s.add(with(GILHoldEnd, from, Event{Arg: int64(DropForced), Flow: s.flow}))
		s.pass(3000)
		s.add(with(GILWaitEnd, to, Event{Arg: int64(WaitTaken)}))
		s.add(Event{Kind: GILWaiters, PID: s.pid, Time: s.now})
		s.add(with(GILHoldBegin, to, Event{Flow: s.flow, Stack: stack()}))
		s.add(with(GILHolder, to, Event{}))
	}
	last := steps % s.threads
	s.pass(1000)
	s.add(with(GILHoldEnd, last, Event{Arg: int64(DropVoluntary)}))
	s.add(Event{Kind: GILHolder, PID: s.pid, Time: s.now})
	s.add(Event{Kind: GILBusy, PID: s.pid, Time: s.now, Arg: 99})
	s.add(with(ThreadExit, last, Event{Arg: int64(EndedWithProcess)}))
}

// sched adds n scheduling events of the two threads.
func (s *simulation) sched(from, to, n int) {
	for i := range n {
		cpu := uint16(i % 4)
		s.pass(2000)
		switch {
		case i%6 == 5:
			s.add(Event{Kind: SchedWaking, Time: s.now, CPU: cpu, TID: s.pid + int32(to), Arg: 2})
		case i%2 == 0:
			tid := s.pid + int32(from)
			if i%4 == 2 {
				tid = OtherTID
			}
			s.add(Event{Kind: SchedSwitch, Time: s.now, CPU: cpu, TID: tid})
		default:
			s.add(Event{Kind: SchedSwitch, Time: s.now, CPU: cpu, TID: IdleTID, Arg: 1})
		}
	}
}
