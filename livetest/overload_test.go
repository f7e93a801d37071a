package livetest

import (
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"gilscope/analyze"
	"gilscope/internal/testpy"
	"gilscope/internal/trace"
)

// stop stops a process, and returns when it is.
func stop(t testing.TB, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for limit := time.Now().Add(runLimit); !strings.Contains(stateOf(pid), "State:\tT"); {
		if time.Now().After(limit) {
			t.Fatalf("pid %d does not stop", pid)
		}
		<-time.After(time.Millisecond)
	}
}

// TestRecorderStopped: while the recorder is stopped its ring fills. The target
// goes on as fast as before; what is lost is counted, its time is known, and
// nobody is said to have waited through it. Then recording goes on.
func TestRecorderStopped(t *testing.T) {
	for name, args := range map[string][]string{"file": nil, "flight": {"--keep", "1m"}} {
		t.Run(name, func(t *testing.T) {
			p := startWorker(t)
			r := startRecord(t, append([]string{"-p", fmt.Sprint(p.PID), "--detail", "full", "--ring", "2"}, args...)...)
			held := objectsOf(t, r.cmd.Process.Pid)
			recorded := answers(t, p, 5*turns)
			stop(t, r.cmd.Process.Pid)
			from := bootTime(t)
			unrecorded := answers(t, p, 10*turns)
			to := bootTime(t)
			if err := r.cmd.Process.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			answers(t, p, turns)
			r.finish(t)
			held.gone(t)
			unharmed(t, p)
			t.Logf("for as many turns the target took %v beside a recorder, %v beside a stopped one", recorded, unrecorded/2)
			if unrecorded/2 > 4*recorded {
				t.Errorf("a stopped recorder makes the target slower: %v, else %v", unrecorded/2, recorded)
			}
			checkGap(t, r.trace, from, to)
		})
	}
}

// checkGap holds a trace to a loss between two moments.
func checkGap(t *testing.T, path string, from, to trace.Time) {
	t.Helper()
	tr := readTrace(t, path)
	lost := checkExact(t, tr)
	report := analyze.Analyze(tr)
	var within, begin, end int64
	for _, l := range report.Recording.Losses {
		if l.BeginNS >= int64(from) && l.BeginNS <= int64(to) {
			within += l.Events
			begin, end = max(begin, l.BeginNS), max(end, l.EndNS)
		}
	}
	t.Logf("%d events lost, %d of them from %.1f to %.1f ms after the stop, which lasted %.1f ms", lost, within, ms(begin-int64(from)), ms(end-int64(from)), ms(int64(to-from)))
	if lost < 1000 || within < lost*9/10 || report.Recording.LostEvents != lost {
		t.Errorf("%d events were lost, %d while the recorder was stopped; the report says %d", lost, within, report.Recording.LostEvents)
	}
	if begin <= int64(from) || end < int64(to)-1e8 || end > int64(to)+2e9 {
		t.Errorf("the loss is from %d to %d, the recorder was stopped from %d to %d", begin, end, from, to)
	}
	after := 0
	for i := range tr.Events {
		if e := &tr.Events[i]; e.Kind == trace.GILHoldBegin && int64(e.Time) > end {
			after++
		}
	}
	if after < turns/2 {
		t.Errorf("%d holds were recorded after the stop", after)
	}
	tl := analyze.Build(tr)
	for _, w := range tl.GILs[0].Waits {
		if over := min(int64(w.End), end) - max(int64(w.Start), begin); over > (end-begin)/2 {
			t.Errorf("a wait from %d to %d goes through the loss from %d to %d", w.Start, w.End, begin, end)
		}
	}
	saysLoss(t, path)
}

// floodScript takes and drops the GIL as often as it can, with nobody else
// wanting it, until its stdin ends.
const floodScript = `
import os, sys, threading
stdin = threading.Thread(target=sys.stdin.read); stdin.start()
fd, lseek, rounds = os.open(sys.executable, os.O_RDONLY), os.lseek, range(1000)
print("ready")
while stdin.is_alive():
    for i in rounds: lseek(fd, 0, 0)
sys.exit(7)
`

