package livetest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gilscope/internal/testpy"
	"gilscope/internal/trace"
	"gilscope/oracle"
)

// await returns once gilscope has said something n times.
func (r *recorder) await(t testing.TB, text string, n int) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(60 * time.Second)
	for strings.Count(r.said(), text) < n {
		select {
		case <-tick.C:
		case <-r.ended:
			if strings.Count(r.said(), text) < n {
				t.Fatalf("it ended and did not say %q %d times:\n%s", text, n, r.said())
			}
		case <-limit:
			t.Fatalf("it did not say %q %d times:\n%s", text, n, r.said())
		}
	}
}

// dumpOf is the nth dump of a recorder, opened like any recording.
func dumpOf(t testing.TB, r *recorder, n int, truth *oracle.Truth) recording {
	t.Helper()
	path := r.trace
	if n > 1 {
		path = fmt.Sprintf("%s-%d.pftrace", strings.TrimSuffix(r.trace, ".pftrace"), n)
	}
	return open(t, &recorder{trace: path, words: new(bytes.Buffer)}, truth)
}

// endReason is the reason that the closing note tells.
func endReason(t testing.TB, tr *trace.Trace) string {
	t.Helper()
	for _, a := range notes(tr, trace.NoteEnd)[0].Args {
		if a.Key == "reason" {
			return a.Text
		}
	}
	t.Error("the closing note has no reason")
	return ""
}

// TestDumps: each dump is a recording of the last seconds that is whole by
// itself, imports cleanly, and tells what another recorder tells of that time.
func TestDumps(t *testing.T) {
	const keep = 2 * time.Second
	for _, c := range []struct{ program, detail string }{{"convoy", "waits"}, {"holds", "full"}, {"many_short", "full"}, {"churn", "waits"}} {
		t.Run(c.program+"/"+c.detail, steady(func(t testing.TB) {
			script, err := filepath.Abs(filepath.Join("..", "testdata", "truth", c.program+".py"))
			if err != nil {
				t.Fatal(err)
			}
			p := testpy.StartScript(t, testpy.One(t, "3.12"), script)
			whole := startRecord(t, "-p", fmt.Sprint(p.PID), "--detail", c.detail)
			r := startRecord(t, "-p", fmt.Sprint(p.PID), "--ring", keep.String(), "--detail", c.detail)
			<-time.After(keep + keep/2) // the time that is to be recorded, and more
			if _, err := os.Stat(r.trace); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a file before there was a reason: %v", err)
			}
			for n := range 2 {
				r.cmd.Process.Signal(syscall.SIGUSR1)
				r.await(t, "(SIGUSR1)", n+1)
			}
			r.cmd.Process.Signal(syscall.SIGINT)
			r.wait(t)
			whole.cmd.Process.Signal(syscall.SIGINT)
			whole.wait(t)
			if err := p.Stop(); err != nil {
				t.Fatalf("%s was harmed: %v", c.program, err)
			}
			for n, reason := range []string{"SIGUSR1", "SIGUSR1", "signal"} {
				d := dumpOf(t, r, n+1, nil)
				checkDump(t, d, reason, keep)
				for _, wrong := range compareWays(t, way{c.detail, "auto"}, readTrace(t, whole.trace), d, d.from, d.to) {
					t.Error(wrong)
				}
			}
		}))
	}
}

func checkDump(t testing.TB, d recording, reason string, keep time.Duration) {
	t.Helper()
	if got := endReason(t, d.trace); got != reason {
		t.Errorf("reason %q, want %q", got, reason)
	}
	end := note(t, d.trace, trace.NoteEnd)
	if end["events"] != int64(len(d.trace.Events)) || end["lost"] != 0 || end["stored"] == 0 {
		t.Errorf("the closing note says %v of %d events", end, len(d.trace.Events))
	}
	if d.report.Recording.DurationNS != int64(keep) {
		t.Errorf("it lasts %d ns, want %v", d.report.Recording.DurationNS, keep)
	}
	if len(notes(d.trace, trace.NoteTarget)) != 1 || len(notes(d.trace, trace.NoteDetail)) != 1 {
		t.Errorf("notes %+v", d.trace.Notes)
	}
	t.Logf("%s: %d events, %d waits", reason, len(d.trace.Events), d.report.GIL[0].Waits)
}

// holdScript holds the GIL for as many milliseconds as it is told, while
// another thread wants it.
const holdScript = `
import ctypes, sys, threading, time
native = ctypes.PyDLL(None)
def poll_queue():
    while True: time.sleep(0.002)
threading.Thread(target=poll_queue, name="poller", daemon=True).start()
print("ready")
for line in sys.stdin:
    native.usleep(int(line) * 1000)
    print("done")
`

