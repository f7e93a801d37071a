package livetest

import (
	"path/filepath"
	"testing"

	"gilscope/internal/testpy"
	"gilscope/internal/trace"
	"gilscope/oracle"
)

// checkWithoutGIL records threads that only compute, in an interpreter without a
// GIL: nobody waits, and every sample says what its thread is at.
func checkWithoutGIL(t testing.TB, in testpy.Interpreter, detail string) {
	t.Helper()
	r := recordTruth(t, in, "cpu_threads", "1s", "--detail", detail, "--hz", "499")
	if n := note(t, r.trace, trace.NoteTarget); n["free_threaded"] != 1 || n["gil_enabled"] != 0 {
		t.Errorf("%s: the note says %v", detail, n)
	}
	for _, g := range r.report.GIL {
		if g.Waits != 0 || g.Switching.DropRequests != 0 {
			t.Errorf("%s: %d waits for the GIL, %d drop requests", detail, g.Waits, g.Switching.DropRequests)
		}
	}
	if py := r.report.Processes[0].Python; py == nil || py.GILEnabled == nil || *py.GILEnabled {
		t.Errorf("%s: the report says %+v", detail, py)
	}
	run(t, []string{"report", r.path}).wants(t, 0, "The process has no GIL (free-threaded build, GIL disabled)")
	for tid, th := range r.truth.Threads {
		checkSamples(t, r, tid, bodyOf(t, r.truth, th.Role))
	}
}

// bodyOf is where a thread of that role computes.
func bodyOf(t testing.TB, truth *oracle.Truth, role string) oracle.Expectation {
	t.Helper()
	for _, e := range truth.Expect {
		if e.HolderRole == role {
			return e
		}
	}
	t.Fatalf("nothing is expected of threads of role %s", role)
	return oracle.Expectation{}
}

// checkSamples wants 95 % of a thread's CPU samples, and enough of them, in a
// function and on its lines.
func checkSamples(t testing.TB, r recording, tid int32, body oracle.Expectation) {
	t.Helper()
	var all, right int
	for _, e := range r.trace.Events {
		if e.Kind != trace.CPUSample || e.TID != tid {
			continue
		}
		all++
		for _, id := range r.trace.Stacks[e.Stack] {
			f := r.trace.Frames[id]
			if short(r.trace.Strings[f.Function]) == body.Function && filepath.Base(r.trace.Strings[f.File]) == filepath.Base(body.File) &&
				int(f.Line) > body.Line[0] && int(f.Line) <= body.Line[1] {
				right++
				break
			}
		}
	}
	t.Logf("thread %d: %d of %d samples in %s", tid, right, all, body.Function)
	if all < 100 || right*100 < all*95 {
		t.Errorf("thread %d: %d of %d samples in %s", tid, right, all, body.Function)
	}
}
