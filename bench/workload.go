package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"time"
)

// workload is a program and how much it is to do.
type workload struct {
	Name    string  `json:"name"`
	Program string  `json:"program"`    // in testdata/bench
	Threads int     `json:"threads"`    // or connections
	Each    int     `json:"each"`       // operations of each thread
	Goal    float64 `json:"waits_goal"` // wall time at detail waits, as ratio to none
	// Unit is what each operation is, and hardly more, if detail full has a price for it.
	Unit string `json:"unit,omitempty"`
}

// workloads from no hand-off at all to nothing else.
var workloads = []workload{
	{"cpu, 1 thread", "cpu.py", 1, 6_000_000, 1.02, ""},
	{"os.stat, 1 thread", "stats.py", 1, 400_000, 1.02, aPair},
	{"os.stat, 2 threads", "stats.py", 2, 100_000, 1.05, aPair},
	{"os.stat and cpu, 4 threads", "mixed.py", 4, 30_000, 1.05, ""},
	{"asyncio echo, 32 connections", "echo.py", 32, 750, 1.02, ""},
	{"asyncio, empty iterations", "spin.py", 1, 400_000, 1.60, ""}, // 1 us more than the 1.7 that one takes
	{"signals of a foreign condvar", "condsignal.py", 1, 400_000, 1.02, "probe hit that records nothing"},
}

// aPair is the unit that has a goal.
const aPair = "take and drop"

// quickShare is how much less is done with -quick.
const quickShare = 50

// pairGoal is the goal for what detail full costs the target for each take and drop.
const pairGoal = 1500 // ns

// details are how a workload is run in each round; the first is the measure of the others.
var details = []string{none, "waits", "full"}

const none = "none" // no recorder

// rig is what a measurement needs.
type rig struct {
	python, gilscope string // executables
	programs         string // directory
	trace            string // overwritten by every recording
	quick            bool
}

// runTimeout bounds one run; it takes about a second.
const runTimeout = 2 * time.Minute

// sample is what one run measured.
type sample struct {
	WallNS     int64 `json:"wall_ns"` // of the work, by the program itself
	CPUNS      int64 `json:"cpu_ns"`  // of the program, while it did the work
	Operations int64 `json:"operations"`
	recorded
}

// recorded is what the recorder says of itself; zero without one.
type recorded struct {
	RecorderCPUNS int64 `json:"recorder_cpu_ns"` // from its start to the end of the trace
	Events        int64 `json:"events"`
	Lost          int64 `json:"lost"`
}

// measure runs a workload in rounds.
func (r *rig) measure(ctx context.Context, w workload, rounds int, words io.Writer) (result, error) {
	if r.quick {
		w.Each /= quickShare
	}
	if _, err := r.once(ctx, w, none); err != nil { // warms caches up, and is not counted
		return result{}, err
	}
	samples := make([][]sample, len(details))
	for round := range rounds {
		fmt.Fprintf(words, "%s: round %d of %d\n", w.Name, round+1, rounds)
		for i, detail := range details {
			s, err := r.once(ctx, w, detail)
			if err != nil {
				return result{}, fmt.Errorf("detail %s: %w", detail, err)
			}
			samples[i] = append(samples[i], s)
		}
	}
	return newResult(w, samples), nil
}

// once runs a workload one time.
func (r *rig) once(ctx context.Context, w workload, detail string) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	// -B: leaves no files in the tree; -u is not needed, the programs flush.
	program, err := start(ctx, fromStdout, r.python, "-B", filepath.Join(r.programs, w.Program), strconv.Itoa(w.Each), strconv.Itoa(w.Threads))
	if err != nil {
		return sample{}, err
	}
	defer program.kill()
	if _, err := program.until("ready"); err != nil {
		return sample{}, err
	}
	if detail == none {
		return finish(program)
	}
	recorder, err := start(ctx, fromStderr, r.gilscope, "record", "-p", strconv.Itoa(program.cmd.Process.Pid), "--detail", detail, "-o", r.trace)
	if err != nil {
		return sample{}, err
	}
	defer recorder.kill()
	if _, err := recorder.until("recording "); err != nil {
		return sample{}, err
	}
	s, err := finish(program)
	if err != nil {
		return sample{}, err
	}
	if err := recorder.wait(); err != nil { // it ends with its target
		return sample{}, err
	}
	s.recorded, err = footer(r.trace)
	return s, err
}