// TestTriggers: a long wait or hold is written with what came before and after
// it, once; then the recorder goes on until it has written enough.
func TestTriggers(t *testing.T) {
	fired := regexp.MustCompile(`^trigger gil\.(wait|hold) (\d+) ms$`)
	for metric, detail := range map[string]string{"gil.wait": "waits", "gil.hold": "full"} {
		t.Run(metric, steady(func(t testing.TB) {
			p := testpy.Start(t, testpy.One(t, "3.12"), holdScript)
			r := startRecord(t, "-p", fmt.Sprint(p.PID), "--keep", "3s", "--detail", detail,
				"--trigger", metric+">300ms", "--trigger", "gil.wait>1h", "--after", "600ms", "--max-dumps", "2")
			for n := range 2 {
				for _, ms := range []string{"150", "700"} {
					p.Send(t, ms)
					p.Line(t)
				}
				r.await(t, "pftrace: ", n+1) // wrote t.pftrace: 1.2 MB
			}
			r.wait(t)
			if err := p.Stop(); err != nil {
				t.Errorf("the target was harmed: %v", err)
			}
			if !strings.Contains(r.said(), "wrote 2 dumps") || strings.Count(r.said(), "\ntrigger ") != 2 {
				t.Errorf("it says:\n%s", r.said())
			}
			for n := range 2 {
				d := dumpOf(t, r, n+1, nil)
				m := fired.FindStringSubmatch(endReason(t, d.trace))
				if m == nil || "gil."+m[1] != metric {
					t.Fatalf("reason %q", endReason(t, d.trace))
				}
				if ms, _ := strconv.Atoi(m[2]); ms < 300 || ms > 800 {
					t.Errorf("reason %q, want a time from 300 ms on", m[0])
				}
				checkTriggered(t, d, 600e6)
			}
		}))
	}
}

// checkTriggered: the long wait is in the trace, with the time after it.
func checkTriggered(t testing.TB, d recording, after int64) {
	t.Helper()
	end := int64(notes(d.trace, trace.NoteEnd)[0].Time)
	var longest oracle.Interval // the last long one: a dump may hold the time of the one before
	for _, th := range d.trace.Threads {
		for _, w := range pairsOf(d.trace, th.TID, trace.GILWaitBegin, trace.GILWaitEnd) {
			if w[1]-w[0] > 650e6 && w[1] > longest[1] {
				longest = w
			}
		}
	}
	if ns := longest[1] - longest[0]; ns < 650e6 || ns > 900e6 {
		t.Errorf("the longest wait is %.0f ms, want 700", ms(ns))
	}
	// The alarm may have gone off up to 400 ms before the end of the wait.
	if left := end - longest[1]; left < after-450e6 || left > after+400e6 {
		t.Errorf("%.0f ms were recorded after the wait", ms(left))
	}
}

// TestDumpAtTheEnd: with its last target the recorder ends, and leaves a dump in
// which the process is whole.
func TestDumpAtTheEnd(t *testing.T) {
	p := testpy.Start(t, testpy.One(t, "3.12"), holdScript)
	r := startRecord(t, "-p", fmt.Sprint(p.PID), "--keep", "1h")
	p.Send(t, "50")
	p.Line(t)
	if err := p.Stop(); err != nil {
		t.Errorf("the target was harmed: %v", err)
	}
	r.wait(t)
	d := dumpOf(t, r, 1, nil)
	if endReason(t, d.trace) != "targets gone" || len(notes(d.trace, trace.NoteExit)) != 1 || len(notes(d.trace, trace.NoteGIL)) != 1 {
		t.Errorf("notes %+v", d.trace.Notes)
	}
}

// forkScript forks a child every 50 ms, which lives for 200 ms and has a thread; it says so until it is told to end.
const forkScript = `
import os, sys, threading, time
def work():
    end = time.monotonic() + 0.2
    while time.monotonic() < end: time.sleep(0.001)
def fork():
    while True:
        if os.fork() == 0:
            threading.Thread(target=work, name="child-work").start(); work(); os._exit(0)
        time.sleep(0.05)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]: print("ended")
        except ChildProcessError: pass  # on a busy machine all may have ended
print("ready")
threading.Thread(target=fork, daemon=True).start()
sys.stdin.read()
`

