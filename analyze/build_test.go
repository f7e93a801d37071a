package analyze

import (
	"fmt"
	"testing"

	"gilscope/internal/trace"
)

const (
	us  = trace.Time(1_000)
	ms1 = trace.Time(1_000_000)
)

// maker builds traces by hand: events are appended in time order. They belong to
// process pid, which is 1 to begin with.
type maker struct {
	t   trace.Trace
	pid int32
}

func newMaker(detail string) *maker {
	m := &maker{pid: 1, t: trace.Trace{
		Strings: []string{""}, Frames: []trace.Frame{{}}, Stacks: [][]trace.FrameID{nil}, Complete: true,
		Processes: []trace.Process{{PID: 1, PPID: 77, Name: "python3"}},
	}}
	m.note(0, 0, trace.NoteRecording, trace.Arg{Key: "detail", Text: detail}, trace.Arg{Key: "sample_hz", Num: 100})
	m.note(0, 1, trace.NoteTarget, trace.Arg{Key: "python", Text: "3.11.7"}, trace.Arg{Key: "interval_ns", Num: 5_000_000},
		trace.Arg{Key: "linkage", Text: "shared"}, trace.Arg{Key: "free_threaded"})
	return m
}

func (m *maker) note(at trace.Time, pid int32, name string, args ...trace.Arg) {
	m.t.Notes = append(m.t.Notes, trace.Note{Time: at, PID: pid, Name: name, Args: args})
}

// end closes the recording.
func (m *maker) end(at trace.Time, args ...trace.Arg) *trace.Trace {
	m.note(at, 0, trace.NoteEnd, args...)
	return &m.t
}

// fork adds a process, which is the one that events belong to from now on.
func (m *maker) fork(at trace.Time, pid, parent int32, method string, args ...trace.Arg) {
	m.t.Processes = append(m.t.Processes, trace.Process{PID: pid, PPID: parent, Name: "python3"})
	m.note(at, pid, trace.NoteStarted, append([]trace.Arg{{Key: "parent", Num: int64(parent)}, {Key: "method", Text: method}}, args...)...)
	m.pid = pid
}

func (m *maker) thread(tid int32, name string) {
	m.t.Threads = append(m.t.Threads, trace.Thread{PID: m.pid, TID: tid, Name: name})
}

func (m *maker) string(s string) trace.StringID {
	for i, have := range m.t.Strings {
		if have == s {
			return trace.StringID(i)
		}
	}
	m.t.Strings = append(m.t.Strings, s)
	return trace.StringID(len(m.t.Strings) - 1)
}

// stack interns frames written as "func file line" for Python and "module func"
// for native code.
func (m *maker) stack(frames ...string) trace.StackID {
	var ids []trace.FrameID
	for _, s := range frames {
		var f trace.Frame
		var a, b string
		var line int32
		if n, _ := fmt.Sscan(s, &a, &b, &line); n == 3 {
			f = trace.Frame{Function: m.string(a), File: m.string(b), Line: line}
		} else {
			f = trace.Frame{Module: m.string(a), Function: m.string(b)}
		}
		m.t.Frames = append(m.t.Frames, f)
		ids = append(ids, trace.FrameID(len(m.t.Frames)-1))
	}
	m.t.Stacks = append(m.t.Stacks, ids)
	return trace.StackID(len(m.t.Stacks) - 1)
}

func (m *maker) add(at trace.Time, kind trace.Kind, tid int32, rest trace.Event) {
	rest.Time, rest.Kind, rest.TID, rest.PID = at, kind, tid, m.pid
	if kind == trace.SchedSwitch || kind == trace.SchedWaking {
		rest.PID = 0 // the kernel's scheduler events name threads only
	}
	m.t.Events = append(m.t.Events, rest)
}

