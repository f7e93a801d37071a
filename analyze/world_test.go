package analyze

import (
	"testing"

	"gilscope/internal/trace"
)

func (m *maker) stop(from, stopped, to trace.Time, tid int32, why trace.WorldReason, stack trace.StackID) {
	m.add(from, trace.WorldStopBegin, tid, trace.Event{Arg: int64(why), Stack: stack})
	m.add(stopped, trace.WorldStopped, tid, trace.Event{})
	m.add(to, trace.WorldStopEnd, tid, trace.Event{})
}

// isStopped is a thread that sleeps until by lets the world go on.
func (m *maker) isStopped(from, released, to trace.Time, tid, by int32, stack trace.StackID) {
	m.locks(from, tid, 4096*int64(tid), trace.LockStopped, 0)
	m.gives(released, by, tid, 4096*int64(tid), stack)
	m.has(to, tid, trace.WaitTaken)
}

func TestPauses(t *testing.T) {
	m := newMaker("waits")
	for tid, name := range map[int32]string{10: "gc", 20: "a", 30: "b"} {
		m.thread(tid, name)
	}
	at := m.stack("collect app.py 5")
	m.stop(10*ms1, 12*ms1, 40*ms1, 10, trace.WorldGC, at)
	m.isStopped(11*ms1, 40*ms1, 41*ms1, 20, 10, at)
	m.isStopped(30*ms1, 40*ms1, 42*ms1, 30, 10, at) // it came back from elsewhere
	m.stop(60*ms1, 61*ms1, 70*ms1, 10, trace.WorldGC, at)
	m.isStopped(60*ms1, 70*ms1, 71*ms1, 20, 10, at) // at once
	m.stop(80*ms1, 81*ms1, 85*ms1, 20, trace.WorldFork, at)
	r := Analyze(m.end(100 * ms1))
	if len(r.StopTheWorld) != 2 {
		t.Fatalf("%+v", r.StopTheWorld)
	}
	gc, fork := r.StopTheWorld[0], r.StopTheWorld[1]
	if gc.Reason != "gc" || *gc.Requester.TID != 10 || *gc.Requester.Site.Line != 5 || gc.Pauses != 2 || gc.PauseNS != 40e6 || gc.PauseMax != 30e6 || *gc.StopNS != 3e6 || *gc.StopMax != 2e6 {
		t.Errorf("%+v", gc)
	}
	if len(gc.Threads) != 2 || gc.Threads[0].TID != 20 || gc.Threads[0].Stops != 2 || gc.Threads[0].StoppedNS != 41e6 || *gc.Threads[0].TookNS != 1e6 {
		t.Errorf("%+v", gc.Threads)
	}
	if b := gc.Threads[1]; b.TID != 30 || b.StoppedNS != 12e6 || b.TookNS != nil {
		t.Errorf("who came back took time to stop: %+v", b)
	}
	if fork.Reason != "fork" || len(fork.Threads) != 0 || fork.PauseNS != 5e6 {
		t.Errorf("%+v", fork)
	}
	if len(r.Findings) != 1 || r.Findings[0].Rule != "world.pauses" || r.Findings[0].CostNS != 53e6 {
		t.Errorf("%+v", r.Findings)
	}
}

// TestPausesWithoutProbes: who was stopped tells who did it, and how long at least.
func TestPausesWithoutProbes(t *testing.T) {
	m := newMaker("waits")
	m.thread(10, "gc")
	at := m.stack("collect app.py 5")
	m.isStopped(11*ms1, 40*ms1, 41*ms1, 20, 10, at)
	m.isStopped(20*ms1, 41*ms1, 42*ms1, 30, 10, at)
	m.isStopped(50*ms1, 60*ms1, 61*ms1, 20, 10, at)
	m.locks(70*ms1, 30, 4096, trace.LockStopped, 0) // until the end: nobody let it go on
	m.has(90*ms1, 30, trace.WaitUnknown)
	r := Analyze(m.end(100 * ms1))
	if len(r.StopTheWorld) != 1 {
		t.Fatalf("%+v", r.StopTheWorld)
	}
	w := r.StopTheWorld[0]
	if w.Reason != "unknown" || w.Pauses != 2 || w.PauseNS != 40e6 || w.StopNS != nil || *w.Requester.TID != 10 || *w.Requester.Site.Line != 5 || len(w.Threads) != 2 {
		t.Errorf("%+v", w)
	}
}

// TestGILChanges: what is not known of an import is null, and only the processes of the report have any.
func TestGILChanges(t *testing.T) {
	m := newMaker("waits")
	m.thread(20, "importer")
	m.t.Notes = append(m.t.Notes,
		trace.Note{Time: 1, PID: 1, Name: trace.NoteTarget, Args: []trace.Arg{{Key: "python", Text: "3.13.15"}, {Key: "free_threaded", Num: 1}}},
		trace.Note{Time: 20 * ms1, PID: 1, Name: trace.NoteGILState, Args: []trace.Arg{{Key: "enabled", Num: 1}, {Key: "tid", Num: 20}, {Key: "module", Text: "old"}}},
		trace.Note{Time: 30 * ms1, PID: 1, Name: trace.NoteGILState, Args: []trace.Arg{{Key: "enabled", Num: 0}}},
		trace.Note{Time: 40 * ms1, PID: 1, Name: trace.NoteGILState, Args: []trace.Arg{{Key: "enabled", Num: 1}}},
		trace.Note{Time: 50 * ms1, PID: 99, Name: trace.NoteGILState, Args: []trace.Arg{{Key: "enabled", Num: 1}}})
	m.add(20*ms1, trace.GILOn, 20, trace.Event{Stack: m.stack("_call_with_frames_removed <frozen_importlib._bootstrap> 488", "lazy app.py 9")})
	r := Analyze(m.end(100 * ms1))
	var changes []GILChange
	for _, p := range r.Processes {
		if p.Python != nil {
			changes = append(changes, p.Python.GILChanges...)
		}
	}
	if len(changes) != 3 || changes[1].Enabled || changes[2].TID != nil || changes[2].Text() != "the GIL was turned on; by what is unknown" {
		t.Fatalf("%+v", changes)
	}
	if c := changes[0]; *c.Module != "old" || *c.TID != 20 || *c.Name != "importer" || c.Site == nil || c.AtNS != int64(20*ms1) {
		t.Errorf("%+v", c)
	}
}

func TestLockAdvice(t *testing.T) {
	for kind := trace.LockUnknown; kind <= trace.LockInterpreter; kind++ {
		if lockAdvice(kind.String()) == "" {
			t.Errorf("no advice about %s", kind)
		}
	}
	if !ofObject("list") || ofObject("Lock") || ofObject("interpreter") {
		t.Error("which locks are objects' own")
	}
	for why := trace.WorldUnknown; why <= trace.WorldMemory; why++ {
		if pauseAdvice[why.String()] == "" {
			t.Errorf("no advice about %s", why)
		}
	}
}
