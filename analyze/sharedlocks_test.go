package analyze

import (
	"testing"

	"gilscope/internal/trace"
)

// TestSharedLock: a lock that processes share is one row, by its number, whatever its address
// is in each; who gave it back may be of another process, or not recorded.
func TestSharedLock(t *testing.T) {
	m := newMaker("waits")
	m.thread(10, "a")
	pid := m.pid
	of := func(p int32) *maker { m.pid = p; return m }
	of(2).thread(20, "b")
	take, give := m.stack("take app.py 5"), m.stack("give app.py 9")
	wait := func(from trace.Time, pid, tid int32, address int64, number int32) {
		of(pid).add(from, trace.LockWaitBegin, tid, trace.Event{Arg: address, Other: number, Lock: trace.LockShared, Stack: take})
	}
	wait(0, pid, 10, 64, 7)
	wait(10*ms1, 2, 20, 4096, 0) // not found yet: it is the one that is seen there later
	of(2).add(30*ms1, trace.LockRelease, 20, trace.Event{Other: 10, Arg: 64, Stack: give})
	of(pid).has(31*ms1, 10, trace.WaitTaken)
	of(pid).add(50*ms1, trace.LockRelease, 10, trace.Event{Other: 20, Arg: 4096, Stack: give})
	of(2).has(52*ms1, 20, trace.WaitTaken)
	wait(60*ms1, 2, 20, 4096, 7)
	of(2).add(70*ms1, trace.LockRelease, 20, trace.Event{Other: 20, Arg: 4096})
	of(2).has(71*ms1, 20, trace.WaitTaken)
	m.pid = pid
	r := Analyze(m.end(100 * ms1))
	if len(r.Locks) != 1 {
		t.Fatalf("%+v", r.Locks)
	}
	l := r.Locks[0]
	if len(l.PIDs) != 2 || l.Shared == nil || *l.Shared != 7 || l.Waits != 3 || l.WaitNS != 84e6 || l.PID != pid || *l.Address != "0x40" {
		t.Errorf("%+v", l)
	}
	if f := l.First; f.PID != pid || f.Holder == nil || *f.HolderPID != 2 || f.Holder.Name != "b" {
		t.Errorf("first: %+v", f)
	}
	want := map[string]int64{"b": 50e6, "a": 20e6, "unknown": 10e6, "handing over": 4e6}
	for _, h := range l.Holders {
		if want[h.Name] != h.NS || (h.PID == nil) != (h.TID == nil || *h.TID == 0) {
			t.Errorf("%s held it for %d, want %d", h.Name, h.NS, want[h.Name])
		}
		delete(want, h.Name)
	}
	if len(want) > 0 {
		t.Errorf("missing %v", want)
	}
}
