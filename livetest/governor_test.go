package livetest

import (
	"testing"

	"gilscope/internal/testpy"
	"gilscope/internal/trace"
)

// levelsOf are the levels that the trace notes, with their times.
func levelsOf(tr *trace.Trace) (levels []string, at []trace.Time) {
	for _, n := range tr.Notes {
		if n.Name != trace.NoteDetail {
			continue
		}
		for _, a := range n.Args {
			if a.Key == "detail" {
				levels, at = append(levels, a.Text), append(at, n.Time)
			}
		}
	}
	return levels, at
}

// TestQuietTargetsStayFull: what takes the GIL some hundred times a second is
// recorded in full, and agrees with what it measured.
func TestQuietTargetsStayFull(t *testing.T) {
	for _, in := range testpy.Some(t, "3.8", "debian-3.11", "3.13", "debian-3.15") {
		t.Run(in.Name, steady(func(t testing.TB) {
			r := recordTruth(t, in, "holds", "1500ms", "--detail", "auto")
			checkHolds(t, r)
			checkCounts(t, r)
			if levels, _ := levelsOf(r.trace); len(levels) != 1 || levels[0] != "full" {
				t.Errorf("levels %v, want full all the time", levels)
			}
			if g := r.report.GIL[0]; g.FullShare == nil || *g.FullShare != 1 || g.BusyShare == nil {
				t.Errorf("full share %v, busy share %v", g.FullShare, g.BusyShare)
			}
			checkCost(t, r, 0.02)
		}))
	}
}

// TestBurstsStepDown: a target that takes the GIL too often is recorded at waits
// within milliseconds, tries full again later, and its waits are right throughout.
func TestBurstsStepDown(t *testing.T) {
	for _, program := range []string{"many_short", "phases"} {
		for _, in := range testpy.Some(t, "3.8", "3.13", "standalone-3.14.6") {
			t.Run(program+"/"+in.Name, steady(func(t testing.TB) {
				r := recordTruth(t, in, program, "4s", "--detail", "auto", "--max-overhead", "10%")
				checkWaits(t, r, max(0.02, r.report.GIL[0].WaitErrorShare))
				levels, at := levelsOf(r.trace)
				t.Log(levels)
				if len(levels) < 3 || levels[0] != "full" || levels[1] != "waits" || levels[2] != "full" {
					t.Fatalf("levels %v, want full, waits, full again", levels)
				}
				if g := r.report.GIL[0]; g.FullShare == nil || *g.FullShare <= 0 || *g.FullShare >= 1 || g.BusyShare != nil {
					t.Errorf("full share %v, busy share %v", g.FullShare, g.BusyShare)
				}
				checkCost(t, r, 0.1)
				holdsOnlyIn(t, r.trace, levels, at)
			}))
		}
	}
}

// checkCost: the recording states what it cost, and the probes kept to their share.
func checkCost(t testing.TB, r recording, share float64) {
	t.Helper()
	end := note(t, r.trace, trace.NoteEnd)
	rec := r.report.Recording
	if rec.NSPerHit == nil || rec.OverheadShare == nil || *rec.NSPerHit < 100 || *rec.NSPerHit > 20_000 {
		t.Fatalf("ns per hit %v, overhead %v", rec.NSPerHit, rec.OverheadShare)
	}
	// Probe_hits counts those that were told; the others cost the trap alone.
	cost := float64(end["probe_hits"]) * *rec.NSPerHit / float64(rec.DurationNS)
	t.Logf("%d hits of %.0f ns: %.2f %% of the time; all in all %.2f %% of one CPU", end["probe_hits"], *rec.NSPerHit, 100*cost, 100**rec.OverheadShare)
	if cost > share {
		t.Errorf("the probes cost %.2f %% of the time", 100*cost)
	}
}

// holdsOnlyIn: holds are in the trace where it says that they are, and nowhere else.
func holdsOnlyIn(t testing.TB, tr *trace.Trace, levels []string, at []trace.Time) {
	t.Helper()
	level, next, inFull := "", 0, 0
	for _, e := range tr.Events {
		for next < len(at) && e.Time >= at[next] {
			level = levels[next]
			next++
		}
		if e.Kind != trace.GILHoldBegin {
			continue
		}
		if level != "full" {
			t.Fatalf("a hold begins at %d, at level %q", e.Time, level)
		}
		inFull++
	}
	if inFull == 0 {
		t.Error("no hold was recorded at full")
	}
}
