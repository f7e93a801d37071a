package livetest

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"gilscope/internal/testpy"
	"gilscope/internal/trace"
)

// cpuMarks are moments (BOOTTIME) and a thread's CPU time up to them.
type cpuMarks [][2]int64

// at is the CPU time up to a moment, in between two marks by the rule of three.
func (m cpuMarks) at(moment int64) float64 {
	i, _ := slices.BinarySearchFunc(m, moment, func(mark [2]int64, at int64) int { return int(min(max(mark[0]-at, -1), 1)) })
	if i = min(max(i, 1), len(m)-1); len(m) < 2 {
		return 0
	}
	from, to := m[i-1], m[i]
	return float64(from[1]) + float64(to[1]-from[1])*float64(moment-from[0])/float64(to[0]-from[0])
}

// scalingScript is a program of testdata/scaling.
func scalingScript(t testing.TB, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "testdata", "scaling", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestParallelism: what the report says of how many threads ran is what these threads
// say of their CPU time, and so does the counter in the trace.
func TestParallelism(t *testing.T) {
	for _, in := range append(testpy.Some(t, "3.8", "3.12", "debian-3.14"), testpy.FreeThreaded(t)...) {
		for _, threads := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s/%d", in.Name, threads), steady(func(t testing.TB) {
				checkParallelism(t, in, threads)
			}))
		}
	}
}

func checkParallelism(t testing.TB, in testpy.Interpreter, threads int) {
	t.Helper()
	p := testpy.StartScript(t, in, scalingScript(t, "parallel.py"), fmt.Sprint(threads))
	r := startRecord(t, "-p", fmt.Sprint(p.PID), "-d", "2s")
	r.wait(t)
	if err := p.Stop(); err != nil {
		t.Fatalf("the program was harmed: %v", err)
	}
	var truth map[string]cpuMarks
	if err := json.Unmarshal([]byte(p.Last), &truth); err != nil || len(truth) != threads {
		t.Fatalf("read the truth: %v: %.200q", err, p.Last)
	}
	rec := open(t, r, nil)
	s := rec.report.Scaling
	if s == nil || s.ParallelismMean == nil || s.SerialShare == nil {
		t.Fatalf("the report has no parallelism: %+v", s)
	}
	from, to := int64(rec.trace.Notes[0].Time), rec.to+edge
	var want float64
	for _, marks := range truth {
		want += (marks.at(to) - marks.at(from)) / float64(to-from)
	}
	// A thread that had its CPU before the recording began is seen at its first switch.
	if off := math.Abs(*s.ParallelismMean - want); off > 0.05*want {
		t.Errorf("%.3f threads ran on the average, by their CPU times %.3f", *s.ParallelismMean, want)
	}
	if int(s.ParallelismMax) < threads || threads == 1 && *s.SerialShare < 0.98 {
		t.Errorf("at most %d threads ran, one alone for %.3f of the time", s.ParallelismMax, *s.SerialShare)
	}
	counted := counterMean(rec, trace.ThreadsRunning, from, to) / 100
	if math.Abs(counted-want) > 0.05*want {
		t.Errorf("the counter's mean is %.3f threads, by their CPU times %.3f", counted, want)
	}
	t.Logf("by CPU times %.3f threads, reported %.3f, counted %.3f; at most %d, serial share %.3f", want, *s.ParallelismMean, counted, s.ParallelismMax, *s.SerialShare)
}

// counterMean is the mean of a counter that has a value since its first one.
func counterMean(r recording, kind trace.Kind, from, to int64) float64 {
	var sum float64
	value, since := int64(0), int64(-1)
	for _, e := range r.trace.Events {
		if e.Kind != kind {
			continue
		}
		if since < 0 {
			since, from = int64(e.Time), int64(e.Time)
		}
		sum += float64(value) * float64(int64(e.Time)-since)
		value, since = e.Arg, int64(e.Time)
	}
	return (sum + float64(value)*float64(to-since)) / float64(to-from)
}
