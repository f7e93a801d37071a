package livetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gilscope/analyze"
	"gilscope/internal/testpy"
	"gilscope/internal/trace"
)

// contendedEndScript ends the way it is told, while daemon threads wait for the
// GIL and hold it. It tells when it begins to.
const contendedEndScript = `
import os, resource, signal, sys, threading, time
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
def work():
    while True: pass
def leave():
    os._exit(3)
for i in range(3): threading.Thread(target=work, daemon=True).start()
print("ready"); how = sys.stdin.readline().strip()
if how == "thread":
    threading.Thread(target=leave).start()
    time.sleep(60)
if how == "sys.exit": sys.exit(7)
os.kill(os.getpid(), getattr(signal, how))
time.sleep(60)
`

// TestContendedEnds: a program whose threads contend ends by itself or is
// killed; the recording ends at once, and knows how that was.
func TestContendedEnds(t *testing.T) {
	for i, in := range testpy.Some(t, "3.8", "debian-3.11", "3.14") {
		for j, c := range []struct {
			how  string
			want analyze.Exit
		}{
			{"sys.exit", analyze.Exit{Code: 7}},
			{"thread", analyze.Exit{Code: 3}},
			{"SIGKILL", analyze.Exit{Signal: 9}},
			{"SIGSEGV", analyze.Exit{Signal: 11}},
		} {
			detail := []string{"waits", "full"}[(i+j)%2] // every way at both
			t.Run(in.Name+"/"+c.how+"/"+detail, steady(func(t testing.TB) { contendedEnd(t, in, c.how, c.want, detail) }))
		}
	}
}

func contendedEnd(t testing.TB, in testpy.Interpreter, how string, want analyze.Exit, detail string) {
	p := testpy.Start(t, in, contendedEndScript)
	r := startRecord(t, "-p", fmt.Sprint(p.PID), "--detail", detail)
	p.Send(t, how)
	p.Stop() // its error is how it ended
	ended := time.Now()
	r.wait(t)
	took := time.Since(ended)
	if t.Logf("the recording ended %.1f ms after the process", ms(took.Nanoseconds())); took > 2*time.Second {
		t.Errorf("the recording ended %v after its target", took)
	}
	if !strings.Contains(r.said(), "(targets gone)") {
		t.Errorf("it says:\n%s", r.said())
	}
	rec := open(t, r, nil)
	row := processOf(rec.report, int32(p.PID))
	if row == nil || row.Exit == nil || *row.Exit != want {
		t.Errorf("the report has %s, want an end with %+v", rowText(row), want)
	}
	checkAllClosed(t, rec)
}

// checkAllClosed: nobody waits or holds for longer than the process lived.
func checkAllClosed(t testing.TB, r recording) {
	t.Helper()
	var last trace.Time
	for _, n := range notes(r.trace, trace.NoteExit) {
		last = n.Time
	}
	open := map[trace.Kind]map[int32]bool{trace.GILWaitBegin: {}, trace.GILHoldBegin: {}}
	for i := range r.trace.Events {
		e := &r.trace.Events[i]
		switch e.Kind {
		case trace.GILWaitBegin, trace.GILHoldBegin:
			open[e.Kind][e.TID] = true
		case trace.GILWaitEnd, trace.GILHoldEnd:
			delete(open[e.Kind-1], e.TID)
			if e.Time > last {
				t.Errorf("%v of thread %d is %v after the exit", e.Kind, e.TID, time.Duration(e.Time-last))
			}
		}
	}
	for kind, tids := range open {
		if len(tids) > 0 {
			t.Errorf("%v without an end: threads %v", kind, tids)
		}
	}
}
