package analyze

import (
	"testing"

	"gilscope/internal/trace"
)

// shared makes a recording in which threads 10, 20 ... compute in turns, ns at a time, as the
// GIL makes them, so many turns each.
func shared(threads, turns int32, each trace.Time) *maker {
	m := newMaker("waits")
	m.t.Notes[0].Args = append(m.t.Notes[0].Args, trace.Arg{Key: "cpus", Num: 2})
	for i := range threads {
		m.thread(10*(i+1), "")
		m.wait(0, 10*(i+1), 0)
	}
	at := trace.Time(0)
	for n := range threads * turns {
		tid := 10 * (n%threads + 1)
		m.taken(at, tid)
		m.run(at, 0, tid, 1)
		if at += each; n < threads*(turns-1) {
			m.wait(at, tid, 0)
		}
	}
	m.run(at, 0, 0, 1)
	return m
}

func predicted(t *testing.T, m *maker, end trace.Time) []Prediction {
	t.Helper()
	r := Analyze(m.end(end))
	if r.Scaling == nil {
		t.Fatal("no scaling")
	}
	return r.Scaling.Predictions
}

// TestPredictShared: threads that only compute take as long as their computing on the CPUs
// there are, and with one CPU each as long as the longest.
func TestPredictShared(t *testing.T) {
	for _, c := range []struct {
		threads int32
		wall    int64 // with two CPUs, in ms
		enough  int64 // 0: two are enough
	}{{1, 200, 0}, {2, 200, 0}, {3, 300, 200}, {4, 400, 200}} {
		p := predicted(t, shared(c.threads, 40, 5*ms1), 1000*ms1)
		if p[0].Why != nil || *p[0].RecordedNS != int64(c.threads)*200e6 || p[0].Threads != int64(c.threads) {
			t.Errorf("%d threads: %+v", c.threads, p[0])
			continue
		}
		if off := *p[0].WallNS - c.wall*1e6; off < 0 || off > 2*quantum || *p[0].WallMinNS != *p[0].WallNS {
			t.Errorf("%d threads: predicted %d ns", c.threads, *p[0].WallNS)
		}
		if (len(p) == 2) != (c.enough > 0) || c.enough > 0 && *p[1].WallNS != c.enough*1e6 {
			t.Errorf("%d threads: %+v", c.threads, p)
		}
	}
}

// TestPredictWaits: what a thread sleeps for outside takes as long as it did, a wait for
// another thread ends when that has come so far, and one for a lock can be thought away.
func TestPredictWaits(t *testing.T) {
	wait := func(kind trace.LockKind) *maker {
		m := newMaker("waits")
		m.t.Notes[0].Args = append(m.t.Notes[0].Args, trace.Arg{Key: "cpus", Num: 2})
		m.thread(10, "")
		m.thread(20, "")
		m.run(0, 0, 10, 0)
		m.wait(0, 20, 0)
		m.run(100*ms1, 0, 20, 0x100) // 10 loses the GIL
		m.taken(100*ms1, 20)
		m.wait(100*ms1, 10, 0)
		m.run(150*ms1, 0, 10, 1) // 20 sleeps for 30 ms
		m.taken(150*ms1, 10)
		m.add(180*ms1, trace.SchedWaking, 20, trace.Event{})
		m.wait(180*ms1, 20, 0)
		m.run(200*ms1, 0, 20, 1)
		m.taken(200*ms1, 20)
		m.locks(200*ms1, 10, 64, kind, 0) // 10 waits for 20, which computes for 100 ms more
		m.gives(300*ms1, 20, 10, 64, 0)
		m.add(300*ms1, trace.SchedWaking, 10, trace.Event{})
		m.run(301*ms1, 0, 10, 1)
		m.has(301*ms1, 10, trace.WaitTaken)
		m.run(321*ms1, 0, 0, 1)
		return m
	}
	// 20 gives back after 50 ms, 30 ms asleep and 100 ms; 10 has computed 150 ms by then, and 20 ms follow.
	p := predicted(t, wait(trace.LockCondition), 400*ms1)[0]
	if p.Why != nil || *p.RecordedNS != 321e6 || *p.WallNS != 200e6 || *p.WallMinNS != 200e6 {
		t.Errorf("for others: %+v", p)
	}
	p = predicted(t, wait(trace.LockLock), 400*ms1)[0]
	if p.Why != nil || *p.WallNS != 200e6 || *p.WallMinNS != 181e6 || *p.SpeedupMax < *p.Speedup {
		t.Errorf("for a lock: wall %d, at least %d", *p.WallNS, *p.WallMinNS)
	}
}

// TestNoPrediction: what cannot be known is not told, with the reason.
func TestNoPrediction(t *testing.T) {
	for name, change := range map[string]func(*maker){
		"too little was recorded: record for longer, while the program computes": nil,
		"events were lost, and with them parts of what threads did": func(m *maker) {
			m.note(1, 0, trace.NoteLost, trace.Arg{Key: "events", Num: 1})
		},
		"the trace does not say how many CPUs the machine has": func(m *maker) { m.t.Notes[0].Args = nil },
		"the process has no GIL": func(m *maker) {
			m.t.Notes[1].Args = append(m.t.Notes[1].Args, trace.Arg{Key: "gil_enabled", Num: 0})
		},
	} {
		m := shared(2, 4, 5*ms1)
		if change != nil {
			m = shared(2, 40, 5*ms1)
			change(m)
		}
		if p := predicted(t, m, 1000*ms1); len(p) != 1 || p[0].Why == nil || *p[0].Why != name || p[0].WallNS != nil {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

// TestReplayContradiction: threads that wait for each other in a circle do not hold up the replay.
func TestReplayContradiction(t *testing.T) {
	r := &replay{signals: 2, actors: []actor{
		{counts: true, steps: []replayStep{{act: actAwait, signal: 0}, {act: actRaise, signal: 1}}},
		{counts: true, steps: []replayStep{{act: actAwait, signal: 1}, {act: actRaise, signal: 0}}},
	}}
	if _, ok := r.play(2, false); ok {
		t.Error("it came to an end")
	}
	endless := actor{counts: true, steps: []replayStep{{act: actRun, ns: 1<<63 - 1}, {act: actPause, ns: 1<<63 - 1}, {act: actRun, ns: 1<<63 - 1}}}
	(&replay{actors: []actor{endless, endless, endless}}).play(2, false) // ends
	huge := &replay{actors: []actor{{counts: true, steps: []replayStep{{act: actRun, ns: 1 << 62}}}}}
	if ns, ok := huge.play(1, false); !ok || ns != 1<<62 {
		t.Errorf("%d %v", ns, ok)
	}
}
