package livetest

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gilscope/analyze"
	"gilscope/internal/testpy"
	"gilscope/internal/trace"
	"gilscope/oracle"
)

// loopTruth is what a program of testdata/loops measured of its event loop.
type loopTruth struct {
	Schema     string          `json:"schema"`
	Began      int64           `json:"began"`
	Ended      int64           `json:"ended"`
	Busy       int64           `json:"busy"`
	Iterations []loopIteration `json:"iterations"` // of 20 ms and more
	Calls      []loopCall      `json:"calls"`
}

// loopIteration is between when it began, and when it ended.
type loopIteration [3]int64

// whole is the iteration at its longest.
func (it loopIteration) whole() oracle.Interval { return oracle.Interval{it[0], it[2]} }

// loopCall is a call that kept the loop: what the report must say of the
// iteration that it lies in.
type loopCall struct {
	Begin     int64    `json:"begin"`
	End       int64    `json:"end"`
	Cause     string   `json:"cause"`
	Function  string   `json:"function"`
	File      string   `json:"file"`
	Lines     []int    `json:"lines"`
	Task      *string  `json:"task"`
	Coroutine *string  `json:"coroutine"`
	Syscall   *string  `json:"syscall"` // one of several, with | between
	Awaits    []string `json:"awaits"`
}

// loopRecording is a recorded program and the one loop in it.
type loopRecording struct {
	recording
	in    testpy.Interpreter
	truth loopTruth
	loop  *analyze.LoopRow

	runnable spans // when the loop's thread had no CPU
}

// recordLoop runs a program of testdata/loops and records it for a while.
func recordLoop(t testing.TB, in testpy.Interpreter, program, duration string, args ...string) loopRecording {
	t.Helper()
	p := startLoops(t, in, program)
	r := startRecord(t, append([]string{"-p", fmt.Sprint(p.PID), "-d", duration}, args...)...)
	r.wait(t)
	if err := p.Stop(); err != nil {
		t.Fatalf("%s was harmed: %v", program, err)
	}
	l := loopRecording{in: in}
	if err := json.Unmarshal([]byte(p.Last), &l.truth); err != nil || l.truth.Schema != "gilscope.loops/v1" {
		t.Fatalf("read the truth of %s: %v: %q", program, err, p.Last)
	}
	l.open(t, r)
	kind := "asyncio"
	if program == "kinds trio" {
		kind = "trio"
	}
	if l.loop.Kind != kind || l.loop.TID != int32(p.PID) {
		t.Errorf("the loop is %s of thread %d, want %s of %d", l.loop.Kind, l.loop.TID, kind, p.PID)
	}
	return l
}

// open reads the recording, in which there must be one loop.
func (l *loopRecording) open(t testing.TB, r *recorder) {
	t.Helper()
	l.recording = open(t, r, nil)
	if len(l.report.Loops) != 1 {
		t.Fatalf("the report has %d loops, the program one\n%s", len(l.report.Loops), r.said())
	}
	l.loop = &l.report.Loops[0]
	l.runnable = runnableOf(l.trace, l.loop.TID)
	for _, n := range l.trace.Notes {
		if n.Name == trace.NoteLoop { // the first one: from here on the loop is known
			l.from = max(l.from, int64(n.Time))
			break
		}
	}
}

const (
	blockNS = 50_000_000
	// what lasts about as long as the threshold may be on either side of it
	nearNS = 2_000_000
)

