package livetest

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"

	"gilscope/internal/testpy"
	"gilscope/internal/trace"
	"gilscope/oracle"
)

// TestOwnGILs: of interpreters with a GIL each, every GIL is followed by itself.
func TestOwnGILs(t *testing.T) {
	for _, in := range testpy.Some(t, "3.12", "3.13", "3.14", "debian-3.15") {
		t.Run(in.Name, steady(func(t testing.TB) {
			for w, r := range together(t, in, "interpreters own 2", "1500ms", []way{{"waits", "futex"}, base, {"full", "take_gil"}}) {
				ids := []uint16{0, 1, 2}
				t.Logf("%v", w)
				checkRows(t, r, ids)
				checkWaits(t, r, 0.02)
				checkBlame(t, r)
				checkApart(t, r)
				checkLanes(t, r, ids)
				for _, id := range ids[1:] {
					if n := notesOf(t, r.trace, trace.NoteInterpreter)[id]; n["own_gil"] != 1 {
						t.Errorf("the note of interpreter %d says %v", id, n)
					}
				}
				if w.detail == "full" {
					checkCountsOf(t, r, ids)
				}
			}
		}))
	}
}

// TestSharedGIL: interpreters that use the main one's GIL have one row together.
func TestSharedGIL(t *testing.T) {
	for _, in := range testpy.Some(t, "3.8", "3.10", "debian-3.11", "3.12", "3.14") {
		t.Run(in.Name, steady(func(t testing.TB) {
			for w, r := range together(t, in, "interpreters shared 1", "1500ms", []way{{"waits", "futex"}, base}) {
				t.Logf("%v", w)
				checkRows(t, r, []uint16{0})
				checkWaits(t, r, 0.02)
				checkBlame(t, r)
				checkLanes(t, r, []uint16{0})
				if n := notesOf(t, r.trace, trace.NoteInterpreter)[1]; n == nil || n["own_gil"] != 0 {
					t.Errorf("the note of interpreter 1 says %v", n)
				}
				if w.detail == "full" {
					checkCounts(t, r)
				}
			}
		}))
	}
}

