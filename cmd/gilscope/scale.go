package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"gilscope/collector"
	"gilscope/internal/scaling"
	"gilscope/viewer"
)

// scaleOptions are the flags of scale.
type scaleOptions struct {
	threads, processes []int
	env, processEnv    string
	gil                string
	python             string
	cpus               string
	rounds             int
	seed               uint64
	timeout            time.Duration
	throughput         string
	record             bool
	format             string
	json               bool
	output, html       string
	memory             memoryFlag
	command            []string
}

func newScale() *cobra.Command {
	o := scaleOptions{}
	cmd := &cobra.Command{
		Use:   "scale [flags] -- COMMAND...",
		Short: "Run a command with more and more threads or CPUs, and fit how it scales",
		Long: `Run a command over a ladder of threads, processes or CPUs, several times in shuffled rounds, and
say how much faster it gets: measured against ideal, with Amdahl's law and the Universal
Scalability Law fitted, what limits each step, and what to expect with more CPUs.

The command is told the number of threads by {n} in its arguments or by the variable --env, and
the number of processes by {p} or --processes-env. If it can be told neither, the ladder is the
number of CPUs that it may use. A free-threaded Python is run with its GIL on and off (--gil).
The work should be the same at each step; of a program that runs for a fixed time instead,
--throughput takes the rate from its output.

Needs no privileges, except for --record: one more run of each step is then recorded, to name
what its threads waited for. Steps with more workers than CPUs are run but not fitted. Two
steps predict nothing, and gilscope then says so. It is asked for no verdict, so what is too noisy
to tell is said, and exits with 0 as well. Ctrl-C ends the measurement and keeps the whole rounds.`,
		Example: `  gilscope scale -- python3 work.py --threads {n}
  gilscope scale --env OMP_NUM_THREADS --threads 1,2,4,8 -- python3 train.py
  gilscope scale --html scaling.html -- python3.14t work.py {n}
  sudo gilscope scale --record -- python3 work.py --threads {n} --processes {p}
  gilscope scale --throughput 'Requests/sec: ([0-9.]+)' -- ./bench.sh {n}`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.command = args
			return o.run(cmd.Context(), cmd.OutOrStdout(), words{cmd.ErrOrStderr()})
		},
	}
	o.flags(cmd)
	return cmd
}

func (o *scaleOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.IntSliceVar(&o.threads, "threads", nil, "numbers of threads, such as 1,2,4 (default: up to the number of CPUs)")
	f.IntSliceVar(&o.processes, "processes", nil, "numbers of processes (default: up to the number of CPUs)")
	f.StringVar(&o.env, "env", "", "environment variable that tells the command the number of threads")
	f.StringVar(&o.processEnv, "processes-env", "", "environment variable that tells it the number of processes")
	f.StringVar(&o.gil, "gil", "auto", "auto, both, on, off, or keep what the command does; auto: both where the Python is free-threaded")
	f.StringVar(&o.python, "python", "", "the command's interpreter, where it cannot be told from the command")
	f.StringVar(&o.cpus, "cpus", "all", "CPUs that each run may use: all, match (as many as workers), or numbers such as 1,2,4")
	f.IntVar(&o.rounds, "rounds", 5, "runs of each step")
	f.Uint64Var(&o.seed, "seed", 1, "of the order of the runs and of the resampling")
	f.DurationVar(&o.timeout, "timeout", 10*time.Minute, "a run that takes longer is an error")
	f.StringVar(&o.throughput, "throughput", "", "regular expression whose first group is the rate of work in the command's output")
	f.BoolVar(&o.record, "record", false, "record one more run of each step, to name what it waited for (needs root)")
	f.StringVar(&o.format, "format", "text", "text or json")
	f.BoolVar(&o.json, "json", false, "the same as --format json")
	f.StringVarP(&o.output, "output", "o", "", "file to write (default: stdout)")
	f.StringVar(&o.html, "html", "", "write a page with a plot to this file as well")
	o.memory.add(cmd)
}

func (o *scaleOptions) run(ctx context.Context, stdout io.Writer, words io.Writer) error {
	cpus, err := collector.AllowedCPUs()
	if err != nil {
		return err
	}
	quota := collector.CPUQuota()
	limited := quota > 0 && quota < float64(len(cpus))
	if limited {
		cpus = cpus[:max(1, int(quota))]
	}
	m, err := o.measurement(ctx, cpus, words)
	if err != nil {
		return err
	}
	if limited {
		m.skip("more CPUs", fmt.Sprintf("the cgroup of this shell may use the time of %.1f CPUs (cpu.max)", quota))
	}
	report, err := m.run(ctx)
	if err != nil {
		return err
	}
	if o.html != "" {
		fill := func(w io.Writer) error { return viewer.ScaleHTML(w, report) }
		if err := writeTo(o.html, stdout, fill); err != nil {
			return err
		}
	}
	return writeTo(o.output, stdout, func(w io.Writer) error { return o.write(w, report) })
}

func (o *scaleOptions) write(w io.Writer, r *scaling.Report) error {
	if o.format == "json" {
		return viewer.ScaleJSON(w, r)
	}
	return viewer.ScaleText(w, r)
}
