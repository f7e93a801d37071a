package analyze

import (
	"fmt"
	"strings"
	"testing"

	"gilscope/internal/trace"
)

// made is a thread that another one makes on a line.
func (m *maker) made(at trace.Time, tid, by int32, stack trace.StackID, depth int32) {
	m.add(at, trace.ThreadStart, tid, trace.Event{Arg: int64(by), Stack: stack, Other: depth})
}

func (m *maker) gone(at trace.Time, tid int32, how trace.ThreadEnd) {
	m.add(at, trace.ThreadExit, tid, trace.Event{Arg: int64(how)})
}

// joinOver is the end of a wait for the lock 64, which a thread with a stack gives back.
func (m *maker) joinOver(at trace.Time, tid, by int32, stack trace.StackID) {
	m.gives(at, by, tid, 64, stack)
	m.add(at+1, trace.LockWaitEnd, tid, trace.Event{Other: by, Arg: int64(trace.WaitTaken)})
}

// joinsOf says who joined thread 50 for how long.
func joinsOf(r *Report) string {
	var said []string
	for _, t := range r.Threads {
		for _, j := range t.Joins {
			said = append(said, fmt.Sprintf("%d by %s %d", t.TID, textOf(j.Site), j.WaitNS))
		}
	}
	return strings.Join(said, "; ")
}

