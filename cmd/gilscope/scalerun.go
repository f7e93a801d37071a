package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"gilscope/analyze"
	"gilscope/collector"
	"gilscope/internal/scaling"
)

// measurement is one run of scale.
type measurement struct {
	o       *scaleOptions
	cpus    []int // that the command may use
	words   io.Writer
	python  *scaling.Python
	plan    scaling.Plan
	rate    *regexp.Regexp
	results scaling.Results
	skipped []analyze.Skipped
	done    int           // runs
	took    time.Duration // by them
}

// errNoRound says that there is nothing to fit.
var errNoRound = errors.New("no round was run to its end: let it run for longer, or give it less work")

// run runs the plan. A signal ends it after the rounds that are whole.
func (m *measurement) run(ctx context.Context) (*scaling.Report, error) {
	report := m.begin()
	ctx, stop := untilSignal(ctx)
	defer stop()
	err := m.measure(ctx)
	if err != nil && context.Cause(ctx) == nil {
		return nil, fmt.Errorf("scale: %w", err)
	}
	if report.Rounds = m.results.Rounds(m.plan); report.Rounds == 0 {
		return nil, fmt.Errorf("scale: %w", errNoRound)
	}
	if report.Rounds < m.plan.Rounds {
		m.skip("rounds", fmt.Sprintf("ended early: %d of %d rounds were run to their end", report.Rounds, m.plan.Rounds))
	}
	if report.Series, err = m.plan.Evaluate(m.results, len(m.cpus)); err != nil {
		return nil, fmt.Errorf("scale: %w", err)
	}
	report.Skipped = append(report.Skipped, m.skipped...)
	return report, nil
}

// begin is a report of the machine as it is before the first run.
func (m *measurement) begin() *scaling.Report {
	r := &scaling.Report{
		Schema: scaling.Schema, Program: m.o.program(), Python: m.python, Seed: m.plan.Seed, Work: "fixed",
		Machine: scaling.Machine{CPUs: len(m.cpus)}, Skipped: []analyze.Skipped{},
	}
	if m.rate != nil {
		r.Work = "output"
	}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		r.Machine.Kernel = unix.ByteSliceToString(name.Release[:])
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		first, _, _ := strings.Cut(string(text), " ")
		r.Machine.Load, _ = strconv.ParseFloat(first, 64)
	}
	return r
}

// measure warms up with the first step, whose failure is told before anything
// takes long, then records if asked, then runs the rounds.
func (m *measurement) measure(ctx context.Context) error {
	steps := m.plan.Steps()
	if _, err := m.once(ctx, m.plan.At(steps[0])); err != nil {
		return fmt.Errorf("first run, to warm up: %w", err)
	}
	if m.o.record {
		if err := m.recordAll(ctx, steps); err != nil {
			return err
		}
	} else {
		m.skip("limits", "which locks and lines the steps waited for: only with --record, which needs root")
	}
	all := m.plan.Rounds * len(steps)
	for round := range m.plan.Rounds {
		for _, s := range m.plan.Order(round) {
			p := m.plan.At(s)
			run, err := m.once(ctx, p)
			if err != nil {
				return fmt.Errorf("round %d: %w", round+1, err)
			}
			m.results.Runs[s] = append(m.results.Runs[s], run)
			m.progress(p, run, all)
		}
	}
	return nil
}

// progress says how it goes, a line for each run.
func (m *measurement) progress(p scaling.Point, run scaling.Run, all int) {
	m.done++
	m.took += time.Duration(run.WallNS)
	left := m.took / time.Duration(m.done) * time.Duration(all-m.done)
	fmt.Fprintf(m.words, "run %d of %d: %v: %.3f s; about %v left\n", m.done, all, p, time.Duration(run.WallNS).Seconds(), left.Round(time.Second))
}

