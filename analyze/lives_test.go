package analyze

import (
	"fmt"
	"testing"

	"gilscope/internal/trace"
)

// life is what a test says of a Thread.
type life struct {
	pid, tid   int32
	name       string
	start, end trace.Time
	started    bool
	ended      bool
	states     int
}

func (l life) String() string {
	return fmt.Sprintf("%d/%d %q %d-%d started %v ended %v, %d states", l.pid, l.tid, l.name, l.start, l.end, l.started, l.ended, l.states)
}

func lives(tl *Timeline) []life {
	var list []life
	for _, th := range tl.Threads {
		list = append(list, life{th.PID, th.TID, th.Name, th.Start, th.End, th.Started, th.Ended, len(th.States)})
	}
	return list
}

// in makes the events that follow those of another process.
func in(m *maker, pid int32) *maker { m.pid = pid; return m }

// reuses are traces of 100 ns in which the number 50 has several owners.
var reuses = []struct {
	name string
	play func(m *maker)
	want []life
}{
	{"by another process, start and end told", func(m *maker) {
		m.thread(50, "old")
		m.run(10, 0, 50, 0)
		m.add(30, trace.ThreadExit, 50, trace.Event{})
		m.run(30, 0, 0, 0x80)
		in(m, 2).thread(50, "new")
		m.add(40, trace.ThreadStart, 50, trace.Event{})
		m.run(50, 0, 50, 0)
		m.run(60, 0, 0, 1)
	}, []life{{1, 50, "old", 0, 30, false, true, 1}, {2, 50, "new", 40, 100, true, false, 2}}},
	{"as the first thread of a forked process", func(m *maker) {
		m.thread(50, "old")
		m.run(10, 0, 50, 0)
		m.add(30, trace.ThreadExit, 50, trace.Event{})
		m.fork(40, 50, 1, "fork")
		m.run(45, 0, 50, 0)
		m.run(60, 0, 0, 1)
	}, []life{{1, 50, "old", 0, 30, false, true, 1}, {50, 50, "", 40, 100, true, false, 2}}},
	{"the end was lost", func(m *maker) {
		m.thread(50, "old")
		m.run(10, 0, 50, 0)
		in(m, 2).add(40, trace.ThreadStart, 50, trace.Event{})
		m.run(50, 1, 50, 0)
	}, []life{{1, 50, "old", 0, 40, false, false, 1}, {2, 50, "", 40, 100, true, false, 1}}},
	{"start and end were lost: who acts has the number", func(m *maker) {
		m.thread(50, "old")
		m.run(10, 0, 50, 0)
		in(m, 2).wait(40, 50, 0)
		m.run(50, 1, 50, 0)
	}, []life{{1, 50, "old", 0, 40, false, false, 1}, {2, 50, "", 40, 100, false, false, 1}}},
	{"what memory says of another process's thread gives it no number", func(m *maker) {
		m.thread(50, "parent")
		m.run(10, 0, 50, 0)
		in(m, 2).holder(40, 50)
		m.run(50, 0, 0, 1)
	}, []life{{1, 50, "parent", 0, 100, false, false, 2}}},
	{"late news of the old one", func(m *maker) {
		m.wait(5, 50, 0)
		m.add(30, trace.ThreadExit, 50, trace.Event{})
		in(m, 2).add(40, trace.ThreadStart, 50, trace.Event{})
		in(m, 1).taken(50, 50)
		m.add(55, trace.ThreadExit, 50, trace.Event{})
		m.run(60, 0, 50, 0)
	}, []life{{1, 50, "", 0, 30, false, true, 0}, {2, 50, "", 40, 100, true, false, 1}}},
	{"within one process", func(m *maker) {
		m.thread(50, "worker")
		m.run(10, 0, 50, 0)
		m.add(30, trace.ThreadExit, 50, trace.Event{})
		m.run(30, 0, 0, 0x80)
		m.add(40, trace.ThreadStart, 50, trace.Event{})
		m.run(50, 0, 50, 0)
		m.add(90, trace.ThreadExit, 50, trace.Event{})
	}, []life{{1, 50, "worker", 0, 30, false, true, 1}, {1, 50, "worker", 40, 90, true, true, 1}}},
	{"a thread starts once", func(m *maker) {
		m.add(10, trace.ThreadStart, 50, trace.Event{})
		m.run(20, 0, 50, 0)
		m.add(30, trace.ThreadStart, 50, trace.Event{})
	}, []life{{1, 50, "", 10, 100, true, false, 1}}},
}

