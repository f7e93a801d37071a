package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		values []int64
		want   spread
	}{
		{[]int64{7}, spread{7, 7, 7, 7, 7}},
		{[]int64{30, 10, 20}, spread{Median: 20, Min: 10, Max: 30, Q1: 15, Q3: 25}},
		{[]int64{4, 1, 3, 2}, spread{Median: 2, Min: 1, Max: 4, Q1: 1, Q3: 3}},
		{[]int64{50, 10, 40, 20, 30}, spread{Median: 30, Min: 10, Max: 50, Q1: 20, Q3: 40}},
	} {
		if got := spreadOf(c.values); got != c.want {
			t.Errorf("%v: %+v, want %+v", c.values, got, c.want)
		}
	}
}

func TestNewestInterpreter(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"2.7.18", "3.6.15", "3.9.18", "3.13.0", "3.12.11", "3.14.0t", "miniconda3-24.1"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := newest(dir), filepath.Join(dir, "3.13.0/bin/python3"); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := newest(filepath.Join(dir, "2.7.18")); got != "" {
		t.Errorf("found %q in an empty directory", got)
	}
}

// samplesOf makes one sample for each wall time; CPU time is twice as long.
func samplesOf(wallMS ...int64) []sample {
	var all []sample
	for _, ms := range wallMS {
		all = append(all, sample{WallNS: ms * 1e6, CPUNS: 2 * ms * 1e6, Operations: 10_000, recorded: recorded{RecorderCPUNS: 3e6, Events: 50, Lost: 1}})
	}
	return all
}

func TestReport(t *testing.T) {
	r := report{Python: python{"/p", "3.12.1"}, Kernel: "6.18", CPUs: 2, Rounds: 3, PairGoal: pairGoal}
	w := workload{Name: "stats", Goal: 1.05, Unit: aPair}
	r.Workloads = []result{newResult(w, [][]sample{samplesOf(102, 100, 90), samplesOf(104, 101, 107), samplesOf(107, 108, 110)})}
	var out bytes.Buffer
	if err := r.print(&out); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"CPython 3.12.1 (/p), Linux 6.18, 2 CPUs, medians of 3 interleaved rounds",
		"stats none 100.0 90.0-102.0 6.0% x1 - 200.0 180.0-204.0 6.0% x1 - - -",
		"stats waits 104.0 101.0-107.0 2.9% x1.040 ±0.063 1.05 unclear 208.0 202.0-214.0 2.9% x1.040 ±0.063 3.0 50 3",
		"full 10800 and 21600 ns;",
		"costs 1600 ns of target CPU for each take and drop (rounds: 1000-4000); goal 1500 MISSED",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, out.String())
		}
	}
	r.Quick = true
	out.Reset()
	if err := r.print(&out); err != nil || strings.Contains(out.String(), "MISSED") || strings.Contains(out.String(), "met") {
		t.Errorf("too little work was judged (%v):\n%s", err, out.String())
	}
}

// A program that fails is told with what it said.
func TestChildThatFails(t *testing.T) {
	c, err := start(t.Context(), fromStderr, "sh", "-c", "echo one >&2; echo cannot go on >&2; exit 3")
	if err != nil {
		t.Fatal(err)
	}
	defer c.kill()
	if _, err := c.until("one"); err != nil {
		t.Fatal(err)
	}
	_, err = c.until("ready")
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "cannot go on") {
		t.Errorf("error %v", err)
	}
	if err := c.wait(); err == nil {
		t.Error("the exit status is no error")
	}
	if _, err := start(t.Context(), fromStdout, "/nowhere/python3"); err == nil {
		t.Error("started a program that does not exist")
	}
}

// TestQuick runs every workload under the real recorder, and checks that all of
// it was measured; how long it took says nothing.
func TestQuick(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("recording needs root: run `make live`, which asks for sudo")
	}
	var out bytes.Buffer
	if err := run(t.Context(), options{quick: true, json: true, programs: "../testdata/bench"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Workloads) != len(workloads) || r.Rounds != quickRounds {
		t.Fatalf("%d workloads in %d rounds", len(r.Workloads), r.Rounds)
	}
	for _, w := range r.Workloads {
		if len(w.Details) != len(details) {
			t.Fatalf("%s: %d details", w.Name, len(w.Details))
		}
		for _, m := range w.Details {
			checkMeasured(t, w, m)
		}
		if (w.Unit != "") != (w.UnitNS != nil) {
			t.Errorf("%s: cost of a unit: %v", w.Name, w.UnitNS)
		}
	}
}

func checkMeasured(t *testing.T, w result, m measured) {
	t.Helper()
	if len(m.Samples) != quickRounds || m.WallRatio.Value <= 0 || m.CPURatio.Value <= 0 {
		t.Errorf("%s, %s: %d samples, ratios %v and %v", w.Name, m.Detail, len(m.Samples), m.WallRatio, m.CPURatio)
	}
	for _, s := range m.Samples {
		if s.Operations != w.Operations {
			t.Errorf("%s, %s: %d operations, %d in the first run", w.Name, m.Detail, s.Operations, w.Operations)
		}
		if by := s.recorded; (by.Events > 0) != (m.Detail != none) || (by.RecorderCPUNS > 0) != (m.Detail != none) || by.Lost != 0 {
			t.Errorf("%s, %s: the recorder says %+v", w.Name, m.Detail, by)
		}
		// Each pair is a begin and an end of a hold, and steps of the lane.
		if w.Unit == aPair && m.Detail == "full" && s.Events < 2*s.Operations {
			t.Errorf("%s: %d events of %d takes and drops", w.Name, s.Events, s.Operations)
		}
	}
}