// TestJoins: a join is claimed where it is certain, and nowhere else.
func TestJoins(t *testing.T) {
	const none = trace.StackID(0)
	for _, c := range []struct {
		name string
		play func(m *maker, join, inside trace.StackID)
		want string
	}{
		{"the thread ends", func(m *maker, join, inside trace.StackID) {
			m.locks(100, 10, 64, trace.LockJoin, join)
			m.joinOver(300, 50, 50, none) // somebody else's
			m.joinOver(400, 10, 50, none)
			m.gone(420, 50, trace.EndedItself)
		}, "50 by main a.py:7 301"},
		{"its end is not in the recording", func(m *maker, join, inside trace.StackID) {
			m.locks(100, 10, 64, trace.LockJoin, join)
			m.joinOver(400, 10, 50, none)
		}, ""},
		{"given back within Python", func(m *maker, join, inside trace.StackID) {
			m.locks(100, 10, 64, trace.LockJoin, join)
			m.joinOver(400, 10, 50, inside)
			m.gone(420, 50, trace.EndedItself)
		}, ""},
		{"it ran Python after that", func(m *maker, join, inside trace.StackID) {
			m.locks(100, 10, 64, trace.LockJoin, join)
			m.joinOver(400, 10, 50, none)
			m.add(410, trace.CPUSample, 50, trace.Event{Stack: inside})
			m.gone(420, 50, trace.EndedItself)
		}, ""},
		{"a wait for a queue", func(m *maker, join, inside trace.StackID) {
			m.locks(100, 10, 64, trace.LockQueue, join)
			m.joinOver(400, 10, 50, none)
			m.gone(420, 50, trace.EndedItself)
		}, ""},
		{"a time limit", func(m *maker, join, inside trace.StackID) {
			m.locks(100, 10, 64, trace.LockJoin, join)
			m.has(200, 10, trace.WaitTimeout)
			m.gone(420, 50, trace.EndedItself)
		}, ""},
		{"two, the second woken by the first", func(m *maker, join, inside trace.StackID) {
			m.locks(100, 10, 64, trace.LockJoin, join)
			m.locks(200, 11, 64, trace.LockJoin, join)
			m.joinOver(400, 10, 50, none)
			m.gone(405, 50, trace.EndedItself)
			m.joinOver(410, 11, 10, inside)
		}, "50 by main a.py:7 301; 50 by main a.py:7 211"},
		{"the lock is another's when the second comes", func(m *maker, join, inside trace.StackID) {
			m.locks(100, 10, 64, trace.LockJoin, join)
			m.joinOver(400, 10, 50, none)
			m.gone(405, 50, trace.EndedItself)
			m.locks(406, 11, 64, trace.LockJoin, join)
			m.joinOver(410, 11, 10, inside)
		}, "50 by main a.py:7 301"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMaker("waits")
			join := m.stack("Thread.join /lib/threading.py 1100", "main a.py 7")
			m.made(50, 50, 10, join, 1)
			c.play(m, join, m.stack("work a.py 3"))
			if got, want := joinsOf(Analyze(m.end(1000))), strings.ReplaceAll(c.want, "main a.py:7", "main (a.py:7)"); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// rowOf is the one row of a thread.
func rowOf(t *testing.T, r *Report, tid int32) *ThreadRow {
	t.Helper()
	for i := range r.Threads {
		if r.Threads[i].TID == tid {
			return &r.Threads[i]
		}
	}
	t.Fatalf("no thread %d in %+v", tid, r.Threads)
	return nil
}

// TestThreadLife: who made a thread and where, when it ran Python, how it ended.
func TestThreadLife(t *testing.T) {
	m := newMaker("waits")
	stack := m.stack("Thread.start /lib/threading.py 900", "serve a.py 7")
	m.thread(10, "MainThread")
	m.note(5, 1, trace.NoteThread, trace.Arg{Key: "tid", Num: 10}, trace.Arg{Key: "daemon"})
	m.made(50, 50, 10, stack, 1)
	m.holder(60, 50)
	m.made(70, 51, 50, 0, 0)
	m.run(80, 0, 51, 0)
	m.run(90, 0, 0, 1) // it sleeps, and is seen in Python later
	m.note(95, 1, trace.NoteThread, trace.Arg{Key: "tid", Num: 51}, trace.Arg{Key: "daemon", Num: 1})
	m.run(100, 0, 51, 0)
	m.add(110, trace.CPUSample, 51, trace.Event{Stack: stack})
	m.gone(120, 50, trace.EndedItself)
	m.gone(130, 10, trace.EndedWithProcess)
	m.gone(131, 51, trace.EndedWithProcess)
	r := Analyze(m.end(1000))
	main, first, second := rowOf(t, r, 10), rowOf(t, r, 50), rowOf(t, r, 51)
	if main.CreatedBy != nil || main.RanPythonNS != nil || main.Daemon == nil || *main.Daemon || !*main.EndedWithProcess {
		t.Errorf("main thread %+v", main)
	}
	if by := first.CreatedBy; by == nil || *by.TID != 10 || by.Name != "MainThread" || textOf(by.Site) != "serve (a.py:7)" {
		t.Errorf("made by %+v", by)
	}
	if *first.RanPythonNS != 60 || *first.EndedWithProcess || first.Daemon != nil || first.Joins == nil {
		t.Errorf("first thread %+v", first)
	}
	if by := second.CreatedBy; by == nil || *by.TID != 50 || by.Site != nil {
		t.Errorf("made by %+v", by)
	}
	if second.RanPythonNS != nil || !*second.EndedWithProcess || !*second.Daemon {
		t.Errorf("second thread %+v", second)
	}
}

// churned is a recording of n threads that a line makes every ms of time, each for life.
func churned(n int, every, life trace.Time) *Report {
	m := newMaker("waits")
	stack := m.stack("Thread.start /lib/threading.py 900", "serve a.py 7")
	var ends []trace.Event
	upTo := func(at trace.Time) {
		for len(ends) > 0 && ends[0].Time <= at {
			m.gone(ends[0].Time, ends[0].TID, trace.EndedItself)
			ends = ends[1:]
		}
	}
	for i := range n {
		at, tid := trace.Time(1+i)*every, int32(100+i)
		upTo(at)
		m.made(at, tid, 10, stack, 1)
		m.holder(at+10*us, tid)
		ends = append(ends, trace.Event{Time: at + life, TID: tid})
	}
	upTo(1 << 40)
	return Analyze(m.end(trace.Time(n+1)*every + life))
}

// TestChurn: many threads that live shortly and one after the other are a finding,
// with the line that makes them; a pool, a burst and long lives are none.
func TestChurn(t *testing.T) {
	for _, c := range []struct {
		name        string
		n           int
		every, life trace.Time
		found       bool
		perSecond   float64
		atOnce      int64
	}{
		{"one after the other", 100, 20 * ms1, 5 * ms1, true, 100 / 1.98, 1},
		{"three at once", 100, 20 * ms1, 50 * ms1, true, 100 / 1.98, 3},
		{"too few", 19, 20 * ms1, 5 * ms1, false, 19, 1},
		{"seldom", 100, 60 * ms1, 5 * ms1, false, 100 / 5.94, 1},
		{"long lives", 100, 20 * ms1, 150 * ms1, false, 100 / 1.98, 8},
		{"a burst", 40, ms1, 90 * ms1, false, 40, 40},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := churned(c.n, c.every, c.life)
			if len(r.ThreadMakers) != 1 {
				t.Fatalf("makers %+v", r.ThreadMakers)
			}
			m := &r.ThreadMakers[0]
			if textOf(m.Site) != "serve (a.py:7)" || m.Threads != int64(c.n) || m.Ended != int64(c.n) || *m.LifeP50NS != int64(c.life) {
				t.Errorf("%+v", m)
			}
			if d := m.PerSecond - c.perSecond; d > 0.01 || d < -0.01 || m.AtOnce != c.atOnce || m.ToPython != int64(c.n)*10_000 {
				t.Errorf("%+v", m)
			}
			var found []Finding
			for _, f := range r.Findings {
				if f.Rule == "thread.churn" {
					found = append(found, f)
				}
			}
			if (len(found) == 1) != c.found {
				t.Fatalf("findings %+v", found)
			}
			if c.found && (textOf(found[0].Site) != "serve (a.py:7)" || found[0].CostNS != m.ToPython || !strings.Contains(found[0].Advice, fmt.Sprintf("max_workers=%d", c.atOnce))) {
				t.Errorf("finding %+v", found[0])
			}
			metric, _ := metric("threads.churn")
			want := c.perSecond
			if c.life >= churnLifeNS {
				want = 0
			}
			if got := metric.get(r); got.why != "" || got.value-want > 0.01 || want-got.value > 0.01 {
				t.Errorf("threads.churn is %+v, want %v", got, want)
			}
		})
	}
}
