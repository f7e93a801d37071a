package analyze

import (
	"testing"

	"gilscope/internal/trace"
)

func (m *maker) locks(from trace.Time, tid int32, address int64, kind trace.LockKind, stack trace.StackID) {
	m.add(from, trace.LockWaitBegin, tid, trace.Event{Arg: address, Lock: kind, Stack: stack})
}

func (m *maker) gives(at trace.Time, tid, woken int32, address int64, stack trace.StackID) {
	m.add(at, trace.LockRelease, tid, trace.Event{Arg: address, Other: woken, Stack: stack})
}

func (m *maker) has(at trace.Time, tid int32, how trace.WaitOutcome) {
	m.add(at, trace.LockWaitEnd, tid, trace.Event{Arg: int64(how)})
}

// TestLockHolders: a wait is cut where somebody gives the lock back; what comes after
// the last time is handing over only if that woke the waiter.
func TestLockHolders(t *testing.T) {
	m := newMaker("waits")
	for tid, name := range map[int32]string{10: "a", 20: "b", 30: "c"} {
		m.thread(tid, name)
	}
	take, give := m.stack("take app.py 5"), m.stack("give app.py 9")
	m.locks(0, 10, 64, trace.LockUnknown, take)
	m.locks(10*ms1, 20, 64, trace.LockLock, take)
	m.gives(30*ms1, 30, 10, 64, give)
	m.has(31*ms1, 10, trace.WaitTaken)
	m.gives(50*ms1, 10, 20, 64, give)
	m.has(52*ms1, 20, trace.WaitTaken)
	m.locks(60*ms1, 10, 64, trace.LockUnknown, take)
	m.gives(70*ms1, 20, 30, 128, give) // another lock
	m.has(80*ms1, 10, trace.WaitTimeout)
	r := Analyze(m.end(100 * ms1))
	if len(r.Locks) != 1 || len(r.Deadlocks) != 0 {
		t.Fatalf("%d locks, %d deadlocks", len(r.Locks), len(r.Deadlocks))
	}
	l := r.Locks[0]
	if *l.Address != "0x40" || l.Kind != "Lock" || !l.Held || l.Waits != 3 || l.WaitNS != 93e6 || l.WaitMaxNS != 42e6 || l.TimedOut != 1 || l.BusyNS != 72e6 {
		t.Errorf("%+v", l)
	}
	want := map[string]int64{"c": 50e6, "a": 20e6, "handing over": 3e6, "unknown": 20e6}
	for _, h := range l.Holders {
		if want[h.Name] != h.NS || (h.TID == nil) != (h.Name == "unknown") {
			t.Errorf("%s held it for %d, want %d", h.Name, h.NS, want[h.Name])
		}
		delete(want, h.Name)
	}
	if f := l.First; f.AfterNS != 0 || f.Waiter.Name != "a" || *f.Waiter.Site.Line != 5 || f.Holder == nil || f.Holder.Name != "c" || *f.Holder.Site.Line != 9 {
		t.Errorf("first: %+v", f)
	}
	if len(want) > 0 || *r.Threads[0].LockWaitNS != 51e6 {
		t.Errorf("missing %v; thread %+v", want, r.Threads[0])
	}
}

// TestLocksForOthers: what each wait has a lock of its own for is one row by line, that
// nobody holds, and no loss.
func TestLocksForOthers(t *testing.T) {
	m := newMaker("waits")
	m.thread(10, "a")
	wait := m.stack("Condition.wait threading.py 355", "Queue.get queue.py 171", "consume app.py 8")
	for i := trace.Time(0); i < 3; i++ {
		m.locks(i*100*ms1, 10, 64+int64(i)*64, trace.LockQueue, wait)
		m.gives(i*100*ms1+50*ms1, 20, 10, 64+int64(i)*64, m.stack("produce app.py 3"))
		m.has(i*100*ms1+51*ms1, 10, trace.WaitTaken)
	}
	r := Analyze(m.end(400 * ms1))
	if len(r.Locks) != 1 || len(r.Findings) != 0 {
		t.Fatalf("%+v, findings %+v", r.Locks, r.Findings)
	}
	l := r.Locks[0]
	if l.First.Holder != nil || l.First.Waiter.Name != "a" {
		t.Errorf("first: %+v", l.First)
	}
	if l.Address != nil || l.Held || l.Waits != 3 || len(l.Holders) != 0 || *l.Waiters[0].Site.Function != "consume" || len(l.Wakers) != 1 || *l.Wakers[0].Site.Line != 3 {
		t.Errorf("%+v", l)
	}
	if got := (Budget{"lock.wait.max", "<", 1}).Check(r); got.Status != Pass {
		t.Errorf("lock.wait.max is %v: %s", got.Value, got.Status)
	}
}

// TestDeadlocks: links that were told of at one time are put in order, two circles stay
// two, and nothing that was lost makes the check inconclusive.
func TestDeadlocks(t *testing.T) {
	m := newMaker("waits")
	at := m.stack("f app.py 5")
	for tid, holder := range map[int32]int32{1: 3, 2: 1, 3: 2, 7: 7, 8: 0} {
		m.add(5*ms1, trace.Deadlock, tid, trace.Event{Arg: int64(tid) * 64, Other: holder, Lock: trace.LockLock, Stack: at})
	}
	m.t.Complete = false
	r := Analyze(m.end(10 * ms1))
	sizes := map[int]int{}
	for _, d := range r.Deadlocks {
		sizes[len(d.Cycle)]++
		for i, c := range d.Cycle {
			next := d.Cycle[(i+1)%len(d.Cycle)].TID
			if c.TID == 8 && c.HeldByTID != nil || c.TID != 8 && *c.HeldByTID != next {
				t.Errorf("thread %d is followed by %d", c.TID, next)
			}
		}
	}
	if sizes[3] != 1 || sizes[1] != 2 || len(r.Findings) != 4 || r.Findings[0].Severity != Error {
		t.Errorf("circles %v, findings %+v", sizes, r.Findings)
	}
	if got := NoDeadlock.Check(r); got.Status != Breach {
		t.Errorf("the check says %s: %s", got.Status, got.Why)
	}
}