func (m *maker) holder(at trace.Time, tid int32) { m.add(at, trace.GILHolder, tid, trace.Event{}) }
func (m *maker) wait(at trace.Time, tid int32, stack trace.StackID) {
	m.add(at, trace.GILWaitBegin, tid, trace.Event{Stack: stack})
}
func (m *maker) taken(at trace.Time, tid int32) { m.add(at, trace.GILWaitEnd, tid, trace.Event{}) }
func (m *maker) request(at trace.Time, tid, holder int32, stack trace.StackID) {
	m.add(at, trace.GILDropRequest, tid, trace.Event{Other: holder, Stack: stack})
}
func (m *maker) seen(at trace.Time, tid, holder int32, stack trace.StackID) {
	m.add(at, trace.GILHolderSeen, tid, trace.Event{Other: holder, Stack: stack})
}
func (m *maker) run(at trace.Time, cpu uint16, tid int32, left int64) {
	m.add(at, trace.SchedSwitch, tid, trace.Event{CPU: cpu, Arg: left})
}

func TestStates(t *testing.T) {
	m := newMaker("waits")
	m.thread(10, "a")
	m.run(10, 0, 10, 0)
	m.run(30, 0, trace.OtherTID, 0x100) // preempted
	m.run(40, 1, 10, 1)                 // goes on elsewhere
	m.run(45, 0, 0, 1)                  // the CPU it left says nothing about it
	m.run(60, 1, 0, 1)                  // sleeps
	m.add(80, trace.SchedWaking, 10, trace.Event{})
	m.run(85, 1, 10, 0)
	m.add(90, trace.SchedWaking, 10, trace.Event{}) // of a running thread: nothing
	m.add(95, trace.ThreadExit, 10, trace.Event{})
	tl := Build(m.end(200))
	want := []StateSpan{{10, 30, Running}, {30, 40, Runnable}, {40, 60, Running}, {60, 80, Blocked}, {80, 85, Runnable}, {85, 95, Running}}
	if got := tl.Threads[0].States; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("got  %v\nwant %v", got, want)
	}
	row := tl.Report().Threads[0]
	if *row.OnCPUNS != 50 || *row.RunnableNS != 15 || *row.BlockedNS != 20 {
		t.Fatalf("on-CPU %d, runnable %d, blocked %d", *row.OnCPUNS, *row.RunnableNS, *row.BlockedNS)
	}
	if ns, known := tl.Threads[0].In(Running, 20, 50); ns != 20 || !known {
		t.Fatalf("In: %d %v", ns, known)
	}
}

// TestStaleCPU: the switch that would have told of a move was not recorded.
func TestStaleCPU(t *testing.T) {
	m := newMaker("waits")
	m.run(10, 0, 10, 0)
	m.run(20, 1, 10, 0) // on another CPU, without having left the first
	m.run(30, 0, 0, 1)  // this is about somebody unseen
	m.run(50, 1, 0, 1)
	m.wait(60, 10, 0) // the first event that names the process
	tl := Build(m.end(60))
	want := []StateSpan{{10, 50, Running}, {50, 60, Blocked}}
	if got := tl.Threads[0]; fmt.Sprint(got.States) != fmt.Sprint(want) || got.PID != 1 {
		t.Fatalf("got %+v\nwant %v", got, want)
	}
}

// TestNativeBorrowed: a waiter's look at the holder has no native frames; the
// nearest CPU sample on the same line of the same hold lends its own.
func TestNativeBorrowed(t *testing.T) {
	m := newMaker("waits")
	line := m.stack("crunch b.py 9", "main b.py 1")
	other := m.stack("rest b.py 12", "main b.py 1")
	native := m.stack("/lib/libc.so.6 usleep", "crunch b.py 9", "main b.py 1")
	bytecode := m.stack("/usr/lib/libpython3.11.so.1.0 _PyEval_EvalFrameDefault", "rest b.py 12")
	m.holder(1, 20)
	m.seen(10, 10, 20, line)  // nearest with native: 15
	m.seen(11, 10, 20, other) // nearest says plain bytecode
	m.add(15, trace.CPUSample, 20, trace.Event{Stack: native})
	m.add(16, trace.CPUSample, 20, trace.Event{Stack: bytecode})
	m.holder(20, 30)
	m.holder(21, 20)
	m.seen(25, 10, 20, line) // another hold: nothing is lent
	m.holder(30, 30)
	m.holder(40, 20)
	m.add(50, trace.CPUSample, 20, trace.Event{Stack: native})
	m.seen(52, 10, 20, line)
	m.seen(57, 10, 20, line)
	m.add(59, trace.CPUSample, 20, trace.Event{Stack: m.stack("/lib/zlib.so deflate", "crunch b.py 9")})
	tl := Build(m.end(100))
	want := []string{"libc.so.6 usleep", "", "libc.so.6 usleep", "", "",
		"libc.so.6 usleep", "libc.so.6 usleep", "zlib.so deflate", "zlib.so deflate"}
	for i, s := range tl.GILs[0].Samples {
		if got := tl.Sites[s.Site].Native; got != want[i] {
			t.Errorf("sample %d: native %q, want %q", i, got, want[i])
		}
	}
	if got := tl.Sites[tl.GILs[0].Samples[0].Site]; got.Function != "crunch" || got.Line != 9 {
		t.Errorf("site %+v", got)
	}
}