// once runs one point.
func (m *measurement) once(ctx context.Context, p scaling.Point) (scaling.Run, error) {
	argv, env := m.o.argv(p)
	got, err := m.timed(ctx, collector.Timed{Command: argv, Env: env, CPUs: m.cpus[:p.CPUs]})
	if err != nil {
		return scaling.Run{}, fmt.Errorf("%v: %w", p, err)
	}
	run := scaling.Run{WallNS: int64(got.Wall), CPUNS: int64(got.CPU)}
	if got.Busy != nil {
		others := max(0, int64(*got.Busy-got.CPU))
		run.OthersNS = &others
	}
	if m.rate != nil {
		if run.Throughput, err = m.throughput(got.Output); err != nil {
			return run, fmt.Errorf("%v: %w", p, err)
		}
	}
	return run, nil
}

// timed runs a command that must succeed in time.
func (m *measurement) timed(ctx context.Context, t collector.Timed) (collector.TimedRun, error) {
	within, cancel := context.WithTimeout(ctx, m.o.timeout)
	defer cancel()
	got, err := collector.RunTimed(within, t)
	if errors.Is(err, context.DeadlineExceeded) {
		return got, fmt.Errorf("the command ran for more than %v: %w: give it less work, or a longer --timeout", m.o.timeout, collector.ErrTarget)
	}
	if err != nil {
		return got, err
	}
	if err := passThrough(got.State); err != nil {
		return got, fmt.Errorf("%w%s", err, lastWords(got.Output))
	}
	return got, nil
}

// lastWords quotes the end of what a command that failed has said.
func lastWords(output []byte) string {
	lines := bytes.Split(bytes.TrimSpace(output), []byte("\n"))
	if len(bytes.TrimSpace(output)) == 0 {
		return "; it said nothing"
	}
	last := bytes.Join(lines[max(0, len(lines)-10):], []byte("\n  "))
	return "; it said at last:\n  " + string(last[max(0, len(last)-2000):])
}

// throughput is the last rate that the program printed.
func (m *measurement) throughput(output []byte) (float64, error) {
	all := m.rate.FindAllSubmatch(output, -1)
	if len(all) == 0 {
		return 0, fmt.Errorf("--throughput %q matches nothing in its output: %w%s", m.rate, collector.ErrTarget, lastWords(output))
	}
	text := string(all[len(all)-1][1])
	rate, err := strconv.ParseFloat(text, 64)
	if err != nil || !(rate >= 1e-9) || rate > 1e18 { // what fits into nanoseconds, both ways
		return 0, fmt.Errorf("--throughput %q: its group is %q, which is no rate from 1e-9 to 1e18: %w", m.rate, text, collector.ErrTarget)
	}
	return rate, nil
}

// recordAll records one run of each step. A recorder of its own does so: it
// gives up its privileges as soon as it records.
func (m *measurement) recordAll(ctx context.Context, steps []scaling.Step) error {
	dir, err := os.MkdirTemp("", "gilscope-scale-")
	if err != nil {
		return ioFailed(fmt.Errorf("make a folder for the traces: %w", err))
	}
	defer os.RemoveAll(dir)
	m.results.Limits, m.results.CPU = map[scaling.Step][]analyze.StepLimit{}, map[scaling.Step][]analyze.LineTime{}
	for _, s := range steps {
		p := m.plan.At(s)
		fmt.Fprintf(m.words, "recording %v\n", p)
		if err := m.recordOne(ctx, s, filepath.Join(dir, "step.pftrace")); err != nil {
			return fmt.Errorf("record %v: %w", p, err)
		}
	}
	return nil
}

func (m *measurement) recordOne(ctx context.Context, s scaling.Step, path string) error {
	p := m.plan.At(s)
	argv, env := m.o.argv(p)
	args := []string{"/proc/self/exe", "record", "--detail", "waits", "-o", path}
	for _, c := range m.cpus[:p.CPUs] {
		args = append(args, "--cpus", strconv.Itoa(c))
	}
	if _, err := m.timed(ctx, collector.Timed{Command: append(append(args, "--"), argv...), Env: env, AsUs: true}); err != nil {
		return err
	}
	tl, err := timeline(path, m.o.memory)
	if err != nil {
		return err
	}
	report := tl.Report()
	if lost := report.Recording.LostEvents; lost > 0 {
		m.skip(fmt.Sprintf("part of the waits at %v", p), fmt.Sprintf("%d events were lost while it was recorded", lost))
	}
	m.results.Limits[s], m.results.CPU[s] = analyze.StepLimits(report), tl.CPULines(report)
	return nil
}
