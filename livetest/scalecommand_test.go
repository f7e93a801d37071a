package livetest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gilscope/analyze"
	"gilscope/internal/scaling"
	"gilscope/internal/testpy"
	"gilscope/internal/trace"
)

// workProgram is testdata/scale/work.py, which does a fixed amount of work.
func workProgram(t testing.TB) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "testdata", "scale", "work.py"))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// scale runs gilscope scale, which must succeed.
func scale(t testing.TB, options []func(*exec.Cmd), args ...string) scaling.Report {
	t.Helper()
	o := run(t, append([]string{"scale", "--json"}, args...), options...)
	o.wants(t, 0)
	var r scaling.Report
	if err := json.Unmarshal([]byte(o.stdout), &r); err != nil {
		t.Fatalf("%v in %s", err, o.stdout)
	}
	return r
}

// logSteps shows what was measured.
func logSteps(t testing.TB, r scaling.Report) {
	t.Helper()
	for _, s := range r.Series {
		for _, x := range s.Steps {
			p := scaling.Point{Kind: s.Kind, Workers: x.Workers, CPUs: x.CPUs}
			if s.GIL != nil {
				p.GIL = *s.GIL
			}
			t.Logf("%v: median %d ms, CPU %d ms, speed-up %.2f", p, x.WallNS/1e6, x.CPUNS/1e6, x.Speedup.Value)
		}
	}
}

// needCPUs fails the test on a machine where nothing can run at the same time.
func needCPUs(t testing.TB, r scaling.Report) {
	t.Helper()
	if r.Machine.CPUs < 2 {
		t.Fatalf("the test needs 2 CPUs, and may use %d: run it with a wider CPU affinity (taskset)", r.Machine.CPUs)
	}
}

// TestScaleFreeThreaded: what keeps the GIL scales without one, and does not with
// it. The program naps with the GIL, which takes as long as it should whatever
// else runs, so that the machine's load does not decide.
func TestScaleFreeThreaded(t *testing.T) {
	python := testpy.Need(t, testpy.FreeThreadedOff).Path
	r := scale(t, nil, "--rounds", "3", "--threads", "1,2", "--", python, workProgram(t), "holds", "800", "{n}")
	needCPUs(t, r)
	logSteps(t, r)
	if len(r.Series) != 2 || *r.Series[0].GIL != scaling.On || *r.Series[1].GIL != scaling.Off || !r.Python.FreeThreaded {
		t.Fatalf("%+v", r)
	}
	on, off := r.Series[0], r.Series[1]
	if v := on.Steps[1].Speedup.Value; v < 0.8 || v > 1.2 || on.Amdahl.Sigma.Value < 0.7 {
		t.Errorf("with the GIL two threads are x%.2f, and the serial share is %.2f", v, on.Amdahl.Sigma.Value)
	}
	if v := off.Steps[1].Speedup.Value; v < 1.5 || off.Amdahl.Sigma.Value > 0.35 {
		t.Errorf("without the GIL two threads are x%.2f, and the serial share is %.2f", v, off.Amdahl.Sigma.Value)
	}
	if r.Machine.CPUs == 2 && (len(off.Predictions) > 0 || off.USL != nil || len(off.Unknown) == 0) {
		t.Errorf("two steps predict %+v", off.Predictions)
	}
}

// TestScaleHalf: of a program that does half of its work in one thread, half is
// serial. It naps, which takes as long as it should whatever else runs.
func TestScaleHalf(t *testing.T) {
	python := testpy.One(t, "3.12").Path
	r := scale(t, nil, "--rounds", "3", "--threads", "1,2,4", "--", python, workProgram(t), "naps", "1000", "{n}")
	needCPUs(t, r)
	logSteps(t, r)
	// A busy machine starts Python late, now and then: then the interval is wide, and holds the truth.
	i := r.Series[0].Amdahl.Sigma
	if near := i.Value > 0.45 && i.Value < 0.65; !near && (*i.Low > 0.55 || *i.High < 0.5) {
		t.Errorf("the serial share is %.2f, from %.2f to %.2f, want a half, and the start of Python", i.Value, *i.Low, *i.High)
	}
	if s := r.Series[0].Steps[1]; s.ParallelismMean > 0.5 || s.IdleShare < 0.2 || math.Abs(s.IdleShare+s.CPUGrowthShare-s.LostShare) > 1e-4 {
		t.Errorf("a program that sleeps used %.2f CPUs and lost %.2f to waiting", s.ParallelismMean, s.IdleShare)
	}
}

