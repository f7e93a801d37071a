package livetest

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"gilscope/analyze"
	"gilscope/internal/testpy"
	"gilscope/internal/trace"
)

// maxRecorder is how much memory the recorder may use, in bytes.
const maxRecorder = 200e6

// endOf waits for the end of a recording, and returns the largest resident size
// of the recorder, in bytes. Its rusage has that of whoever started it, too: the
// kernel counts what was mapped before an exec.
func endOf(t testing.TB, r *recorder) (memory int64) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		for line := range strings.Lines(stateOf(r.cmd.Process.Pid)) {
			var kB int64
			if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kB); n == 1 {
				memory = kB << 10
			}
		}
		select {
		case <-r.ended:
			r.wait(t)
			return memory
		case <-tick.C:
		}
	}
}

// checkCalm: nothing was lost, and the recorder stayed small.
func checkCalm(t testing.TB, tr *trace.Trace, memory int64) {
	t.Helper()
	end := note(t, tr, trace.NoteEnd)
	t.Logf("%d events, %d lost, %d switches repaired; the recorder used %.1f MB and %.1f ms of CPU", end["events"], end["lost"],
		end["repaired"], float64(memory)/1e6, ms(end["recorder_cpu_ns"]))
	if end["lost"] != 0 || memory > maxRecorder || memory == 0 {
		t.Errorf("%d events were lost, the recorder used %d MB", end["lost"], memory/1e6)
	}
}

// readyProcess starts a program of testdata/processes.
func readyProcess(t testing.TB, in testpy.Interpreter, program string) *testpy.Proc {
	t.Helper()
	return testpy.StartCommand(t, in.Command("-W", "ignore", "-u", processesScript(t, program)))
}

// TestThousandThreads: all of them are in the report, under their names.
func TestThousandThreads(t *testing.T) {
	p := readyProcess(t, testpy.One(t, "3.12"), "crowd")
	r := startRecord(t, "-p", fmt.Sprint(p.PID), "-d", "300ms")
	memory := endOf(t, r)
	if err := p.Stop(); err != nil {
		t.Fatalf("crowd.py was harmed: %v", err)
	}
	var tids []int32
	if err := json.Unmarshal([]byte(p.Last), &tids); err != nil || len(tids) != 1000 {
		t.Fatalf("%d threads: %v", len(tids), err)
	}
	tr := readTrace(t, r.trace)
	names, napper := map[int32]string{}, regexp.MustCompile(`^napper-\d+$`)
	for _, row := range analyze.Analyze(tr).Threads {
		names[row.TID] = row.Name
	}
	for _, tid := range tids {
		if !napper.MatchString(names[tid]) {
			t.Errorf("thread %d is named %q", tid, names[tid])
		}
	}
	if len(names) != 1001 {
		t.Errorf("the report has %d threads, want 1001", len(names))
	}
	checkCalm(t, tr, memory)
}

// TestManyForks: 500 children that live at the same time are all there, with how they ended.
func TestManyForks(t *testing.T) {
	for _, detail := range []string{"waits", "full"} {
		t.Run(detail, steady(func(t testing.TB) {
			p := readyProcess(t, testpy.One(t, "3.13"), "litter")
			r := startRecord(t, "-p", fmt.Sprint(p.PID), "--follow", "--detail", detail)
			if err := p.Stop(); err != nil {
				t.Fatalf("litter.py was harmed: %v", err)
			}
			memory := endOf(t, r)
			var codes map[int32]int64
			if err := json.Unmarshal([]byte(p.Last), &codes); err != nil || len(codes) != 500 {
				t.Fatalf("%d children: %v", len(codes), err)
			}
			tr := readTrace(t, r.trace)
			checkLitter(t, analyze.Analyze(tr), int32(p.PID), codes)
			checkCalm(t, tr, memory)
		}))
	}
}

func checkLitter(t testing.TB, report *analyze.Report, parent int32, codes map[int32]int64) {
	t.Helper()
	wrong := 0
	for pid, code := range codes {
		row := processOf(report, pid)
		if row == nil || row.ParentPID == nil || *row.ParentPID != parent || row.Exit == nil || *row.Exit != (analyze.Exit{Code: code}) ||
			row.StartMethod == nil || *row.StartMethod != "fork" || row.Python == nil {
			if wrong++; wrong <= 3 {
				t.Errorf("the report has %s, want a fork that ended with %d", rowText(row), code)
			}
		}
	}
	if wrong > 0 {
		t.Errorf("%d of %d children are not as they were", wrong, len(codes))
	}
	if len(report.Processes) != len(codes)+1 || report.Processes[0].ChildrenNotRecorded != 0 {
		t.Errorf("%d processes, %d children not recorded", len(report.Processes), report.Processes[0].ChildrenNotRecorded)
	}
}

