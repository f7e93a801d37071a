package analyze

import (
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
		at += 30 * us
	}
	return m.end(at)
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
