package collector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"time"

	"gilscope/internal/cpython"
	"gilscope/internal/safefile"
	"gilscope/internal/trace"
	"gilscope/probes"
)

// Options of a recording.
type Options struct {
	PIDs         []int
	Command      []string // started and recorded, instead of PIDs
	CPUs         []int    // that the command may use; nil: all that we may
	Duration     time.Duration
	Output       string
	Detail       probes.Detail
	Backend      probes.Backend
	SampleHz     int
	RingBytes    int
	Block        time.Duration // iterations of event loops that take so long are blocks; 0: 50 ms
	NoLoops      bool          // event loops are not recorded
	MaxBytes     int64         // of the trace, after which the recording ends; of what a flight recorder keeps; 0: no limit
	MaxOverhead  float64       // detail auto: share of time that probes may cost a process
	NoCallstacks bool
	RedactPaths  bool // no directory comes into the trace
	Force        bool // record a target that is being traced
	Debuginfod   bool // fetch symbols of the interpreters from the servers that the environment names
	Follow       bool // record the children of targets, too
	Flight       FlightOptions
	Verbose      bool
	Version      string    // of gilscope
	Words        io.Writer // progress and summary, for people
}

// Summary is what Record leaves behind besides the file.
type Summary struct {
	Events, Produced, Stored, Lost, Repaired int64
	Bytes                                    int64
	Attach, Detach                           time.Duration
	Reason                                   string
	Dumps                                    []string         // files that a flight recorder wrote
	Command                                  *os.ProcessState // of a launched command, once it ended
}

// Errors of a recording, for the exit code; those of cpython and probes come through as they are.
var (
	ErrTarget = errors.New("target cannot be recorded") // stopped, traced, or gone
	ErrOutput = errors.New("output cannot be written")
)

// readEvery is how long the reader sleeps when nothing is urgent. Polling in
// large batches keeps the recorder out of the scheduling that it records.
const readEvery = 50 * time.Millisecond

// session is one recording.
type session struct {
	o             Options
	probes        *probes.Session
	w             *trace.Writer
	file          *os.File // nil: a flight recorder
	flight        *flight  // nil: none
	d             *dispatcher
	ends          *ends
	batch         probes.Batch
	alive         int
	begun         time.Time
	clocked       time.Time
	looked        time.Time
	emptied       time.Time // what was in the ring by then has been read
	meter         meter
	perHit        map[cpython.Cost]time.Duration // with its record
	starts        []*starting                    // execed, interpreter not found yet
	lagGovernor   lagGovernor
	loopGovernor  loopGovernor
	loopsFailed   bool // and somebody was told
	workersFailed bool // the same
	stub          bool // the launched command has not become itself yet
	prog          progress
	sum           Summary
}

// Record makes one recording, from attaching to the footer. It ends with the
// duration, the context, or its last target. A launched command is waited for
// even when the recording ends before it.
func Record(ctx context.Context, o Options) (Summary, error) {
	s := &session{o: o}
	started := time.Now()
	if err := CheckNamespace(); err != nil {
		return s.sum, err
	}
	targets, err := openTargets(o)
	if err != nil {
		return s.sum, err
	}
	if err := s.fetchSymbols(ctx, targets); err != nil {
		return s.sum, err
	}
	if err := s.openProbes(); err != nil {
		return s.sum, err
	}
	defer s.probes.Close()
	if s.ends, err = watchEnds(s.probes.Wake); err != nil {
		return s.sum, err
	}
	defer s.ends.close()
	if err := s.calibrate(); err != nil {
		return s.sum, err
	}
	if err := s.create(); err != nil {
		return s.sum, err
	}
	defer s.file.Close()
	var cmd *launched
	if len(o.Command) > 0 {
		if cmd, err = s.launch(ctx); err != nil {
			return s.sum, err
		}
	}
	s.warnKept(noNewPrivileges())
	for _, t := range targets {
		if err := s.attach(t); err != nil {
			return s.sum, errors.Join(err, s.w.Close())
		}
	}
	for began := time.Now(); s.d.newLoops && time.Since(began) < allTasksWithin; {
		s.tellNewTasks()
	}
	if err := s.flush(); err != nil { // a recorder killed from now on leaves a trace that opens
		return s.sum, err
	}
	s.tick() // measuring takes CAP_SYS_ADMIN to begin, not to end
	s.warnKept(s.giveUp())
	s.probes.EndCalibration() // not before: a thread that waits in the kernel holds up what concerns all threads
	s.sum.Attach = time.Since(started)
	go visitCPUs()
	s.announce(targets)
	s.flight.say(s.o.Words)
	if cmd != nil {
		cmd.release()
	}
	err = s.loop(ctx)
	s.stopMeter()
	if last := s.finish(); !errors.Is(err, ErrOutput) { // else it fails for the same reason
		err = errors.Join(err, last)
	}
	if cmd != nil {
		s.sum.Command = cmd.wait()
	}
	return s.sum, err
}

