package analyze

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"gilscope/internal/trace"
)

// sees is a thread that is seen to wait for a lock with others in its hands.
func (m *maker) sees(at trace.Time, tid int32, waits int64, stack trace.StackID, held ...int64) {
	m.locks(at, tid, waits, trace.LockLock, stack)
	for _, h := range held {
		m.add(at+ms1, trace.LockHeld, tid, trace.Event{Arg: h, Lock: trace.LockRLock, Stack: stack, Other: 1})
	}
	m.has(at+2*ms1, tid, trace.WaitTaken)
}

// ordersMaker makes a trace of threads 10 to 30.
func ordersMaker() *maker {
	m := newMaker("waits")
	for tid := range int32(21) {
		m.thread(10+tid, "")
	}
	return m
}

// TestLockOrders: circles need a thread of its own for each order, and are told once.
func TestLockOrders(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*maker, trace.StackID)
		want string // by circle: held>waited of each step, and what guards it
	}{
		{"opposite", func(m *maker, s trace.StackID) { m.sees(0, 10, 2, s, 1); m.sees(10*ms1, 20, 1, s, 2) }, "1>2 2>1"},
		{"the same order", func(m *maker, s trace.StackID) { m.sees(0, 10, 2, s, 1); m.sees(10*ms1, 20, 2, s, 1) }, ""},
		{"one thread only", func(m *maker, s trace.StackID) { m.sees(0, 10, 2, s, 1); m.sees(10*ms1, 10, 1, s, 2) }, ""},
		{"one thread does both, another one of them", func(m *maker, s trace.StackID) {
			m.sees(0, 10, 2, s, 1)
			m.sees(10*ms1, 10, 1, s, 2)
			m.sees(20*ms1, 20, 1, s, 2)
		}, "1>2 2>1"},
		{"taken again", func(m *maker, s trace.StackID) { m.sees(0, 10, 1, s, 1); m.sees(10*ms1, 20, 1, s, 1) }, ""},
		{"guarded", func(m *maker, s trace.StackID) { m.sees(0, 10, 2, s, 1, 9); m.sees(10*ms1, 20, 1, s, 2, 9) }, "1>2 2>1 guard 0x9"},
		{"guarded once only", func(m *maker, s trace.StackID) { m.sees(0, 10, 2, s, 1, 9); m.sees(10*ms1, 20, 1, s, 2) }, "1>2 2>1"},
		{"three", func(m *maker, s trace.StackID) {
			m.sees(0, 10, 2, s, 1)
			m.sees(10*ms1, 20, 3, s, 2)
			m.sees(20*ms1, 30, 1, s, 3)
		}, "1>2 2>3 3>1"},
		{"three by two threads", func(m *maker, s trace.StackID) {
			m.sees(0, 10, 2, s, 1)
			m.sees(10*ms1, 20, 3, s, 2)
			m.sees(20*ms1, 10, 1, s, 3)
		}, ""},
		{"five", func(m *maker, s trace.StackID) {
			for i := range int32(5) {
				m.sees(trace.Time(i)*10*ms1, 10+i, int64((i+1)%5+1), s, int64(i+1))
			}
		}, ""},
		{"held, but it does not wait", func(m *maker, s trace.StackID) {
			m.add(0, trace.LockHeld, 10, trace.Event{Arg: 1, Stack: s})
			m.sees(10*ms1, 20, 1, s, 2)
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := ordersMaker()
			c.do(m, m.stack("inner app.py 5", "outer app.py 20"))
			r := Analyze(m.end(100 * ms1))
			var got []string
			for _, row := range r.LockOrders {
				var steps []string
				for _, s := range row.Steps {
					steps = append(steps, fmt.Sprintf("%s>%s", s.Held[2:], s.WaitsFor[2:]))
					if *s.Site.Line != 5 || *s.HeldSite.Line != 20 {
						t.Errorf("%+v", s)
					}
				}
				if row.GuardedBy != nil {
					steps = append(steps, "guard "+*row.GuardedBy)
				}
				got = append(got, strings.Join(steps, " "))
			}
			if s := strings.Join(got, "; "); s != c.want {
				t.Errorf("got %q, want %q", s, c.want)
			}
			told := slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Rule == "lock.order" })
			if told != (c.want != "") {
				t.Errorf("findings %+v", r.Findings)
			}
		})
	}
}

// TestManyLockOrders: a file in which all locks are in all orders ends the search in time.
func TestManyLockOrders(t *testing.T) {
	m := ordersMaker()
	s := m.stack("inner app.py 5", "outer app.py 20")
	for i := range int64(60) {
		for k := range int64(60) {
			m.sees(trace.Time(i*60+k)*10*ms1, int32(10+(i+k)%7), i+1, s, k+1)
		}
	}
	if r := Analyze(m.end(1e12)); len(r.LockOrders) == 0 || len(r.LockOrders) > maxOrderRows {
		t.Errorf("%d circles", len(r.LockOrders))
	}
}

// TestDoubleWait: of a wait for a lock, the part in which who gave it back waited for the GIL.
func TestDoubleWait(t *testing.T) {
	m := ordersMaker()
	take, give := m.stack("take app.py 5"), m.stack("give app.py 9")
	m.wait(5*ms1, 20, 0) // begins before the wait for the lock
	m.locks(10*ms1, 10, 64, trace.LockLock, take)
	m.taken(30*ms1, 20)
	m.wait(40*ms1, 20, 0)
	m.taken(45*ms1, 20)
	m.gives(60*ms1, 20, 10, 64, give)
	m.wait(61*ms1, 20, 0) // it does not hold it any more
	m.has(62*ms1, 10, trace.WaitTaken)
	m.taken(90*ms1, 20)
	r := Analyze(m.end(100 * ms1))
	if len(r.Locks) != 1 || r.Locks[0].HolderGILWaitNS != 25e6 {
		t.Errorf("%+v", r.Locks)
	}
	for _, f := range r.Findings {
		if f.Rule == "lock.gil_wait" {
			if f.CostNS != 25e6 {
				t.Errorf("%+v", f)
			}
			return
		}
	}
	t.Error("no finding")
}