// checkRows wants one row for each of these interpreters, and none for others.
func checkRows(t testing.TB, r recording, want []uint16) {
	t.Helper()
	var got []uint16
	for _, g := range r.report.GIL {
		got = append(got, g.Interpreter)
		if g.Waits == 0 || g.SwitchIntervalNS == nil || *g.SwitchIntervalNS != r.truth.IntervalNS {
			t.Errorf("interpreter %d: %d waits, switch interval %v", g.Interpreter, g.Waits, g.SwitchIntervalNS)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the GILs of interpreters %d, want %d", got, want)
	}
}

// checkApart: what a thread does with its interpreter's GIL stands with that
// GIL, and nobody is blamed who runs in another interpreter.
func checkApart(t testing.TB, r recording) {
	t.Helper()
	astray := map[string]int{}
	for _, e := range r.trace.Events {
		at, known := r.truth.Interpreters[e.TID]
		switch e.Kind {
		case trace.GILWaitBegin, trace.GILWaitEnd, trace.GILHoldBegin, trace.GILHoldEnd, trace.GILDropRequest, trace.GILHolder:
		default:
			continue
		}
		if known && e.GIL != at {
			astray[fmt.Sprintf("%v of a thread of interpreter %d at the GIL of %d", e.Kind, at, e.GIL)]++
		}
	}
	if len(astray) > 0 {
		t.Errorf("events at another GIL: %v", astray)
	}
	for _, g := range r.report.GIL {
		for _, b := range g.Blame {
			if b.Holder.TID == nil {
				continue
			}
			waiter, measured := r.truth.Interpreters[*b.Waiter.TID]
			holder, known := r.truth.Interpreters[*b.Holder.TID]
			if measured && waiter != g.Interpreter || known && holder != g.Interpreter {
				t.Errorf("interpreter %d: a thread of interpreter %d waits %.3f ms for one of %d", g.Interpreter, waiter, ms(b.WaitNS), holder)
			}
		}
	}
}

// checkLanes asks Perfetto for the tracks of the holders.
func checkLanes(t testing.TB, r recording, ids []uint16) {
	t.Helper()
	var want, got []string
	for _, id := range ids {
		name := "GIL holder"
		if id > 0 {
			name = fmt.Sprintf("GIL holder %d", id)
		}
		want = append(want, name)
	}
	a := oracle.Ask(t, r.path, oracle.Request{SQL: []string{
		`SELECT t.name AS name, count(*) AS steps FROM track t JOIN slice s ON s.track_id = t.id
		 WHERE t.name GLOB 'GIL holder*' GROUP BY t.name ORDER BY t.name`}})
	for _, row := range a.Tables[0] {
		got = append(got, row["name"].(string))
		if row["steps"].(int64) < 20 {
			t.Errorf("track %q has %d slices", row["name"], row["steps"])
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("Perfetto shows the tracks %q, want %q", got, want)
	}
}

// checkCountsOf is checkCounts for each of these interpreters.
func checkCountsOf(t testing.TB, r recording, ids []uint16) {
	t.Helper()
	notes := notesOf(t, r.trace, trace.NoteGIL)
	for _, id := range ids {
		n := notes[id]
		if n["takes"] == 0 || n["changes"] != n["switches"] {
			t.Errorf("interpreter %d: %d takes, %d of them by another thread; it counts %d switches", id, n["takes"], n["changes"], n["switches"])
		}
		t.Logf("interpreter %d: %d takes, %d changes of holder, switch_number rose by %d", id, n["takes"], n["changes"], n["switches"])
	}
}

// notesOf returns the numbers of the notes of that name by interpreter, and when
// each was written as "time".
func notesOf(t testing.TB, tr *trace.Trace, name string) map[uint16]map[string]int64 {
	t.Helper()
	out := map[uint16]map[string]int64{}
	for _, n := range tr.Notes {
		if n.Name != name {
			continue
		}
		numbers := map[string]int64{"time": int64(n.Time)}
		for _, a := range n.Args {
			numbers[a.Key] = a.Num
		}
		out[uint16(numbers["interpreter"])] = numbers
	}
	return out
}

// said is what interpreters.py answers to a command: when it began and ended to
// follow it, when a new interpreter was there, and when its threads contended.
type said struct {
	Interpreter        uint16
	From, Made, Up, To int64
}

// seenWithin is how soon a new interpreter must be noticed: it is looked for
// with every read of the ring, which waits 50 ms at most; the rest is the reader's
// way to a CPU when all are busy.
const seenWithin = 150e6 // ns

// TestInterpretersComeAndGo makes and destroys interpreters while they are recorded.
func TestInterpretersComeAndGo(t *testing.T) {
	for _, in := range testpy.Some(t, "3.12", "3.13", "3.14", "debian-3.15") {
		for _, detail := range []string{"waits", "full"} {
			t.Run(in.Name+"/"+detail, steady(func(t testing.TB) { comeAndGo(t, in, detail) }))
		}
	}
}

func comeAndGo(t testing.TB, in testpy.Interpreter, detail string) {
	p := startProgram(t, in, "interpreters own 1")
	r := startRecord(t, "-p", fmt.Sprint(p.PID), "--detail", detail)
	tell := func(command string) (s said) {
		p.Send(t, command)
		if err := json.Unmarshal([]byte(p.Line(t)), &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	var made, gone []said
	for range 2 {
		made = append(made, tell("create"))
		gone = append(gone, tell("destroy"))
	}
	gone = append(gone, tell("destroy")) // the one that was there before
	if err := r.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	r.wait(t)
	truth := truthOf(t, p, "interpreters.py")
	rec := open(t, r, truth)
	checkRows(t, rec, []uint16{0, 1, 2, 3})
	if detail == "full" {
		checkCountsOf(t, rec, []uint16{0})
	}
	checkApart(t, rec)
	for i, m := range made {
		checkVisitor(t, rec, m, gone[i])
	}
	for _, g := range gone {
		checkGone(t, rec, g)
	}
	checkWaits(t, rec.inside(0, rec.from, rec.to), 0.02)
}

// checkVisitor: an interpreter that came is noticed soon, and its waits are right
// from then until it goes.
func checkVisitor(t testing.TB, r recording, came, gone said) {
	t.Helper()
	n := notesOf(t, r.trace, trace.NoteInterpreter)[came.Interpreter]
	if n == nil {
		t.Fatalf("no note tells of interpreter %d", came.Interpreter)
	}
	after := n["time"] - came.Made
	t.Logf("interpreter %d: noticed %.1f ms after it was made", came.Interpreter, ms(after))
	if after > seenWithin {
		t.Errorf("interpreter %d was noticed after %.1f ms", came.Interpreter, ms(after))
	}
	checkWaits(t, r.inside(came.Interpreter, max(n["time"], came.Up)+edge, gone.From), 0.02)
}

// checkGone: nothing is told of an interpreter that is gone, but that its GIL is
// free, which is noticed a little later.
func checkGone(t testing.TB, r recording, gone said) {
	t.Helper()
	for _, e := range r.trace.Events {
		if e.GIL != gone.Interpreter || int64(e.Time) <= gone.To {
			continue
		}
		if closing := e.Kind == trace.GILHolder && e.TID == 0 || e.Kind == trace.GILWaiters && e.Arg == 0; !closing || int64(e.Time) > gone.To+300e6 {
			t.Errorf("interpreter %d: %v of thread %d (arg %d) %.3f ms after its end", gone.Interpreter, e.Kind, e.TID, e.Arg, ms(int64(e.Time)-gone.To))
		}
	}
}

// inside is the recording as the threads of one interpreter saw it, in a window.
func (r recording) inside(interpreter uint16, from, to int64) recording {
	truth := *r.truth
	truth.Threads = map[int32]*oracle.TruthThread{}
	for tid, th := range r.truth.Threads {
		if r.truth.Interpreters[tid] == interpreter {
			truth.Threads[tid] = th
		}
	}
	r.truth, r.from, r.to = &truth, from, to
	return r
}