// warnKept warns of privileges that could not be given up.
func (s *session) warnKept(err error) {
	if err != nil {
		fmt.Fprintf(s.o.Words, "warning: privileges that are not needed any more are kept: %v\n", err)
	}
}

// openTargets finds the interpreter of every pid, before anything is changed.
func openTargets(o Options) ([]*cpython.Process, error) {
	if len(o.Command) > 0 {
		return nil, findCommand(o.Command[0])
	}
	var out []*cpython.Process
	for _, pid := range o.PIDs {
		if err := checkTarget(pid, o.Force); err != nil {
			return nil, err
		}
		p, err := cpython.Open(pid)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	parentsFirst(out)
	return out, nil
}

// parentsFirst orders targets by when they began. What is found in a worker process is told of the process that
// began it, which must be known by then; their pids do not tell who that is, for they start anew at the limit.
func parentsFirst(targets []*cpython.Process) {
	slices.SortStableFunc(targets, func(x, y *cpython.Process) int { return cmp.Compare(x.Start, y.Start) })
}

// create opens the trace and writes what it begins with.
func (s *session) create() error {
	u := uname()
	if err := s.open(trace.WriterOptions{
		Level: 1, NoCallstacks: s.o.NoCallstacks, CPUs: runtime.NumCPU(), SampleHz: s.o.SampleHz,
		Release: u.release, Version: u.version, Machine: u.machine, TracerVersion: s.o.Version,
	}); err != nil {
		return err
	}
	s.d = newDispatcher(s.w)
	s.d.losses.looked = now()
	if s.flight != nil {
		s.d.alarm = s.flight.alarm
	}
	s.d.onFork, s.d.onExec, s.d.onExit, s.d.onBrake = s.forked, s.execed, s.exited, s.braked
	s.d.onRefused = s.refused
	s.d.loops, s.d.workers = s.loopWatch(), s.workerWatch()
	s.d.lags = lagWatch{s.probes.Lag, s.probes.LagCost}
	s.clock()
	s.w.Note(trace.Note{Time: now(), Name: trace.NoteRecording, Args: []trace.Arg{
		{Key: "version", Text: s.o.Version}, {Key: "kernel", Text: u.release}, {Key: "arch", Text: runtime.GOARCH},
		{Key: "detail", Text: string(s.o.Detail)}, {Key: "cpus", Num: int64(runtime.NumCPU())},
		{Key: "sample_hz", Num: int64(s.o.SampleHz)},
	}})
	return nil
}

// open opens the file, or the memory of a flight recorder.
func (s *session) open(o trace.WriterOptions) error {
	if s.o.Flight.Keep > 0 {
		return s.newFlight(o)
	}
	f, err := safefile.Create(s.o.Output)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOutput, err)
	}
	s.file, s.w = f, trace.NewWriter(f, o)
	return nil
}

// attach makes a process with a known interpreter a target and observes it.
func (s *session) attach(py *cpython.Process) error {
	p, err := s.watch(py.PID)
	if err != nil {
		return err
	}
	if err := py.Alive(); err != nil { // its pid may be another process's by now
		return err
	}
	if err := mayTrace(py.PID); err != nil { // from now on, we hear of an exec
		return err
	}
	return s.observe(p, py)
}

// watch begins to record the scheduling of a process.
func (s *session) watch(pid int) (*process, error) {
	if err := s.ends.add(int32(pid)); err != nil {
		return nil, fmt.Errorf("watch pid %d: %w: it has ended", pid, errors.Join(ErrTarget, err))
	}
	p := s.add(int32(pid))
	p.given, p.name, p.parent = true, executable(pid), parent(pid)
	s.w.Process(trace.Process{PID: p.pid, PPID: p.parent, Name: p.name})
	if err := s.probes.Watch(pid, s.o.Follow); err != nil {
		return nil, err
	}
	tids, err := tasks(pid)
	if err != nil {
		return nil, errors.Join(ErrTarget, err)
	}
	for _, tid := range tids {
		s.d.join(p, uint32(tid))
	}
	return p, nil
}

// add makes a target of a process that the probes have, or are about to have, as one.
func (s *session) add(pid int32) *process {
	p := newProcess(pid)
	s.d.procs[pid] = p
	s.alive++
	return p
}
