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
)

// TestOwnWork: how much of the CPU time goes into collecting garbage, and into merging reference
// counts where there is no GIL; for which lines; and nothing of it where there is none.
func TestOwnWork(t *testing.T) {
	all := testpy.Some(t, "3.12", "3.13")
	for _, in := range append(all, testpy.FreeThreaded(t)...) {
		t.Run(in.Name+"/gc", func(t *testing.T) {
			got, truth := ownWork(t, in, "gc")
			gc, want := got.share("gc"), float64(truth.Collecting)/float64(truth.CPU)
			// 3 s are some 300 samples: 0.1 is more than three times their standard error.
			if math.Abs(gc-want) > 0.1 || got.line("gc") != "collect" {
				t.Errorf("%.3f of the CPU time goes into collecting garbage, in %s; want %.3f in collect", gc, got.line("gc"), want)
			}
		})
		t.Run(in.Name+"/own", func(t *testing.T) {
			got, _ := ownWork(t, in, "own")
			if gc, merge := got.share("gc"), got.share("refcount_merge"); gc > 0.02 || merge > 0.02 {
				t.Errorf("%.3f for collecting garbage, %.3f for merging; there is none", gc, merge)
			}
		})
	}
	for _, in := range testpy.FreeThreaded(t) {
		t.Run(in.Name+"/merge", func(t *testing.T) {
			got, _ := ownWork(t, in, "merge")
			if share, at := got.share("refcount_merge"), got.line("refcount_merge"); share < 0.05 || at != "merge" && at != "give_up" {
				t.Errorf("%.3f of the CPU time goes into merging reference counts, most in %q; want more, in merge or give_up", share, at)
			}
		})
	}
}

// ownWorkTruth is what the worker of testdata/threads/ownwork.py measured.
type ownWorkTruth struct{ CPU, Collecting int64 }

// ownWorkRow is a process whose own work was recorded.
type ownWorkRow struct{ *analyze.ScalingRow }

func ownWork(t *testing.T, in testpy.Interpreter, kind string) (ownWorkRow, ownWorkTruth) {
	t.Helper()
	script, err := filepath.Abs("../testdata/threads/ownwork.py")
	if err != nil {
		t.Fatal(err)
	}
	p := testpy.StartScript(t, in, script, kind)
	r := startRecord(t, "-p", fmt.Sprint(p.PID), "-d", "3s")
	r.wait(t)
	if err := p.Stop(); err != nil {
		t.Fatalf("the program was harmed: %v", err)
	}
	var truth ownWorkTruth
	if err := json.Unmarshal([]byte(p.Last), &truth); err != nil {
		t.Fatalf("read the truth: %v: %q", err, p.Last)
	}
	report := open(t, r, nil).report
	if report.Scaling == nil || report.Scaling.OnCPUNS == 0 {
		t.Fatal("no thread was seen to run")
	}
	return ownWorkRow{&report.Scaling.ScalingRow}, truth
}

func (r ownWorkRow) of(kind string) *analyze.RuntimeWork {
	if i := slices.IndexFunc(r.RuntimeWork, func(w analyze.RuntimeWork) bool { return w.Kind == kind }); i >= 0 {
		return &r.RuntimeWork[i]
	}
	return &analyze.RuntimeWork{}
}

// share is the part of the process's CPU time that goes into a kind of work.
func (r ownWorkRow) share(kind string) float64 {
	return float64(r.of(kind).OnCPUNS) / float64(r.OnCPUNS)
}

// line is the function for which most of it is done.
func (r ownWorkRow) line(kind string) string {
	if lines := r.of(kind).Lines; len(lines) > 0 && lines[0].Site != nil && lines[0].Site.Function != nil {
		return *lines[0].Site.Function
	}
	return ""
}
