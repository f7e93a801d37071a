package analyze

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"gilscope/internal/trace"
)

// busyTrace is what a loaded server gives: mostly switches and wakings, waits
// with a look at the holder, CPU samples.
func busyTrace(n int) *trace.Trace {
	m := newMaker("waits")
	r := rand.New(rand.NewPCG(1, 1))
	for tid := int32(10); tid < 42; tid++ {
		m.thread(tid, "worker")
	}
	var stacks []trace.StackID
	for i := range 500 {
		stacks = append(stacks, m.stack("f a.py "+string(rune('1'+i%9)), "main a.py 1"))
	}
	at, holder := trace.Time(0), int32(10)
	for len(m.t.Events) < n {
		tid := int32(10 + r.IntN(32))
		stack := stacks[r.IntN(len(stacks))]
		m.wait(at, tid, stack)
		m.seen(at+1, tid, holder, stack)
		m.run(at+2, uint16(tid%4), 0, 1)
		m.add(at+20*us, trace.SchedWaking, tid, trace.Event{})
		m.run(at+22*us, uint16(tid%4), tid, 0)
		m.holder(at+23*us, tid)
		m.taken(at+24*us, tid)
		m.add(at+25*us, trace.CPUSample, tid, trace.Event{Stack: stack})
		holder = tid
		at += 30*us + trace.Time(r.IntN(5000))
	}
	return m.end(at)
}

// familyTrace is busyTrace for 500 forked processes of two threads each, which
// are all recorded as a recorder that follows does.
func familyTrace(n int) *trace.Trace {
	const processes = 500
	m := newMaker("waits")
	stack := m.stack("f a.py 1", "main a.py 1")
	at := trace.Time(0)
	for pid := int32(1000); pid < 1000+3*processes; pid += 3 {
		at += us
		m.fork(at, pid, 1, "fork")
		m.note(at, pid, trace.NoteTarget, trace.Arg{Key: "python", Text: "3.12.1"}, trace.Arg{Key: "interval_ns", Num: 5_000_000})
		m.thread(pid+1, "worker")
	}
	r := rand.New(rand.NewPCG(1, 1))
	for len(m.t.Events) < n {
		m.pid = 1000 + 3*int32(r.IntN(processes))
		holder, tid := m.pid, m.pid+1
		if r.IntN(2) == 0 {
			holder, tid = tid, holder
		}
		m.wait(at, tid, stack)
		m.seen(at+1, tid, holder, stack)
		m.run(at+2, uint16(tid%4), 0, 1)
		m.run(at+22*us, uint16(tid%4), tid, 0)
		m.holder(at+23*us, tid)
		m.taken(at+24*us, tid)
		m.add(at+25*us, trace.CPUSample, tid, trace.Event{Stack: stack})
		at += 30*us + trace.Time(r.IntN(5000))
	}
	for pid := int32(1000); pid < 1000+3*processes; pid += 3 {
		m.note(at, pid, trace.NoteGIL, trace.Arg{Key: "switches", Num: 9})
		m.note(at, pid, trace.NoteExit)
	}
	return m.end(at)
}

// BenchmarkFamily: many processes must not cost more than many events do.
func BenchmarkFamily(b *testing.B) {
	t := familyTrace(1_000_000)
	b.ReportAllocs()
	for b.Loop() {
		Build(t).Report()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(t.Events)), "ns/event")
}

func BenchmarkBuild(b *testing.B) {
	t := busyTrace(1_000_000)
	b.ReportAllocs()
	for b.Loop() {
		Build(t)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(t.Events)), "ns/event")
}

func BenchmarkReport(b *testing.B) {
	t := busyTrace(1_000_000)
	tl := Build(t)
	b.ReportAllocs()
	for b.Loop() {
		tl.Report()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(t.Events)), "ns/event")
}

// BenchmarkReadAnalyze: bytes of a recording to a report, what `gilscope report`
// does. Goal: 200 ns for each event on one core (-cpu 1).
func BenchmarkReadAnalyze(b *testing.B) {
	t := busyTrace(1_000_000)
	file := written(b, t)
	b.ReportAllocs()
	for b.Loop() {
		back, err := trace.Read(bytes.NewReader(file))
		if err != nil || len(back.Events) != len(t.Events) {
			b.Fatalf("read back %d events of %d: %v", len(back.Events), len(t.Events), err)
		}
		Analyze(back)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(t.Events)), "ns/event")
	b.ReportMetric(float64(len(file))/float64(len(t.Events)), "B/event")
}

// written is the trace as the recorder writes it.
func written(b *testing.B, t *trace.Trace) []byte {
	var file bytes.Buffer
	w := trace.NewWriter(&file, trace.WriterOptions{Level: 1, CPUs: 4, SampleHz: 99})
	for _, p := range t.Processes {
		w.Process(p)
	}
	for _, th := range t.Threads {
		w.Thread(th)
	}
	last := len(t.Notes) - 1
	for _, n := range t.Notes[:last] {
		w.Note(n)
	}
	stacks := writtenStacks(w, t)
	for _, e := range t.Events {
		e.Stack = stacks[e.Stack]
		w.Event(&e)
	}
	w.Note(t.Notes[last])
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	return file.Bytes()
}

// writtenStacks returns the ids that the writer gives to the stacks of a trace.
func writtenStacks(w *trace.Writer, t *trace.Trace) []trace.StackID {
	ids := make([]trace.StackID, len(t.Stacks))
	for i, stack := range t.Stacks {
		var frames []trace.FrameID
		for _, id := range stack {
			f := t.Frames[id]
			f.Function, f.File = w.String(t.Strings[f.Function]), w.String(t.Strings[f.File])
			f.Module = w.String(t.Strings[f.Module])
			frames = append(frames, w.Frame(f))
		}
		if len(frames) > 0 {
			ids[i] = w.Stack(frames)
		}
	}
	return ids
}
