// Command bench measures what recording costs the recorded program: `make bench`.
//
// Each workload (testdata/bench) is a program that does a fixed amount of work
// and says how much wall time and CPU time it took. It is run without a
// recorder, under `gilscope record --detail waits`, and under `--detail full`,
// in turns, so that what disturbs the machine disturbs all three. The recorder
// is attached before the work begins and stays until the program has ended.
// Ratios are medians over the medians without a recorder. The spread stands
// beside them, and an error made of it: a goal within the error of a ratio is
// "unclear", on a quieter machine or with more rounds it is not. A missed goal
// is printed, and is no failure.
//
// With -peers it measures real servers under a load of its own, beside the tools
// of others, and with -recorder the recorder itself; both can write their table
// into the README: `make bench-peers`, `make bench-recorder`.
//
// It needs root (to record), Go (it builds gilscope) and a Python: $PYTHON,
// else the newest of pyenv, else python3. With -quick it only shows that
// everything works; the numbers mean nothing.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// options of the benchmark.
type options struct {
	rounds   int
	quick    bool
	json     bool
	only     string // part of the names of the workloads
	programs string // directory
	peers    bool   // beside the tools of others, on servers
	recorder bool   // the recorder itself
	tools    string // part of the names of the tools
	each     time.Duration
	busy     time.Duration
	readme   string // file for the tables
	from     string // file with an earlier report
}

// quickRounds is enough for a median and a spread to exist.
const quickRounds = 3

func main() {
	if len(os.Args) > 1 && os.Args[1] == loadWord {
		if err := loadMain(os.Args[2:], os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	var o options
	flag.IntVar(&o.rounds, "rounds", 9, "runs of each workload without a recorder and with each detail")
	flag.BoolVar(&o.quick, "quick", false, "3 rounds of little work: shows that it works, not what it costs")
	flag.BoolVar(&o.json, "json", false, "print JSON")
	flag.StringVar(&o.only, "only", "", "run only the workloads whose names contain `text`")
	flag.StringVar(&o.programs, "programs", "testdata/bench", "directory of the programs to record")
	flag.BoolVar(&o.peers, "peers", false, "measure real servers, beside the tools of others")
	flag.BoolVar(&o.recorder, "recorder", false, "measure the recorder itself: CPU, memory, growth")
	flag.StringVar(&o.tools, "tools", "", "with -peers, measure only the tools whose names contain one of `texts`, separated by commas")
	flag.DurationVar(&o.each, "each", 2500*time.Millisecond, "with -peers, about how long a stretch is")
	flag.DurationVar(&o.busy, "busy", 5*time.Minute, "with -recorder, how long it records at a high rate")
	flag.StringVar(&o.readme, "readme", "", "with -peers or -recorder, `file` to write the table into")
	flag.StringVar(&o.from, "from", "", "with -peers, measure nothing: make the table of an earlier -json, in this `file`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures all workloads and prints the result to out, and how it goes to words.
func run(ctx context.Context, o options, out, words io.Writer) error {
	if o.from != "" {
		return retell(o, out)
	}
	if o.quick {
		o.rounds = quickRounds
	}
	if o.rounds < quickRounds {
		return fmt.Errorf("-rounds %d: give %d or more", o.rounds, quickRounds)
	}
	py, err := interpreter(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "gilscope-bench-")
	if err != nil {
		return fmt.Errorf("make a place for the traces: %w; set TMPDIR to a writable directory", err)
	}
	defer os.RemoveAll(dir)
	r := rig{python: py.Path, programs: o.programs, gilscope: filepath.Join(dir, "gilscope"), trace: filepath.Join(dir, "t.pftrace"), quick: o.quick}
	if err := build(ctx, r.gilscope); err != nil {
		return err
	}
	if o.peers {
		return runPeers(ctx, &r, py, o, out, words)
	}
	if o.recorder {
		return runRecorder(ctx, &r, py, o, out, words)
	}
	report := newReport(py, o)
	for _, w := range workloads {
		if !strings.Contains(w.Name, o.only) {
			continue
		}
		result, err := r.measure(ctx, w, o.rounds, words)
		if err != nil {
			return fmt.Errorf("%s: %w", w.Name, err)
		}
		report.Workloads = append(report.Workloads, result)
	}
	if len(report.Workloads) == 0 {
		return fmt.Errorf("-only %q: no workload has this in its name; they are in bench/workload.go", o.only)
	}
	if o.json {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(report)
	}
	return report.print(out)
}

// build makes the gilscope that is measured: the one of this tree.
func build(ctx context.Context, path string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "gilscope/cmd/gilscope")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build gilscope: %w: correct this:\n%s", err, out)
	}
	return nil
}