// TestDumpOfChildren: a dump has those processes that lived in its time, each
// with its interpreter, and says when they began; the others are forgotten.
func TestDumpOfChildren(t *testing.T) {
	p := testpy.Start(t, testpy.One(t, "3.11"), forkScript)
	r := startRecord(t, "-p", fmt.Sprint(p.PID), "--follow", "--keep", "500ms")
	for range 40 {
		p.Line(t)
	}
	r.cmd.Process.Signal(syscall.SIGUSR1)
	r.await(t, "(SIGUSR1)", 1)
	r.cmd.Process.Signal(syscall.SIGINT)
	r.wait(t)
	p.Kill()
	for n := range 2 {
		d := dumpOf(t, r, n+1, nil)
		targets := map[int32]bool{}
		for _, n := range notes(d.trace, trace.NoteTarget) {
			targets[n.PID] = true
		}
		for _, child := range d.trace.Processes {
			if !targets[child.PID] {
				t.Errorf("nothing is said of the interpreter of pid %d", child.PID)
			}
		}
		if n := len(d.trace.Processes); n < 4 || n > 30 {
			t.Errorf("%d processes in 500 ms", n)
		}
		begin := d.trace.Notes[0].Time
		for _, n := range notes(d.trace, trace.NoteStarted) {
			if last := n.Args[len(n.Args)-1]; (n.Time == begin) != (last.Key == "since_ns" && last.Num < int64(begin)) {
				t.Errorf("started: %+v, the dump begins at %d", n, begin)
			}
		}
	}
}

// maxFlight is what a flight recorder of 10 s at 100,000 events a second may use.
const maxFlight = 100e6

// statScript takes and drops the GIL 26,000 times a second, which at detail full
// makes 100,000 events, whatever else the machine does.
const statScript = `
import os, sys, threading, time
def stat_files():
    due = time.monotonic()
    while True:
        for _ in range(130): os.stat("/")
        due += 0.01
        time.sleep(max(due - time.monotonic(), 0))
for n in range(2): threading.Thread(target=stat_files, daemon=True).start()
print("ready"); sys.stdin.read()
`

// TestFlightIsSmall holds the recorder's memory to that, the event buffer of
// 16 MiB (which is mapped twice) and the writing of a dump included.
func TestFlightIsSmall(t *testing.T) {
	p := testpy.Start(t, testpy.One(t, "3.12"), statScript)
	r := startRecord(t, "-p", fmt.Sprint(p.PID), "--keep", "10s", "--detail", "full", "-d", "15s")
	memory := endOf(t, r)
	p.Kill()
	d := dumpOf(t, r, 1, nil)
	rate := float64(len(d.trace.Events)) / 10
	t.Logf("%.0f events a second: %.1f MB", rate, float64(memory)/1e6)
	if memory > maxFlight || rate < 80_000 {
		t.Errorf("the recorder used %.1f MB, more than %.1f MB, at %.0f events a second", float64(memory)/1e6, maxFlight/1e6, rate)
	}
}

// TestMaxSize: the trace ends cleanly when it is as large as it may be.
func TestMaxSize(t *testing.T) {
	script, err := filepath.Abs(filepath.Join("..", "testdata", "truth", "many_short.py"))
	if err != nil {
		t.Fatal(err)
	}
	p := testpy.StartScript(t, testpy.One(t, "3.12"), script)
	r := startRecord(t, "-p", fmt.Sprint(p.PID), "--max-size", "1MiB", "--detail", "full")
	r.wait(t)
	p.Kill()
	d := open(t, r, nil)
	st, err := os.Stat(r.trace)
	if err != nil || st.Size() < 1<<20 || st.Size() > 5<<20/2 {
		t.Errorf("it has %d bytes: %v", st.Size(), err)
	}
	if endReason(t, d.trace) != "size" || !strings.Contains(r.said(), "has reached --max-size") {
		t.Errorf("reason %q; it says:\n%s", endReason(t, d.trace), r.said())
	}
}

// TestFlightUsage: what makes no sense is refused before anything is attached.
func TestFlightUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--trigger", "gil.wait>1s"}, "--keep"},
		{[]string{"--keep", "5s", "--trigger", "loop.lag>1s"}, "use gil.wait"},
		{[]string{"--keep", "5s", "--trigger", "gil.hold>1s", "--detail", "waits"}, "--detail full"},
		{[]string{"--keep", "5s", "--ring", "5s"}, "give one of them"},
		{[]string{"--ring", "3"}, "power of two"},
		{[]string{"--ring", "-3s"}, "power of two"},
		{[]string{"--max-size", "12"}, "100MB"},
		{[]string{"--keep", "-5s"}, "above 0"},
		{[]string{"--keep", "5s", "--max-dumps", "0"}, "1 or more"},
	} {
		run(t, append([]string{"record", "-p", "1"}, c.args...)).wants(t, 2, c.want)
	}
	run(t, []string{"record", "-p", fmt.Sprint(startBusy(t).PID), "--keep", "5s", "-o", "/nowhere/t.pftrace"}).wants(t, 5, "create it first")
}
