package livetest

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"gilscope/analyze"
	"gilscope/internal/testpy"
	"gilscope/internal/trace"
)

// worldTruth is what testdata/locks/world.py did.
type worldTruth struct {
	lockTruth
	Collector   int32
	Line        int32
	Collections [][2]int64
}

// TestStopTheWorld: a collection of garbage stops all threads. The thread that was
// stopped waited, and the pauses last, as long as it timed itself; the line of who asked is right.
func TestStopTheWorld(t *testing.T) {
	for _, in := range testpy.FreeThreaded(t) {
		t.Run(in.Name, steady(func(t testing.TB) {
			script, _ := lockScript(t, "world")
			p := testpy.StartScript(t, in, script)
			rec := startRecord(t, "-p", fmt.Sprint(p.PID), "-d", "1s")
			rec.wait(t)
			if err := p.Stop(); err != nil {
				t.Fatal(err)
			}
			var truth worldTruth
			if err := json.Unmarshal([]byte(p.Last), &truth); err != nil {
				t.Fatalf("read the truth: %v: %q", err, p.Last)
			}
			r := open(t, rec, nil)
			checkPauses(t, r, truth)
			checkWorldRows(t, r.report, truth)
			checkStopped(t, r, truth)
			checkInferred(t, r, truth)
		}))
	}
}

// checkPauses: all pauses are in collections, of which each makes two.
func checkPauses(t testing.TB, r recording, truth worldTruth) {
	t.Helper()
	pauses := waitsOf(r, truth.Collector, trace.WorldStopBegin, trace.WorldStopEnd)
	var in, collections int
	for _, c := range truth.Collections {
		if c[0] < r.from || c[1] > r.to {
			continue
		}
		collections++
		for _, p := range pauses {
			if p[0] >= c[0] && p[1] <= c[1] {
				in++
			}
		}
	}
	for _, p := range pauses {
		inside := slices.ContainsFunc(truth.Collections, func(c [2]int64) bool { return p[0] >= c[0] && p[1] <= c[1] })
		if p[0] >= r.from && p[1] <= r.to && !inside {
			t.Errorf("a pause of %.3f ms is in no collection", ms(p[1]-p[0]))
		}
	}
	if collections < 5 || in != 2*collections {
		t.Errorf("%d collections made %d pauses", collections, in)
	}
}

// checkWorldRows wants all pauses to be asked for by the collector, on its line.
func checkWorldRows(t testing.TB, r *analyze.Report, truth worldTruth) {
	t.Helper()
	if len(r.StopTheWorld) == 0 {
		t.Fatal("no pause is in the report")
	}
	for _, row := range r.StopTheWorld {
		site := row.Requester.Site
		if row.Reason != trace.WorldGC.String() || *row.Requester.TID != truth.Collector || site == nil || *site.Line != truth.Line || filepath.Base(*site.File) != "world.py" {
			t.Errorf("%d pauses for %s, asked for by thread %d %s; want the collector %d, line %d",
				row.Pauses, row.Reason, *row.Requester.TID, siteOf(site), truth.Collector, truth.Line)
		}
		if row.StopNS == nil || *row.StopNS > row.PauseNS || len(row.Threads) == 0 || row.Threads[0].TookNS == nil {
			t.Errorf("how long it took to stop: %v of %d ns, threads %+v", row.StopNS, row.PauseNS, row.Threads)
		}
	}
}

// checkStopped holds what the other thread timed against what was recorded of it.
func checkStopped(t testing.TB, r recording, truth worldTruth) {
	t.Helper()
	for tid, timed := range truth.Threads {
		var id int32
		fmt.Sscan(tid, &id)
		if id == truth.Collector {
			continue
		}
		locks, gil := waitsOf(r, id, trace.LockWaitBegin, trace.LockWaitEnd), waitsOf(r, id, trace.GILWaitBegin, trace.GILWaitEnd)
		explained := normal(slices.Concat(locks, gil, runnableOf(r.trace, id)))
		paused := normal(slices.Concat(waitsOf(r, truth.Collector, trace.WorldStopped, trace.WorldStopEnd), gil, runnableOf(r.trace, id)))
		var want, got, pauses int64
		for _, w := range timed {
			if w.begin >= r.from && w.end <= r.to {
				want += w.end - w.begin - w.cpu
				got += explained.within(w.begin, w.end).total()
				pauses += paused.within(w.begin, w.end).total()
			}
		}
		t.Logf("the thread that was stopped timed %.3f ms, recorded %.3f ms, of pauses %.3f ms", ms(want), ms(got), ms(pauses))
		for _, ns := range []int64{got, pauses} {
			if want < 50e6 || math.Abs(float64(want-ns)) > max(0.02*float64(want), 2e6) {
				t.Errorf("the thread that was stopped timed %.3f ms, recorded %.3f ms, of pauses %.3f ms", ms(want), ms(got), ms(pauses))
			}
		}
	}
}

// checkInferred leaves out what the probes told: then those who were stopped tell nearly the same.
func checkInferred(t testing.TB, r recording, truth worldTruth) {
	t.Helper()
	blind := *r.trace
	blind.Events = slices.DeleteFunc(slices.Clone(blind.Events), func(e trace.Event) bool {
		return e.Kind == trace.WorldStopBegin || e.Kind == trace.WorldStopped || e.Kind == trace.WorldStopEnd
	})
	var all, seen int64
	for _, row := range r.report.StopTheWorld {
		all += row.PauseNS
	}
	for _, row := range analyze.Analyze(&blind).StopTheWorld {
		seen += row.PauseNS
		if *row.Requester.TID != truth.Collector || row.Reason != trace.WorldUnknown.String() || row.StopNS != nil {
			t.Errorf("without probes: %+v", row)
		}
	}
	t.Logf("of pauses of %.3f ms, %.3f ms are seen without probes", ms(all), ms(seen))
	if float64(seen) < 0.8*float64(all) || float64(seen) > 1.02*float64(all)+1e6 {
		t.Errorf("of pauses of %.3f ms, %.3f ms are seen without probes", ms(all), ms(seen))
	}
}

// TestWorldReasons: why the world was stopped is right each time, and so is the line.
func TestWorldReasons(t *testing.T) {
	for _, in := range testpy.FreeThreaded(t) {
		t.Run(in.Name, func(t *testing.T) {
			script, _ := lockScript(t, "reasons")
			p := testpy.StartScript(t, in, script)
			rec := startRecord(t, "-p", fmt.Sprint(p.PID), "-d", "1s")
			rec.wait(t)
			if err := p.Stop(); err != nil {
				t.Fatal(err)
			}
			var truth map[string]int32
			if err := json.Unmarshal([]byte(p.Last), &truth); err != nil {
				t.Fatalf("read the truth: %v: %q", err, p.Last)
			}
			seen := map[string]int64{}
			for _, row := range open(t, rec, nil).report.StopTheWorld {
				site := row.Requester.Site
				if site == nil || site.Function == nil || short(*site.Function) != "for_"+row.Reason || *site.Line <= truth[row.Reason] || *site.Line > truth[row.Reason]+2 {
					t.Errorf("%d pauses for %s, asked for %s", row.Pauses, row.Reason, siteOf(site))
				}
				seen[row.Reason] += row.Pauses
			}
			for reason := range truth {
				if seen[reason] < 3 {
					t.Errorf("%d pauses for %s", seen[reason], reason)
				}
			}
			t.Logf("pauses: %v", seen)
		})
	}
}