// TestScaleTimes: what is measured is what the program itself measures, from
// outside and as its throughput, of threads as of processes.
func TestScaleTimes(t *testing.T) {
	const units = 2000
	python := testpy.One(t, "3.12").Path
	r := scale(t, nil, "--rounds", "1", "--threads", "1,2", "--processes", "1,2", "--throughput", "rate: ([0-9.]+)", "--gil", "keep",
		"--", python, workProgram(t), "cpu", fmt.Sprint(units), "{n}", "{p}")
	for _, s := range r.Series {
		for _, step := range s.Steps {
			own := units / *step.Throughput * 1e9
			// The kernel notes the start in ticks of 10 ms; the interpreter's own end comes after the last line.
			if d := float64(step.WallNS) - own; d < -15e6 || d > 150e6+0.1*own {
				t.Errorf("%s %d: measured %d ns, the program %.0f", s.Kind, step.Workers, step.WallNS, own)
			}
			if step.CPUNS < 20e6 || float64(step.CPUNS) > 2.2*float64(step.WallNS) {
				t.Errorf("%s %d: %d ns of CPU time in %d", s.Kind, step.Workers, step.CPUNS, step.WallNS)
			}
		}
		if one, two := s.Steps[0], s.Steps[1]; two.CPUNS < one.CPUNS/2 {
			t.Errorf("two %s took %d ns of CPU, one took %d: some of it is not counted", s.Kind, two.CPUNS, one.CPUNS)
		}
	}
}

// TestScaleRecord: a recorded run names what the threads of a step waited for.
func TestScaleRecord(t *testing.T) {
	python := testpy.One(t, "3.12").Path
	r := scale(t, nil, "--rounds", "1", "--threads", "1,4", "--record", "--", python, workProgram(t), "cpu", "6000", "{n}")
	one, four := r.Series[0].Steps[0], r.Series[0].Steps[1]
	if ns := limit(one, analyze.LimitGIL, ""); ns > one.WallNS/5 {
		t.Errorf("one thread waited %d ns for the GIL in %d ns", ns, one.WallNS)
	}
	if limit(four, analyze.LimitGIL, "") < 100e6 || limit(four, analyze.LimitGIL, "work") < 50e6 {
		t.Errorf("four threads on one GIL: %+v", four.Limits)
	}
}

// limit is how long a step waited for a kind of thing, at a function or ("") in all.
func limit(s scaling.StepRow, kind, function string) int64 {
	for _, l := range s.Limits {
		if l.Kind == kind && (l.Site == nil) == (function == "") && (l.Site == nil || *l.Site.Function == function) {
			return l.WaitNS
		}
	}
	return 0
}

// TestScaleAsUser: nothing but --record needs privileges, and under sudo the
// command is the user's.
func TestScaleAsUser(t *testing.T) {
	who := []string{"--rounds", "1", "--threads", "1", "--throughput", "uid ([0-9]+)", "--", "sh", "-c", "echo uid $(id -u) {n}"}
	for name, options := range map[string][]func(*exec.Cmd){"nobody": {asNobody}, "sudo": {underSudo}} {
		if r := scale(t, options, who...); *r.Series[0].Steps[0].Throughput != nobody {
			t.Errorf("%s: the command ran as uid %v", name, *r.Series[0].Steps[0].Throughput)
		}
	}
	args := append([]string{"scale", "--record"}, who...)
	run(t, args, asNobody).wants(t, 4, "record threads 1")
}

// TestScaleFails: a run that fails names its point, and passes its code on.
func TestScaleFails(t *testing.T) {
	python := testpy.One(t, "3.12").Path
	o := run(t, []string{"scale", "--rounds", "1", "--threads", "1,2", "--", python, workProgram(t), "fail", "10", "{n}"})
	o.wants(t, 7, "threads 2 on", "cannot do that with 2 threads")
	if o.stdout != "" {
		t.Errorf("a report of what failed: %s", o.stdout)
	}
}

// TestScaleInterrupted: Ctrl-C ends the run at once, and the whole rounds are reported.
func TestScaleInterrupted(t *testing.T) {
	cmd := command([]string{"scale", "--json", "--rounds", "100", "--threads", "1", "--gil", "keep", "--", "sleep", "0.{n}"})
	var out bytes.Buffer
	cmd.Stdout = &out
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(said); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "run 3 of 100: threads 1 on ") {
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	var r scaling.Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	early := func(s analyze.Skipped) bool { return s.What == "rounds" && strings.HasPrefix(s.Why, "ended early") }
	if r.Rounds < 3 || r.Rounds > 50 || !slices.ContainsFunc(r.Skipped, early) {
		t.Errorf("%d rounds; %+v", r.Rounds, r.Skipped)
	}
}

// TestLaunchCPUs: a recorded command may be kept to some CPUs; the recorder is not.
func TestLaunchCPUs(t *testing.T) {
	path := filepath.Join(publicDir(t), "t.pftrace")
	script := "import os; print(sorted(os.sched_getaffinity(0)))"
	o := run(t, []string{"record", "-o", path, "--cpus", "1", "--", testpy.One(t, "3.12").Path, "-c", script})
	o.wants(t, 0)
	if strings.TrimSpace(o.stdout) != "[1]" {
		t.Errorf("the command might use CPUs %s, want [1]", o.stdout)
	}
	if tr := readTrace(t, path); !slices.ContainsFunc(tr.Notes, func(n trace.Note) bool { return n.Name == trace.NoteTarget }) {
		t.Error(fmt.Sprint("no interpreter was recorded: ", o.stderr))
	}
}