func TestInterpreterModules(t *testing.T) {
	for module, want := range map[string]bool{
		"libpython3.13.so.1.0": true, "libpython3.13t.so.1.0": true, "python3.12": true, "python": true, "python3.7m": true,
		"libc.so.6": false, "_multiarray_umath.cpython-311-x86_64-linux-gnu.so": false, "pythonic.so": false, "libpython_helper.so": false,
	} {
		if got := isInterpreter(module); got != want {
			t.Errorf("isInterpreter(%q) = %v", module, got)
		}
	}
}

// TestContradictions feeds what a broken recorder or a hostile file may hold.
func TestContradictions(t *testing.T) {
	m := newMaker("full")
	m.taken(5, 10)                                             // end without begin
	m.wait(10, 10, 0)                                          //
	m.wait(20, 10, 99)                                         // second begin, stack that is not there
	m.add(15, trace.GILWaitEnd, 10, trace.Event{})             // backwards in time
	m.add(30, trace.GILHoldEnd, 10, trace.Event{})             // drop without take
	m.add(40, trace.GILHoldBegin, -7, trace.Event{})           // no such thread id
	m.add(50, trace.SchedSwitch, 10, trace.Event{CPU: 65535})  //
	m.add(60, trace.CPUSample, 10, trace.Event{Stack: 4e9})    //
	m.add(70, trace.GILHolder, -5, trace.Event{GIL: 3})        //
	m.add(80, trace.Kind(250), 10, trace.Event{})              // a kind of the future
	m.add(90, trace.ThreadExit, trace.OtherTID, trace.Event{}) //
	tl := Build(m.end(100))
	r := tl.Report()
	if r.GIL[0].Waits != 2 || r.GIL[0].WaitNS != 10 {
		t.Fatalf("waits %d, %d ns", r.GIL[0].Waits, r.GIL[0].WaitNS)
	}
	if got := (&trace.Trace{}); Build(got).Report().Recording.DurationNS != 0 {
		t.Fatal("an empty trace has a duration")
	}
}

func TestHoldsKnownAtFullOnly(t *testing.T) {
	for _, detail := range []string{"waits", "full"} {
		m := newMaker(detail)
		m.add(10, trace.GILHoldBegin, 10, trace.Event{})
		m.add(30, trace.GILHoldEnd, 10, trace.Event{Arg: int64(trace.DropForced)})
		m.add(30, trace.GILHoldBegin, 11, trace.Event{})
		m.add(70, trace.GILHoldEnd, 11, trace.Event{Arg: int64(trace.DropVoluntary)})
		r := Analyze(m.end(100))
		th, g := r.Threads[0], r.GIL[0]
		if detail == "waits" {
			if th.GILHoldNS != nil || th.ForcedDrops != nil || g.BusyShare != nil || g.Switching.ForcedDrops != nil {
				t.Error("holds are claimed at detail waits")
			}
			continue
		}
		if *th.GILHoldNS != 20 || *th.GILHolds != 1 || *th.ForcedDrops != 1 || *th.VoluntaryDrops != 0 {
			t.Errorf("thread %+v", th)
		}
		if *g.BusyShare != 0.6 || *g.Switching.ForcedDrops != 1 || *g.Switching.VoluntaryDrops != 1 {
			t.Errorf("gil %+v", g)
		}
	}
	m := newMaker("full")
	m.holder(5, 10)
	m.note(50, 1, trace.NoteDetail, trace.Arg{Key: "detail", Text: "waits"})
	if r := Analyze(m.end(100)); *r.Recording.Detail != "auto" || r.GIL[0].BusyShare != nil {
		t.Error("a recording that fell to waits claims holds")
	}
}