func TestReusedNumbers(t *testing.T) {
	for _, c := range reuses {
		t.Run(c.name, func(t *testing.T) {
			m := newMaker("waits")
			c.play(m)
			tl := Build(m.end(100))
			checkLane(t, tl)
			checkLives(t, tl)
			if got := lives(tl); fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("got  %v\nwant %v", got, c.want)
			}
		})
	}
}

// TestReusedNumbersInReport: waits, samples and holders' names stay with the
// process they are of.
func TestReusedNumbersInReport(t *testing.T) {
	m := newMaker("waits")
	stack := m.stack("f a.py 1")
	for i, at := range []trace.Time{0, 1000} { // 50 waits for 60, in process 2 and then in 3
		m.fork(at, int32(2+i), 1, "fork")
		m.thread(50, fmt.Sprint("waiter ", i))
		m.thread(60, fmt.Sprint("holder ", i))
		m.add(at+1, trace.ThreadStart, 50, trace.Event{})
		m.add(at+1, trace.ThreadStart, 60, trace.Event{})
		m.holder(at+10, 60)
		m.wait(at+20, 50, stack)
		m.add(at+30, trace.CPUSample, 60, trace.Event{Stack: stack})
		m.holder(at+100*trace.Time(1+i), 50)
		m.taken(at+100*trace.Time(1+i), 50)
		m.add(at+300, trace.ThreadExit, 50, trace.Event{})
		m.add(at+300, trace.ThreadExit, 60, trace.Event{})
	}
	tl := Build(m.end(2000))
	r := tl.Report()
	for i, wait := range []int64{80, 180} {
		g := r.GIL[i]
		if g.PID != int32(2+i) || g.WaitNS != wait || len(g.Blame) != 1 || g.Blame[0].Waiter.Name != fmt.Sprint("waiter ", i) ||
			g.Blame[0].Holder.Name != fmt.Sprint("holder ", i) {
			t.Errorf("GIL %+v", g)
		}
	}
	for _, row := range r.Threads {
		if row.PID > 1 && row.TID == 50 && (row.GILWaitNS != int64(80+100*(row.PID-2)) || *row.EndedNS-*row.StartedNS != 299) {
			t.Errorf("thread %+v", row)
		}
	}
	var sampled []int32
	for _, s := range tl.CPUStacks() {
		sampled = append(sampled, tl.Threads[s.Thread].PID)
	}
	if fmt.Sprint(sampled) != "[2 3]" {
		t.Errorf("samples of processes %v", sampled)
	}
}

// TestTwoInterpreters: a thread that goes from one interpreter to another stands
// in the lanes of both, and samples are the second one's.
func TestTwoInterpreters(t *testing.T) {
	m := newMaker("waits")
	stack := m.stack("f a.py 1")
	m.note(0, 1, trace.NoteInterpreter, trace.Arg{Key: "interpreter", Num: 1}, trace.Arg{Key: "interval_ns", Num: 1_000_000})
	m.holder(10, 20)
	m.add(20, trace.GILHolder, 20, trace.Event{GIL: 1})
	m.holder(30, 30)
	m.add(40, trace.CPUSample, 20, trace.Event{Stack: stack})
	tl := Build(m.end(100))
	r := tl.Report()
	if len(tl.GILs) != 2 || len(tl.GILs[0].Samples) != 0 || len(tl.GILs[1].Samples) != 1 {
		t.Errorf("%+v", tl.GILs)
	}
	if *r.GIL[0].SwitchIntervalNS != 5_000_000 || *r.GIL[1].SwitchIntervalNS != 1_000_000 {
		t.Errorf("intervals %d, %d", *r.GIL[0].SwitchIntervalNS, *r.GIL[1].SwitchIntervalNS)
	}
}