// checkBlocks holds every block to an iteration that the program timed, and every
// such iteration to a block.
func (l *loopRecording) checkBlocks(t testing.TB) {
	t.Helper()
	matched := map[int]bool{}
	seen := 0
	for _, timed := range l.truth.Iterations {
		it := timed.whole()
		ns := it[1] - it[0]
		if it[0] < l.from || it[1] > l.to || ns < blockNS-nearNS {
			continue
		}
		i := slices.IndexFunc(l.loop.Blocks, func(b analyze.BlockRow) bool {
			return min(b.StartNS+b.DurationNS, it[1])-max(b.StartNS, it[0]) > ns/2
		})
		if i < 0 {
			if timed[2]-timed[1] > blockNS+nearNS {
				t.Errorf("a block of %.3f ms at %d was missed (%s)", ms(ns), it[0], l.callIn(it).label())
			}
			continue
		}
		matched[i] = true
		seen++
		l.checkBlock(t, &l.loop.Blocks[i], timed)
	}
	for i := range l.loop.Blocks {
		b := &l.loop.Blocks[i]
		if !matched[i] && b.StartNS > l.from && b.StartNS+b.DurationNS < l.to && b.DurationNS > blockNS+nearNS {
			t.Errorf("a false block of %.3f ms at %d: %s %s", ms(b.DurationNS), b.StartNS, b.Cause, siteOf(b.Site))
		}
	}
	t.Logf("%d blocks", seen)
}

// callIn is the call that took most of an iteration; nil: none did.
func (l *loopRecording) callIn(it oracle.Interval) *loopCall {
	for i := range l.truth.Calls {
		c := &l.truth.Calls[i]
		if min(c.End, it[1])-max(c.Begin, it[0]) > (it[1]-it[0])/2 {
			return c
		}
	}
	return nil
}

func (c *loopCall) label() string {
	if c == nil {
		return "no call of the program's"
	}
	return c.Cause + " in " + c.Function
}

func siteOf(s *analyze.SiteRow) string {
	if s == nil || s.Function == nil || s.File == nil || s.Line == nil {
		return "at no line"
	}
	return fmt.Sprintf("%s %s:%d", *s.Function, filepath.Base(*s.File), *s.Line)
}

// checkBlock holds one block to the iteration.
func (l *loopRecording) checkBlock(t testing.TB, b *analyze.BlockRow, it loopIteration) {
	t.Helper()
	call := l.callIn(oracle.Interval{b.StartNS, b.StartNS + b.DurationNS})
	text := fmt.Sprintf("%.3f ms, %s %s", ms(b.DurationNS), b.Cause, siteOf(b.Site))
	off := l.awake(it[2], b.StartNS+b.DurationNS)
	if b.StartNS < it[0] {
		off += l.awake(b.StartNS, it[0])
	} else if b.StartNS > it[1] || call == nil || call.Cause == "gil" {
		off += l.awake(it[0], b.StartNS)
	}
	if off > max(b.DurationNS/100, 1_000_000) {
		t.Errorf("%s from %d: the program says %v (%s), which is %.3f ms off", text, b.StartNS, it, call.label(), ms(off))
	}
	if b.Split == nil || b.Open {
		t.Errorf("%s: has no split, or no end", text)
		return
	}
	s, gc := b.Split, int64(0)
	if s.GCNS != nil {
		gc = *s.GCNS
	}
	if sum := s.OnCPUNS + s.GILWaitNS + s.RunnableNS + s.BlockedNS + gc; sum != b.DurationNS {
		t.Errorf("%s: the split sums to %d, not %d", text, sum, b.DurationNS)
	}
	// On a machine that is busy with other things, a little work becomes a block.
	if b.Cause == "runqueue" && (call == nil || call.Cause != "runqueue") && s.RunnableNS*2 >= b.DurationNS && b.DurationNS-s.RunnableNS < blockNS {
		return
	}
	if call == nil {
		t.Errorf("%s: there was no such call", text)
		return
	}
	l.checkWhose(t, b, call, text)
}

// awake is how far two moments are apart, without the time in which the loop's
// thread wanted a CPU and had none: in that the program could not look at its clock,
// nor the system call begin or end.
func (l *loopRecording) awake(a, b int64) int64 {
	a, b = min(a, b), max(a, b)
	return b - a - l.runnable.within(a, b).total()
}