// TestOverflow: processes that make more events than a recorder can take, on all
// CPUs, into a small ring: they are stored or counted as lost, each.
func TestOverflow(t *testing.T) {
	args := []string{"-d", "1s", "--detail", "full", "--ring", "1"}
	var floods []*testpy.Proc
	for range min(runtime.NumCPU()+1, 8) { // so that the recorder lacks a CPU, too
		p := testpy.Start(t, testpy.One(t, "3.12"), floodScript)
		floods, args = append(floods, p), append(args, "-p", fmt.Sprint(p.PID))
	}
	r := startRecord(t, args...)
	held := objectsOf(t, r.cmd.Process.Pid)
	r.wait(t)
	held.gone(t)
	for _, p := range floods {
		cleanCode(t, p.PID)
		if code := exitOf(t, p.Stop()); code != 7 {
			t.Errorf("a target ended with %d, want its 7", code)
		}
	}
	tr := readTrace(t, r.trace)
	lost := checkExact(t, tr)
	rec := analyze.Analyze(tr).Recording
	produced := note(t, tr, trace.NoteEnd)["produced"]
	ns, stretches := rec.LossNS()
	t.Logf("%.0fk events/s, %.1f %% lost, in %.1f ms (%d stretches)", float64(produced)/float64(rec.DurationNS)*1e6, share(lost, produced), ms(ns), stretches)
	if lost == 0 || len(rec.Losses) == 0 || ns <= 0 {
		t.Errorf("%d events lost in %d ns, in %d stretches: this shows nothing", lost, ns, len(rec.Losses))
	}
	saysLoss(t, r.trace)
}

// TestTwoRecorders: both see all; when one is killed the other goes on.
func TestTwoRecorders(t *testing.T) {
	p := startWorker(t)
	killed := startRecord(t, "-p", fmt.Sprint(p.PID), "--detail", "full")
	one := startRecord(t, "-p", fmt.Sprint(p.PID), "--detail", "full")
	two := startRecord(t, "-p", fmt.Sprint(p.PID), "--detail", "full")
	held := objectsOf(t, killed.cmd.Process.Pid)
	from := bootTime(t)
	answers(t, p, turns)
	killed.cmd.Process.Kill()
	<-killed.ended
	held.gone(t)
	answers(t, p, turns)
	to := bootTime(t)
	one.finish(t)
	two.finish(t)
	unharmed(t, p)
	var takes [2]int
	for i, r := range []*recorder{one, two} {
		tr := readTrace(t, r.trace)
		if lost := checkExact(t, tr); lost > 0 {
			t.Errorf("recorder %d lost %d events", i, lost)
		}
		for k := range tr.Events {
			if e := &tr.Events[k]; e.Kind == trace.GILHoldBegin && e.Time >= from && e.Time <= to {
				takes[i]++
			}
		}
	}
	if d := takes[0] - takes[1]; takes[0] < 2*turns || d*d > 4 {
		t.Errorf("one recorder saw %d takes, the other %d", takes[0], takes[1])
	}
}

// TestChildrenNotFollowed: 500 children that are not recorded inherit the
// breakpoints of their parent. They end as they would without, and are counted.
func TestChildrenNotFollowed(t *testing.T) {
	p := readyProcess(t, testpy.One(t, "3.13"), "litter")
	r := startRecord(t, "-p", fmt.Sprint(p.PID), "--detail", "full")
	if code := exitOf(t, p.Stop()); code != 0 || strings.Count(p.Last, ":") != 500 {
		t.Errorf("it ended with %d and said %.200q", code, p.Last)
	}
	r.wait(t)
	if want := "child processes not recorded: 500; pass --follow"; !strings.Contains(r.said(), want) {
		t.Errorf("it does not say %q:\n%s", want, r.said())
	}
	checkExact(t, readTrace(t, r.trace))
}
