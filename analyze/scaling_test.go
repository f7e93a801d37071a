package analyze

import (
	"testing"

	"gilscope/internal/trace"
)

// TestScaling: who ran, and what the others waited for, at each level. Between 0 and 10 ms one
// runs and one waits for the GIL; then both run; then one waits for a lock, and a third for a CPU.
func TestScaling(t *testing.T) {
	m := newMaker("waits")
	m.t.Notes[0].Args = append(m.t.Notes[0].Args, trace.Arg{Key: "cpus", Num: 2})
	for tid, name := range map[int32]string{10: "a", 20: "b"} {
		m.thread(tid, name)
	}
	take, hold := m.stack("take app.py 5"), m.stack("crunch app.py 9")
	m.run(0, 0, 10, 0)
	m.holder(0, 10)
	m.seen(0, 20, 10, hold)
	m.run(0, 1, 20, 0)
	m.wait(0, 20, take)
	m.run(1, 1, 0, 1) // b sleeps
	m.add(10*ms1-1, trace.SchedWaking, 20, trace.Event{})
	m.run(10*ms1, 1, 20, 0)
	m.taken(10*ms1, 20)
	m.locks(20*ms1, 20, 64, trace.LockLock, take)
	m.run(20*ms1, 1, 0, 1)
	m.add(30*ms1, trace.SchedWaking, 20, trace.Event{})
	m.run(34*ms1, 1, 20, 0)
	m.has(34*ms1, 20, trace.WaitTaken)
	m.run(40*ms1, 0, 0, 1)
	m.run(40*ms1, 1, 0, 1)
	s := Analyze(m.end(50 * ms1)).Scaling
	if s == nil || len(s.Levels) != 3 {
		t.Fatalf("%+v", s)
	}
	one := s.Levels[1]
	if s.PID != 1 || *s.CPUs != 2 || s.ParallelismMax != 2 || s.RunnableMax != 1 || s.OnCPUNS != 56e6+1 || s.ActiveNS != 40e6 || s.SpanNS != 50e6 {
		t.Errorf("%+v", s.ScalingRow)
	}
	if one.NS != 24e6-1 || one.GILWaitNS != 10e6-2 || one.LockWaitNS != 10e6 || one.RunnableNS != 4e6+1 || one.BlockedNS != 0 || s.Levels[0].BlockedNS != 20e6 {
		t.Errorf("levels %+v", s.Levels)
	}
	if *s.SerializedShare != *s.SerialShare || *s.SerialShare < 0.59 || *s.SerialShare > 0.6 {
		t.Errorf("one ran alone for %v, while others waited for %v", *s.SerialShare, *s.SerializedShare)
	}
	want := []Limit{{"lock", nil, 14e6}, {"gil", nil, 10e6}, {"cpu", nil, 4e6}}
	for i, l := range s.Limits {
		if l.Kind != want[i].Kind || l.WaitNS != want[i].WaitNS || (l.Site == nil) != (l.Kind == "cpu") {
			t.Errorf("limit %d: %+v", i, l)
		}
	}
}
