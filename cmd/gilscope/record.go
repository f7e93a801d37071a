package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"gilscope/collector"
	"gilscope/probes"
)

// recordOptions are the flags of record.
type recordOptions struct {
	pids         []int
	name         string
	follow       bool
	duration     time.Duration
	output       string
	detail       string
	maxOverhead  string
	overhead     float64
	backend      string
	hz           int
	flight       flightFlags
	block        time.Duration
	noLoops      bool
	noCallstacks bool
	redactPaths  bool
	force        bool
	debuginfod   bool
	verbose      bool
	cpus         []int
	command      []string
}

func newRecord() *cobra.Command {
	o := recordOptions{}
	cmd := &cobra.Command{
		Use:   "record (-p PID | --name NAME | -- COMMAND...) [flags]",
		Short: "Record a live Python process, or a command from its start",
		Long: `Record who waits for the GIL of a Python process, because of whom and on which line.

The process is never stopped and nothing is written to its memory. The trace opens in
Perfetto (gilscope view) and in gilscope report. Ctrl-C ends the recording and keeps the file.

Details:
  waits  every GIL wait that sleeps, with the holder's stack; no probe in the target (glibc)
  full   and every take and drop, with the reason; about 1.5 us for each pair (doctor measures it)
  auto   full while the probes cost a process less than --max-overhead, else waits

With --keep nothing is written until there is a reason: the last part of the recording stays in
memory, and becomes a trace of its own at SIGUSR1, after a --trigger, and at the end of the
recording. The second dump of out.pftrace is out-2.pftrace, and so on; dumps may overlap. A wait
that goes on at the begin of the kept time begins there in the trace, or at its end ends there.`,
		Example: `  sudo gilscope record -p 4242 -d 10s -o slow.pftrace
  sudo gilscope record -o run.pftrace -- python3 app.py
  sudo gilscope record --name gunicorn --follow -d 30s
  sudo gilscope record -p 4242 --detail full -v
  sudo gilscope record -p 4242 --keep 30s --trigger 'gil.wait>500ms' -o slow.pftrace`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.command = args
			if !cmd.Flags().Changed("follow") {
				o.follow = len(args) > 0
			}
			return o.run(cmd.Context(), words{cmd.ErrOrStderr()})
		},
	}
	f := cmd.Flags()
	f.IntSliceVarP(&o.pids, "pid", "p", nil, "process to record (may be repeated)")
	f.StringVar(&o.name, "name", "", "record the Python processes of this name (process, program, script or module)")
	f.BoolVar(&o.follow, "follow", false, "record the children, too: fork, spawn, subprocess (default for a command: yes)")
	f.DurationVarP(&o.duration, "duration", "d", 0, "end after this time (default: at Ctrl-C, or with the last target)")
	f.StringVarP(&o.output, "output", "o", "gilscope.pftrace", "trace to write")
	f.StringVar(&o.detail, "detail", "auto", "auto, waits or full")
	f.StringVar(&o.maxOverhead, "max-overhead", "2%", "detail auto: how much time probes may cost a process")
	f.StringVar(&o.backend, "gil-backend", "auto", "auto, futex, condvar or take_gil")
	f.IntVar(&o.hz, "hz", 99, "CPU samples per second (0: none)")
	f.DurationVar(&o.block, "block-threshold", 50*time.Millisecond, "an iteration of an event loop that takes so long is a block")
	f.BoolVar(&o.noLoops, "no-loops", false, "do not record event loops")
	o.flight.add(cmd)
	f.BoolVar(&o.redactPaths, "redact-paths", false, "replace the directories of files by a short hash of them")
	f.BoolVar(&o.noCallstacks, "no-event-callstacks", false, "leave callstacks out of slices, for Perfetto before v53")
	f.BoolVar(&o.force, "force", false, "record a process that is stopped or being traced")
	f.BoolVar(&o.debuginfod, "debuginfod", false, "fetch symbols of the interpreter from the servers in DEBUGINFOD_URLS")
	f.IntSliceVar(&o.cpus, "cpus", nil, "CPUs that the command may use, such as 0,1 (default: all)")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "say which backend and which sites are used")
	return cmd
}