// checkWhose holds cause, line, system call and task to what the program did.
func (l *loopRecording) checkWhose(t testing.TB, b *analyze.BlockRow, call *loopCall, text string) {
	t.Helper()
	site := b.Site
	if call.Cause == "gil" && b.Culprit != nil {
		site = b.Culprit.Site
		if b.Culprit.Name != "hog" {
			t.Errorf("%s: the culprit is %s", text, b.Culprit.Name)
		}
	}
	if b.Cause != call.Cause {
		t.Errorf("%s: the cause is %s; split %+v", text, call.label(), *b.Split)
	}
	if site == nil || site.Function == nil || site.Line == nil || short(*site.Function) != call.Function || !sameFile(*site.File, call.File) ||
		!slices.Contains(call.Lines, int(*site.Line)) {
		t.Errorf("%s: named is %s; want %s in lines %v", text, siteOf(site), call.label(), call.Lines)
	}
	if call.Cause == "gil" {
		return
	}
	if got, want := value(b.Coroutine), value(call.Coroutine); short(got) != want {
		t.Errorf("%s: the coroutine is %q, want %q", text, got, want)
	}
	var awaits []string
	for i := range b.Awaits {
		awaits = append(awaits, short(value(b.Awaits[i].Function)))
	}
	if !slices.Equal(awaits, call.Awaits) {
		t.Errorf("%s: the chain of awaits is %q, want %q", text, awaits, call.Awaits)
	}
	if call.Syscall != nil && !slices.Contains(strings.Split(*call.Syscall, "|"), value(b.Syscall)) {
		t.Errorf("%s: the system call is %q, want %q", text, value(b.Syscall), *call.Syscall)
	}
	if want := value(call.Task); value(b.Task) != want {
		t.Errorf("%s: the task is %q, want %q", text, value(b.Task), want)
	}
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// loopInterpreters are those on which loops are tested: with symbols and stripped,
// each form of code objects and tasks.
func loopInterpreters(t testing.TB) []testpy.Interpreter {
	return testpy.Some(t, "pyenv-3.8", "pyenv-3.11", "pyenv-3.12", "pyenv-3.13", "debian-3.14", "debian-3.15")
}

// TestBlocks: every way to block a loop is found, explained and pinned to its line.
func TestBlocks(t *testing.T) {
	for _, in := range loopInterpreters(t) {
		t.Run(in.Name, steady(func(t testing.TB) {
			l := recordLoop(t, in, "blocks", "8s")
			l.checkBlocks(t)
			causes := map[string]bool{}
			for _, b := range l.loop.Blocks {
				causes[b.Cause] = true
			}
			for _, want := range []string{"sleep", "cpu", "syscall", "file", "gc", "lock"} {
				if !causes[want] {
					t.Errorf("no block of cause %s was recorded", want)
				}
			}
		}))
	}
}

// TestInnocentLoop: a loop that waits for the GIL is not blamed; who keeps it is.
func TestInnocentLoop(t *testing.T) {
	for _, in := range loopInterpreters(t) {
		t.Run(in.Name, steady(func(t testing.TB) {
			l := recordLoop(t, in, "gil", "3s", "--detail", "auto", "--max-overhead", "60%") // others make system calls, too
			l.checkBlocks(t)
			if !slices.ContainsFunc(l.report.Findings, func(f analyze.Finding) bool { return f.Rule == "loop.gil" }) {
				t.Error("no finding says that the loop is innocent")
			}
		}))
	}
}

// TestLoopsWithoutBlocks: much work in small pieces, and little work, are no blocks.
func TestLoopsWithoutBlocks(t *testing.T) {
	for _, in := range testpy.Some(t, "pyenv-3.8", "debian-3.15") {
		for _, program := range []string{"overload", "ticker"} {
			t.Run(program+"/"+in.Name, steady(func(t testing.TB) {
				l := recordLoop(t, in, program, "3s")
				l.checkBlocks(t)
				if l.loop.Utilization == nil {
					t.Fatal("the utilization is not known")
				}
				truth := float64(l.truth.Busy) / float64(l.truth.Ended-l.truth.Began)
				if off := *l.loop.Utilization - truth; off > 0.1 || off < -0.1 {
					t.Errorf("utilization %.3f, the program says %.3f", *l.loop.Utilization, truth)
				}
				overloaded := slices.ContainsFunc(l.report.Findings, func(f analyze.Finding) bool { return f.Rule == "loop.overload" })
				if overloaded != (program == "overload") {
					t.Errorf("found to be overloaded: %v, at a utilization of %.3f", overloaded, *l.loop.Utilization)
				}
			}))
		}
	}
}
