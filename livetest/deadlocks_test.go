package livetest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"gilscope/analyze"
	"gilscope/internal/testpy"
	"gilscope/internal/trace"
)

// toldWithin is how soon after it has formed a deadlock must be told.
const toldWithin = time.Second

// stuckTruth is what a program of testdata/locks/deadlock.py says of itself.
type stuckTruth struct {
	Formed  int64            `json:"formed"` // BOOTTIME
	Threads map[string]int32 `json:"threads"`
}

// TestDeadlock: a circle of two threads is told at once, and so is a thread that
// waits for itself; each with its lines and locks. The check of such a trace fails.
func TestDeadlock(t *testing.T) {
	for _, in := range lockPythons(t) {
		for _, kind := range []string{"Lock", "RLock", "self", "gone"} {
			t.Run(in.Name+"/"+kind, func(t *testing.T) {
				r, truth := recordDeadlock(t, in, kind, false)
				if len(r.report.Deadlocks) != 1 {
					t.Fatalf("the report has %d deadlocks\n%s", len(r.report.Deadlocks), r.words)
				}
				d := &r.report.Deadlocks[0]
				took := time.Duration(d.FoundNS - truth.Formed)
				if took <= 0 || took > toldWithin {
					t.Errorf("found %v after it formed", took)
				}
				t.Logf("found after %v", took)
				checkCycle(t, d, truth, kind)
				run(t, []string{"check", r.path, "--assert", "recording.lost<=0"}).wants(t, 1, "breach        deadlocks<=0: is 1")
				run(t, []string{"report", r.path}).wants(t, 0, fmt.Sprintf("Deadlock in process %d", d.PID))
			})
		}
	}
}

// TestHungBefore: a process that hangs already says as much, though nothing happens in it.
func TestHungBefore(t *testing.T) {
	for _, in := range append(testpy.Some(t, "3.8", "3.11", "3.13", "debian-3.14"), testpy.FreeThreaded(t)...) {
		t.Run(in.Name, func(t *testing.T) {
			r, truth := recordDeadlock(t, in, "Lock", true)
			if len(r.report.Deadlocks) != 1 {
				t.Fatalf("the report has %d deadlocks\n%s", len(r.report.Deadlocks), r.words)
			}
			if took := time.Duration(r.report.Deadlocks[0].FoundNS - (r.from - edge)); took > toldWithin {
				t.Errorf("found %v after the recording began", took)
			}
			checkCycle(t, &r.report.Deadlocks[0], truth, "Lock")
		})
	}
}

// recordDeadlock records a program with a deadlock, which it is in before or gets into
// while it is recorded.
func recordDeadlock(t *testing.T, in testpy.Interpreter, kind string, before bool) (recording, stuckTruth) {
	t.Helper()
	script, _ := lockScript(t, "deadlock")
	p := testpy.StartScript(t, in, script, kind)
	if before {
		p.Send(t, "go")
		p.Line(t)
	}
	r := startRecord(t, "-p", fmt.Sprint(p.PID), "-d", "2500ms")
	if !before {
		p.Send(t, "go")
	}
	told := time.After(10 * time.Second)
	for live := true; live && !strings.Contains(r.said(), "deadlock in pid"); {
		select {
		case <-r.ended:
			live = false
		case <-told:
			live = false
		case <-time.After(10 * time.Millisecond):
		}
	}
	select {
	case <-r.ended:
		t.Error("nothing was said of the deadlock while it was recorded")
	default:
	}
	r.wait(t)
	if err := p.Stop(); err != nil {
		t.Fatalf("the program was harmed: %v", err)
	}
	var truth stuckTruth
	if err := json.Unmarshal([]byte(p.Last), &truth); err != nil {
		t.Fatalf("read the truth: %v: %q", err, p.Last)
	}
	return open(t, r, nil), truth
}

// checkCycle wants the threads of the program, each on the line on which it takes its
// second lock, two locks, and the right holders.
func checkCycle(t *testing.T, d *analyze.DeadlockRow, truth stuckTruth, kind string) {
	t.Helper()
	lines, other, want := map[string]string{}, map[string]string{}, "Lock"
	switch kind {
	case "self":
		lines["alone"], other["alone"] = "alone deadlock.py:44", "alone"
	case "gone":
		lines["orphan"], want = "orphan deadlock.py:51", "RLock"
	case "RLock":
		want = kind
		fallthrough
	default:
		lines["first"], other["first"] = "first deadlock.py:29", "second"
		lines["second"], other["second"] = "second deadlock.py:37", "first"
	}
	locks := map[string]bool{}
	for _, c := range d.Cycle {
		line, ok := lines[c.Name]
		held := int32(0)
		if c.HeldByTID != nil {
			held = *c.HeldByTID
		}
		if !ok || c.TID != truth.Threads[c.Name] || siteOf(c.Site) != line || c.Kind != want || held != truth.Threads[other[c.Name]] {
			t.Errorf("%s (%d) waits %s for a %s held by %d", c.Name, c.TID, siteOf(c.Site), c.Kind, held)
		}
		delete(lines, c.Name)
		locks[c.WaitsFor] = true
	}
	if len(lines) > 0 || len(locks) != len(d.Cycle) {
		t.Errorf("not in the circle: %v; it has the locks %v", lines, locks)
	}
}

// TestNoDeadlock: ordinary locking, also where it is slow and where a thread is in the
// body of a with statement whose lock it has given back, is none.
func TestNoDeadlock(t *testing.T) {
	duration := "10s"
	for _, in := range append(testpy.Some(t, "3.8", "3.11", "debian-3.14"), testpy.FreeThreaded(t)...) {
		t.Run(in.Name, func(t *testing.T) {
			r, _ := recordLocks(t, in, "storm", duration)
			for _, e := range r.trace.Events {
				if e.Kind == trace.Deadlock {
					t.Errorf("thread %d is said to wait for ever", e.TID)
				}
			}
			if strings.Contains(r.words, "deadlock") {
				t.Errorf("a deadlock was told:\n%s", r.words)
			}
			run(t, []string{"check", r.path, "--assert", "deadlocks<=0"}).wants(t, 0, "pass")
		})
	}
}
