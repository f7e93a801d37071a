package livetest

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"

	"gilscope/analyze"
	"gilscope/internal/testpy"
	"gilscope/oracle"
)

// recordOrders records testdata/locks/orders.py, whose threads tell their numbers.
func recordOrders(t testing.TB, in testpy.Interpreter, args ...string) (recording, map[string]int32) {
	t.Helper()
	script, _ := lockScript(t, "orders")
	p := testpy.StartScript(t, in, script, args...)
	r := startRecord(t, "-p", fmt.Sprint(p.PID), "-d", "1200ms")
	r.wait(t)
	if err := p.Stop(); err != nil {
		t.Fatalf("the program was harmed: %v", err)
	}
	var tids map[string]int32
	if err := json.Unmarshal([]byte(p.Last), &tids); err != nil {
		t.Fatalf("read the truth: %v: %q", err, p.Last)
	}
	return open(t, r, nil), tids
}

// TestLockOrders: two threads that take two locks in opposite orders are told, though they
// never meet, with their lines; so are three in a circle, and what guards them. Nothing is told
// where the order is the same, an RLock is taken again, or only one thread does both.
func TestLockOrders(t *testing.T) {
	opposite := map[string]string{"first": "first orders.py:23", "second": "second orders.py:29"}
	circle := map[string]string{"first": "first orders.py:23", "middle": "middle orders.py:52", "last": "last orders.py:58"}
	for _, in := range append(testpy.Some(t, "3.8", "3.11", "3.13", "debian-3.14"), testpy.FreeThreaded(t)...) {
		for _, c := range []struct {
			args    []string
			want    map[string]string // by thread: where it waits
			guarded bool
		}{
			{[]string{"opposite", "Lock"}, opposite, false},
			{[]string{"opposite", "RLock"}, opposite, false},
			{[]string{"guarded", "Lock"}, opposite, true},
			{[]string{"three", "Lock"}, circle, false},
			{[]string{"same", "RLock"}, nil, false},
			{[]string{"alone", "Lock"}, nil, false},
		} {
			t.Run(fmt.Sprintf("%s/%s-%s", in.Name, c.args[0], c.args[1]), func(t *testing.T) {
				r, tids := recordOrders(t, in, c.args...)
				checkOrders(t, r, tids, c.want, c.guarded, c.args[1])
			})
		}
	}
}

func checkOrders(t *testing.T, r recording, tids map[string]int32, want map[string]string, guarded bool, kind string) {
	t.Helper()
	if len(r.report.Deadlocks) != 0 {
		t.Errorf("%d deadlocks are told", len(r.report.Deadlocks))
	}
	if want == nil {
		if len(r.report.LockOrders) != 0 {
			t.Errorf("told: %+v", r.report.LockOrders)
		}
		return
	}
	if len(r.report.LockOrders) != 1 {
		t.Fatalf("%d circles of locks\n%s", len(r.report.LockOrders), r.words)
	}
	row := r.report.LockOrders[0]
	if len(row.Steps) != len(want) || (row.GuardedBy != nil) != guarded {
		t.Errorf("%d steps, guarded by %v", len(row.Steps), row.GuardedBy)
	}
	for i, s := range row.Steps {
		next := row.Steps[(i+1)%len(row.Steps)]
		if s.TID != tids[s.Name] || siteOf(s.Site) != want[s.Name] || siteOf(s.HeldSite) != want[s.Name] || s.WaitsFor != next.Held || s.HeldKind != kind {
			t.Errorf("%s (%d) holds %s %s at %s and waits for %s at %s", s.Name, s.TID, s.HeldKind, s.Held, siteOf(s.HeldSite), s.WaitsFor, siteOf(s.Site))
		}
	}
	run(t, []string{"report", r.path}).wants(t, 0, "Locks taken in opposite orders in process")
}

// TestDoubleWait: for how long the holder of a lock waited for the GIL while others
// waited for the lock, by what both timed.
func TestDoubleWait(t *testing.T) {
	for _, in := range testpy.Some(t, "3.8", "3.12", "debian-3.14") {
		t.Run(in.Name, steady(func(t testing.TB) {
			script, _ := lockScript(t, "doublewait")
			p := testpy.StartScript(t, in, script)
			r := startRecord(t, "-p", fmt.Sprint(p.PID), "-d", "1500ms")
			r.wait(t)
			if err := p.Stop(); err != nil {
				t.Fatalf("the program was harmed: %v", err)
			}
			var truth struct {
				Gaps, Waits, GapsBack, WaitsBack []oracle.Interval
			}
			if err := json.Unmarshal([]byte(p.Last), &truth); err != nil {
				t.Fatalf("read the truth: %v", err)
			}
			rec := open(t, r, nil)
			both := func(gaps, waits []oracle.Interval) int64 {
				return normal(gaps).within(rec.from, rec.to).common(normal(waits).within(rec.from, rec.to))
			}
			checkDoubleWait(t, rec.report, both(truth.Gaps, truth.Waits)+both(truth.GapsBack, truth.WaitsBack))
		}))
	}
}

func checkDoubleWait(t testing.TB, r *analyze.Report, want int64) {
	t.Helper()
	var got int64
	told := false
	for _, l := range r.Locks {
		got += l.HolderGILWaitNS
	}
	for _, f := range r.Findings {
		told = told || f.Rule == "lock.gil_wait"
	}
	t.Logf("holder waited for the GIL for %.1f ms while others waited for the lock, by its own times %.1f ms", ms(got), ms(want))
	// Its times are those of the middle of the recording, and have gaps without a wait.
	if !told || want < 100e6 || math.Abs(float64(got-want)) > 0.1*float64(want)+3*edge/2 {
		t.Errorf("reported %.1f ms, finding %v, want %.1f ms", ms(got), told, ms(want))
	}
}