func (o *recordOptions) check() error {
	switch {
	case len(o.pids) == 0 && o.name == "" && len(o.command) == 0:
		return usageErrorf("nothing to record: give -p PID, --name NAME, or a command after --")
	case (len(o.pids) > 0 || o.name != "") && len(o.command) > 0:
		return usageErrorf("-p, --name and a command exclude each other: record running processes, or a command")
	case len(o.cpus) > 0 && len(o.command) == 0:
		return usageErrorf("--cpus goes with a command: a running process keeps the CPUs that it has")
	case o.detail != string(probes.Auto) && o.detail != string(probes.Waits) && o.detail != string(probes.Full):
		return usageErrorf("--detail %q is not known: use auto, waits or full", o.detail)
	case o.hz < 0 || o.hz > 1000:
		return usageErrorf("--hz %d: give 0 to 1000", o.hz)
	case o.block < time.Millisecond:
		return usageErrorf("--block-threshold %v: give 1ms or more", o.block)
	case o.duration < 0:
		return usageErrorf("--duration %v: give a time above 0", o.duration)
	}
	share, err := strconv.ParseFloat(strings.TrimSuffix(o.maxOverhead, "%"), 64)
	if err != nil || !strings.HasSuffix(o.maxOverhead, "%") || !(share > 0) || share > 100 {
		return usageErrorf("--max-overhead %q: give a percentage above 0, such as 2%%", o.maxOverhead)
	}
	o.overhead = share / 100
	if err := o.flight.check(o.detail); err != nil {
		return err
	}
	for _, pid := range o.pids {
		if pid <= 0 {
			return usageErrorf("-p %d: give the number of a process", pid)
		}
	}
	return nil
}

func (o *recordOptions) run(ctx context.Context, words io.Writer) error {
	if err := o.check(); err != nil {
		return err
	}
	pids, err := o.targets()
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	ctx, stop := untilSignal(ctx)
	defer stop()
	flight := o.flight.options()
	sum, err := collector.Record(ctx, collector.Options{
		PIDs: pids, Follow: o.follow, Command: o.command, CPUs: o.cpus, Duration: o.duration, Output: o.output,
		Block: o.block, NoLoops: o.noLoops, Detail: probes.Detail(o.detail), Backend: probes.Backend(o.backend),
		SampleHz: o.hz, RingBytes: o.flight.ringMiB << 20, MaxBytes: o.flight.bytes, Flight: flight, MaxOverhead: o.overhead, NoCallstacks: o.noCallstacks,
		RedactPaths: o.redactPaths, Force: o.force, Debuginfod: o.debuginfod, Verbose: o.verbose, Version: version, Words: words,
	})
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	o.summarise(words, sum)
	return passThrough(sum.Command)
}

// targets are the running processes to record, each once.
func (o *recordOptions) targets() ([]int, error) {
	pids := slices.Clone(o.pids)
	if o.name != "" {
		named, err := collector.FindByName(o.name)
		if err != nil {
			return nil, err
		}
		pids = append(pids, named...)
	}
	slices.Sort(pids)
	return slices.Compact(pids), nil
}

func (o *recordOptions) summarise(words io.Writer, sum collector.Summary) {
	if o.flight.keep > 0 {
		fmt.Fprintf(words, "wrote %d dumps; %d events in all, %d lost (%s)\n", len(sum.Dumps), sum.Events, sum.Lost, sum.Reason)
	} else {
		fmt.Fprintf(words, "wrote %s: %.2f MB, %d events, %d lost (%s)\n",
			filepath.Clean(o.output), float64(sum.Bytes)/1e6, sum.Events, sum.Lost, sum.Reason)
	}
	if o.verbose {
		fmt.Fprintf(words, "records: %d produced, %d stored, %d lost; %d switches repaired; detached in %v\n",
			sum.Produced, sum.Stored, sum.Lost, sum.Repaired, sum.Detach.Round(time.Millisecond))
	}
}

// commandError carries a launched command's own exit code.
type commandError struct{ code int }

func (e *commandError) Error() string { return fmt.Sprintf("the command ended with code %d", e.code) }

// passThrough returns how a launched command failed, if it did; nil: none was launched.
func passThrough(st *os.ProcessState) error {
	if st == nil || st.Success() {
		return nil
	}
	if ws, ok := st.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return &commandError{128 + int(ws.Signal())}
	}
	return &commandError{st.ExitCode()}
}

// untilSignal ends the context at SIGINT, SIGHUP or SIGTERM, once: a second one
// ends the program at once.
func untilSignal(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	c := make(chan os.Signal, 1)
	signal.Notify(c, os.Interrupt, syscall.SIGHUP, syscall.SIGTERM)
	// Words that nobody reads any more (stderr is a closed pipe) must not end us.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	go func() {
		sig := <-c
		signal.Stop(c)
		if sig == syscall.SIGTERM {
			cancel(collector.ErrTerminated)
			return
		}
		cancel(errors.New(sig.String()))
	}()
	return ctx, func() { signal.Stop(c); cancel(nil) }
}

// newStub is the hidden command behind `record -- COMMAND`.
func newStub() *cobra.Command {
	return &cobra.Command{
		Use: collector.StubCommand, Hidden: true, Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return collector.RunStub(args) },
	}
}
