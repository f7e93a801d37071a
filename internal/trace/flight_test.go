package trace

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"
)

// fly records a trace with a Flight, a segment every few events, and dumps what
// is kept after each of the given numbers of events.
func fly(t testing.TB, x *Trace, keep Time, limit int64, every int, dumpAfter ...int) []*Trace {
	t.Helper()
	f := NewFlight(testOptions, x.Notes[0].Time, keep, limit)
	head := *x
	head.Notes, head.Events, head.Complete = x.Notes[:2], nil, false
	writeAll(f.Writer(), &head)
	var dumps []*Trace
	for i := range x.Events {
		e := &x.Events[i]
		f.Writer().Event(e)
		if i%every == every-1 {
			if err := f.Advance(e.Time, []Arg{{Key: "stored", Num: int64(i + 1)}}); err != nil {
				t.Fatal(err)
			}
		}
		for _, n := range dumpAfter {
			if i == n-1 {
				dumps = append(dumps, dump(t, f, e.Time, int64(i+1)))
			}
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return dumps
}

func dump(t testing.TB, f *Flight, at Time, stored int64) *Trace {
	t.Helper()
	d, err := f.Dump(at, []Arg{{Key: "stored", Num: stored}})
	if err != nil {
		t.Fatal(err)
	}
	return written(t, d)
}

// written writes a dump and reads it back.
func written(t testing.TB, d *Dump) *Trace {
	t.Helper()
	var file bytes.Buffer
	info, err := d.Write(&file, [3]Time{d.to, d.to - 7, 17e17}, "test", []Arg{{Key: "dump", Num: 1}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := Read(&file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Events != int64(len(got.Events)) {
		t.Errorf("the dump says that it has %d events, it has %d", info.Events, len(got.Events))
	}
	return got
}

// sums are the lengths of all slices by thread and kind, and of the holder lane
// by thread, between two moments.
func sums(x *Trace, from, to Time) map[string]Time {
	out := map[string]Time{}
	add := func(key string, a, b Time) {
		if a, b = max(a, from), min(b, to); b > a {
			out[key] += b - a
		}
	}
	open := map[string]Time{}
	var holder int32
	since := from
	for _, e := range x.Events {
		key := fmt.Sprint(e.TID, " ", Specs[e.Kind].Slice)
		switch Specs[e.Kind].Form {
		case FormBegin:
			open[key] = e.Time
		case FormEnd:
			add(key, open[key], e.Time)
			delete(open, key)
		case FormLaneStep:
			add(fmt.Sprint(holder, " lane"), since, e.Time)
			holder, since = e.TID, e.Time
		}
	}
	for key, at := range open {
		add(key, at, to)
	}
	add(fmt.Sprint(holder, " lane"), since, to)
	delete(out, "0 lane")
	return out
}

// TestDumpIsTheEndOfTheRecording: whatever is kept and forgotten, a dump is a
// valid recording whose sums are those of the same time in the whole one.
func TestDumpIsTheEndOfTheRecording(t *testing.T) {
	x := simulate(11, 5, 400)
	span := x.Events[len(x.Events)-1].Time - x.Events[0].Time
	for _, every := range []int{7, 100, 5000} {
		for _, share := range []Time{50, 7, 2} {
			keep := span / share
			counts := []int{len(x.Events) / 2, len(x.Events)/2 + 3, len(x.Events) - 5, len(x.Events)}
			for i, got := range fly(t, x, keep, 1<<30, every, counts...) {
				name := fmt.Sprintf("every %d, a %dth, dump %d", every, share, i)
				checkWindow(t, name, got, x, keep, counts[i])
			}
		}
	}
}

func checkWindow(t *testing.T, name string, got, x *Trace, keep Time, count int) {
	t.Helper()
	to := x.Events[count-1].Time
	from := max(to-keep, x.Notes[0].Time)
	if errs := got.Validate(); len(errs) > 0 {
		t.Fatalf("%s: not valid: %v", name, errs[0])
	}
	if !got.Complete || got.Notes[0].Time != from || got.Events[0].Time < from || got.Events[len(got.Events)-1].Time > to {
		t.Errorf("%s: complete %v, from %d (want %d), events from %d to %d", name, got.Complete, got.Notes[0].Time, from, got.Events[0].Time, got.Events[len(got.Events)-1].Time)
	}
	whole := *x
	whole.Events = x.Events[:count]
	want, have := sums(&whole, from, to), sums(got, from, to)
	if fmt.Sprint(want) != fmt.Sprint(have) {
		t.Errorf("%s: sums %v, want %v", name, have, want)
	}
	if len(got.Processes) != len(x.Processes) || len(got.Threads) != len(x.Threads) || got.Notes[1].Name != NoteTarget {
		t.Errorf("%s: %d processes, %d threads, notes %v", name, len(got.Processes), len(got.Threads), got.Notes)
	}
}

// TestDumpOfAllIsAll: as long as nothing is forgotten a dump has every event.
func TestDumpOfAllIsAll(t *testing.T) {
	x := simulate(3, 4, 200)
	got := fly(t, x, 1<<60, 1<<30, 64, len(x.Events))[0]
	if len(got.Events) != len(x.Events) {
		t.Fatalf("%d events, want %d", len(got.Events), len(x.Events))
	}
	for i := range x.Events {
		a, b := got.Events[i], x.Events[i]
		if fmt.Sprint(stackText(got, a.Stack)) != fmt.Sprint(stackText(x, b.Stack)) {
			t.Fatalf("event %d has stack %v, want %v", i, stackText(got, a.Stack), stackText(x, b.Stack))
		}
		if a.Stack, b.Stack = 0, 0; a != b {
			t.Fatalf("event %d is %+v, want %+v", i, a, b)
		}
	}
	end := got.Notes[len(got.Notes)-1]
	if end.number("events") != int64(len(x.Events)) || end.number("stored") != int64(len(x.Events)) || end.number("dump") != 1 {
		t.Errorf("closing note %v", end)
	}
}

func stackText(x *Trace, id StackID) (out []string) {
	for _, f := range x.Stacks[id] {
		fr := x.Frames[f]
		out = append(out, fmt.Sprint(x.Strings[fr.Function], x.Strings[fr.File], x.Strings[fr.Module], fr.Line, fr.RelPC))
	}
	return out
}

// TestLateEnds: an end is told long after its time, and in a later segment; the
// wait was over by the window's start, or it is cut there.
func TestLateEnds(t *testing.T) {
	f := NewFlight(testOptions, 0, 100, 1<<30)
	w := f.Writer()
	w.Process(Process{PID: 7, Name: "python3"})
	w.Note(Note{Name: NoteRecording})
	stack := w.Stack([]FrameID{w.Frame(Frame{Function: w.String("f"), File: w.String("a.py"), Line: 3})})
	for tid := int32(7); tid < 10; tid++ {
		w.Event(&Event{Time: Time(10 * tid), Kind: GILWaitBegin, PID: 7, TID: tid, Other: 20, Stack: stack})
	}
	w.Event(&Event{Time: 95, Kind: GILHolder, PID: 7, TID: 21})
	w.Event(&Event{Time: 96, Kind: GILHoldBegin, PID: 7, TID: 10})
	for at := Time(10); at <= 300; at += 10 {
		if err := f.Advance(at, nil); err != nil {
			t.Fatal(err)
		}
		w.Event(&Event{Time: at, Kind: SchedWaking, TID: 7})
	}
	w.Event(&Event{Time: 120, Kind: GILWaitEnd, PID: 7, TID: 7})
	w.Event(&Event{Time: 250, Kind: GILWaitEnd, PID: 7, TID: 8})
	w.Event(&Event{Time: 260, Kind: GILWaitBegin, PID: 7, TID: 10}) // the end of its hold is not known yet
	got := dump(t, f, 310, 0)
	if errs := got.Validate(); len(errs) > 0 {
		t.Error(errs)
	}
	var slices []string
	for _, e := range got.Events {
		if e.Kind == GILWaitBegin || e.Kind == GILWaitEnd || e.Kind == GILHoldEnd {
			slices = append(slices, fmt.Sprintf("%d %s %d %d", e.Time, e.Kind, e.TID, e.Other))
		}
		if e.Kind == GILWaitBegin && e.TID != 10 && len(got.Stacks[e.Stack]) != 1 {
			t.Errorf("the wait of %d lost its stack", e.TID)
		}
	}
	want := "[210 gil.wait.begin 8 21 210 gil.wait.begin 9 21 250 gil.wait.end 8 0 260 gil.hold.end 10 0 260 gil.wait.begin 10 0 310 gil.wait.end 9 0 310 gil.wait.end 10 0]"
	if s := fmt.Sprint(slices); s != want {
		t.Errorf("slices\n%s, want\n%s", s, want)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestWhoWaitsForACPU: a thread that lost its CPU, or was woken, before the
// window begins is runnable at its start; who got a CPU or went to sleep is not.
func TestWhoWaitsForACPU(t *testing.T) {
	f := NewFlight(testOptions, 0, 100, 1<<30)
	w := f.Writer()
	w.Note(Note{Name: NoteRecording})
	for i, e := range []Event{
		{Kind: SchedSwitch, TID: 1}, {Kind: SchedSwitch, TID: 2, Arg: 0x100}, // 1 is preempted
		{Kind: SchedSwitch, TID: 3, Arg: 1},                                      // 2 sleeps
		{Kind: SchedWaking, TID: 4, CPU: 1, Arg: 1},                              // 4 is woken
		{Kind: SchedWaking, TID: 5, CPU: 1}, {Kind: SchedSwitch, TID: 5, CPU: 1}, // 5 gets a CPU
		{Kind: SchedWaking, TID: 6}, {Kind: ThreadExit, PID: 6, TID: 6},
		{Kind: SchedSwitch, TID: OtherTID}, {Kind: SchedSwitch, TID: IdleTID}, // 3 is preempted
	} {
		e.Time = Time(10 + i)
		w.Event(&e)
	}
	for at := Time(40); at <= 300; at += 10 {
		if err := f.Advance(at, nil); err != nil {
			t.Fatal(err)
		}
		w.Event(&Event{Time: at, Kind: CPUSample, TID: 5, CPU: 1, Arg: int64(ModeUser)})
	}
	var states []string
	for _, e := range dump(t, f, 300, 0).Events {
		if e.Kind == SchedSwitch || e.Kind == SchedWaking {
			states = append(states, fmt.Sprintf("%d %s %d on %d", e.Time, e.Kind, e.TID, e.CPU))
		}
	}
	want := "[200 sched.waking 1 on 0 200 sched.waking 3 on 0 200 sched.waking 4 on 1 200 sched.switch 0 on 0 200 sched.switch 5 on 1]"
	if s := fmt.Sprint(states); s != want {
		t.Errorf("states\n%s, want\n%s", s, want)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestDumpOfAnything: events that make no sense at all still make a dump that reads.
func TestDumpOfAnything(t *testing.T) {
	for seed := range uint64(60) {
		x := randomTrace(seed)
		if len(x.Notes) < 2 || len(x.Events) == 0 {
			continue
		}
		for _, got := range fly(t, x, Time(1+seed*30), 1<<30, 1+int(seed%5), len(x.Events)/2, len(x.Events)) {
			if !got.Complete || got.Notes[0].Name != NoteRecording {
				t.Errorf("seed %d: complete %v, notes %v", seed, got.Complete, got.Notes)
			}
		}
	}
}

// TestFlightNotes: what describes a process is told again; what was about one
// that has ended is not, nor are totals of the time before the window.
func TestFlightNotes(t *testing.T) {
	f := NewFlight(testOptions, 0, 100, 1<<30)
	w := f.Writer()
	w.Note(Note{Name: NoteRecording, Args: []Arg{{Key: "version", Text: "1"}}})
	for pid := int32(1); pid < 4; pid++ {
		w.Process(Process{PID: pid, Name: "python3"})
		w.Thread(Thread{PID: pid, TID: pid, Name: "MainThread"})
		for _, detail := range []string{"full", "waits"} {
			w.Note(Note{Time: 5, PID: pid, Name: NoteDetail, Args: []Arg{{Key: "detail", Text: detail}}})
		}
		w.Note(Note{Time: 5, PID: pid, Name: NoteTarget, Args: []Arg{{Key: "python", Text: "3.12"}}})
		w.Event(&Event{Time: 6, Kind: GILHolder, PID: pid, TID: pid})
	}
	w.Note(Note{Time: 20, PID: 2, Name: NoteExec})
	w.Event(&Event{Time: 29, Kind: GILHolder, PID: 1})
	w.Event(&Event{Time: 29, Kind: ThreadExit, PID: 1, TID: 1})
	w.Note(Note{Time: 30, PID: 1, Name: NoteExit})
	w.Event(&Event{Time: 31, Kind: GILWaiters, PID: 1, Arg: 1})
	for at := Time(40); at <= 300; at += 10 {
		if err := f.Advance(at, nil); err != nil {
			t.Fatal(err)
		}
		w.Event(&Event{Time: at, Kind: SchedWaking, TID: 3})
	}
	w.Note(Note{Time: 290, PID: 3, Name: NoteGIL, Args: []Arg{{Key: "span_ns", Num: 280}}})
	w.Note(Note{Time: 295, PID: 3, Name: NoteGIL, Args: []Arg{{Key: "span_ns", Num: 80}}})
	got := dump(t, f, 300, 0)
	var notes []string
	for _, n := range got.Notes {
		notes = append(notes, fmt.Sprintf("%d %d %s", n.Time, n.PID, n.Name))
	}
	want := "[200 0 recording 200 3 detail 200 3 target 295 3 gil totals 300 0 end]"
	if s := fmt.Sprint(notes); s != want {
		t.Errorf("notes %s, want %s", s, want)
	}
	if len(got.Processes) != 2 || len(got.Threads) != 2 || got.Notes[1].Args[0].Text != "waits" {
		t.Errorf("processes %v, threads %v, detail %v", got.Processes, got.Threads, got.Notes[1])
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestFlightIsBounded: a limit on the bytes holds, and the window says what is there.
func TestFlightIsBounded(t *testing.T) {
	x := simulate(5, 6, 20000)
	f := NewFlight(testOptions, x.Notes[0].Time, 1<<60, MinFlightBytes)
	head := *x
	head.Notes, head.Events, head.Complete = x.Notes[:1], nil, false
	writeAll(f.Writer(), &head)
	most := int64(0)
	for i := range x.Events {
		f.Writer().Event(&x.Events[i])
		if f.Due(x.Events[i].Time) {
			if err := f.Advance(x.Events[i].Time, nil); err != nil {
				t.Fatal(err)
			}
		}
		size, _ := f.Size()
		most = max(most, size)
	}
	at := x.Events[len(x.Events)-1].Time
	got := dump(t, f, at, 0)
	if errs := got.Validate(); len(errs) > 0 {
		t.Error(errs[0])
	}
	if _, short := f.Size(); !short || most > MinFlightBytes*3/2 || got.Notes[0].Time <= x.Notes[0].Time || len(got.Events) < len(x.Events)/10 {
		t.Errorf("short %v, at most %d bytes, %d of %d events", short, most, len(got.Events), len(x.Events))
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// heap is what lives in memory, in bytes.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