// TestBriefThreads: what thousands of threads that live a millisecond waited
// is, in sum, what they measured.
func TestBriefThreads(t *testing.T) {
	for _, detail := range []string{"waits", "full"} {
		t.Run(detail, steady(func(t testing.TB) {
			p := readyProcess(t, testpy.One(t, "3.12"), "brief")
			r := startRecord(t, "-p", fmt.Sprint(p.PID), "-d", "1s", "--detail", detail)
			memory := endOf(t, r)
			truth := truthOf(t, p, "brief.py")
			rec := open(t, r, truth)
			checkSum(t, rec)
			checkCalm(t, rec.trace, memory)
		}))
	}
}

// checkSum holds the waits of all threads together to 2 %.
func checkSum(t testing.TB, r recording) {
	t.Helper()
	var sum comparison
	threads := 0
	for _, c := range compareWaits(r) {
		if c.truthN == 0 && c.recordedN == 0 {
			continue
		}
		threads++
		sum.truth += c.truth
		sum.ours += c.ours
		sum.awake += c.awake
		sum.missed += c.missed
		sum.invented += c.invented
		sum.truthN += c.truthN
		sum.recordedN += c.recordedN
	}
	t.Logf("%d threads: %v", threads, sum)
	if limit := max(sum.truth/50, 2e6); threads < 100 || sum.missed > limit {
		t.Errorf("of %d threads, the waits are off: %v", threads, sum)
	}
}

var madeFunction = regexp.MustCompile(`^f(\d+)$`)

// TestManyCodes: of 50,000 functions, it is the right ones that are blamed, and
// knowing them does not make the recorder large.
func TestManyCodes(t *testing.T) {
	for _, in := range testpy.Some(t, "3.9", "3.14") {
		t.Run(in.Name, steady(func(t testing.TB) {
			p := readyProcess(t, in, "codes")
			r := startRecord(t, "-p", fmt.Sprint(p.PID), "-d", "2s", "--detail", "full")
			memory := endOf(t, r)
			if err := p.Stop(); err != nil {
				t.Fatalf("codes.py was harmed: %v", err)
			}
			tr := readTrace(t, r.trace)
			checkMade(t, tr)
			checkCalm(t, tr, memory)
		}))
	}
}

// checkMade: a function that is named after its number is on the lines that belong to it.
func checkMade(t testing.TB, tr *trace.Trace) {
	t.Helper()
	seen, wrong, torn := map[string]bool{}, 0, 0
	for i := range tr.Frames {
		f := &tr.Frames[i]
		name := tr.Strings[f.Function]
		m := madeFunction.FindStringSubmatch(name)
		if m == nil {
			continue
		}
		seen[name] = true
		n, _ := strconv.Atoi(m[1])
		if f.Line == 0 { // looked at by another thread just when it was called: its line is not told
			torn++
		} else if line := int(f.Line); filepath.Base(tr.Strings[f.File]) != "made.py" || line < 4*n+1 || line > 4*n+4 {
			if wrong++; wrong <= 5 {
				t.Errorf("%s is in %s:%d", name, tr.Strings[f.File], f.Line)
			}
		}
	}
	var blamed, known int64
	for _, g := range analyze.Analyze(tr).GIL {
		for _, b := range g.Blame {
			if b.Holder.TID == nil || *b.Holder.TID == analyze.Nobody {
				continue
			}
			blamed += b.WaitNS
			if s := b.Holder.Site; s != nil && s.Function != nil && (seen[*s.Function] || *s.Function == "call_all") {
				known += b.WaitNS
			}
		}
	}
	t.Logf("%d functions seen, %d wrong, %d on no line; %.1f of %.1f ms are blamed on them", len(seen), wrong, torn, ms(known), ms(blamed))
	if len(seen) < 500 || torn > len(seen)/100 || share(known, blamed) < 95 {
		t.Errorf("%d functions were seen, %.1f of %.1f ms are blamed on them", len(seen), ms(known), ms(blamed))
	}
}
