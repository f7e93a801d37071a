package collector

import (
	"bytes"

	"gilscope/internal/cpython"
	"gilscope/internal/trace"
	"gilscope/probes"
)

// Kinds of executors.
const (
	executorThreads   = "ThreadPoolExecutor"
	executorAnyio     = "anyio"
	executorProcesses = "ProcessPoolExecutor"
	executorPool      = "multiprocessing.Pool"
)

// workerState is what a worker does.
type workerState uint8

// States of workers. One that was woken for a job has it, though it may still have to wait for
// the GIL or a CPU.
const (
	workerGone workerState = iota // it has ended, or is not there yet
	workerIdle                    // it waits for a job
	workerBusy
	workerInDNS // its job sleeps in the lookup of a host
)

// worker follows a thread, or the main thread of a process, that does the jobs of an
// executor.
type worker struct {
	kind  string
	of    *executor // nil: it is not known yet which
	tries int       // to find out
	state workerState
	since trace.Time // of the state, as far as it is not told
	early []workerStep
}

// workerStep is a change of state that came before the executor was known.
type workerStep struct {
	at trace.Time
	to workerState
}

// maxEarly bounds the changes that are kept for an executor to be found.
const maxEarly = 1 << 12

// becomes notes that the worker's state changes.
func (w *worker) becomes(at trace.Time, to workerState) {
	if to == w.state {
		return
	}
	at = max(at, w.since)
	if w.of != nil {
		w.of.spends(w.state, at-w.since)
		w.of.changes(at, w.state, to)
	} else if len(w.early) < maxEarly {
		w.early = append(w.early, workerStep{at, to})
	}
	w.state, w.since = to, at
}

// joins gives the worker its executor, which hears of all that was before.
func (w *worker) joins(e *executor) {
	w.of = e
	last := workerStep{}
	for _, s := range w.early {
		e.spends(last.to, s.at-last.at)
		e.changes(s.at, last.to, s.to)
		last = s
	}
	w.early = nil
}

// comes handles a worker that got a CPU, having been woken at woken: if it was idle
// it has been given a job then.
func (w *worker) comes(at, woken trace.Time) {
	if w == nil || w.state != workerIdle && w.state != workerInDNS {
		return
	}
	if woken > w.since && woken < at {
		at = woken
	}
	w.becomes(at, workerBusy)
}

// workerKind tells a worker by all roles in its stack; "": it is none.
func workerKind(all role) string {
	switch {
	case all&(roleRunOnce|roleRunner|roleTrio) != 0: // it runs a loop, as who calls anyio.run does
		return ""
	case all&roleThreadWorker != 0:
		return executorThreads
	case all&roleAnyioWorker != 0:
		return executorAnyio
	case all&roleProcessWorker != 0:
		return executorProcesses
	case all&rolePoolWorker != 0:
		return executorPool
	}
	return ""
}

const roleWorker = roleThreadWorker | roleAnyioWorker | roleProcessWorker | rolePoolWorker

// idleIn says of a stack of n frames, leaf first, whose thread sleeps, that it waits for a
// job: _worker of a ThreadPoolExecutor itself, which waits in native code, the others in
// the get of a queue. A job has frames of its own in between.
func idleIn(n int, roleAt func(int) role) bool {
	for i := range n {
		switch r := roleAt(i); {
		case r&roleThreadWorker != 0:
			return i == 0
		case r&roleWorker != 0:
			return i > 0 && roleAt(i-1)&roleQueueGet != 0
		}
	}
	return false
}

// roleOf is what is known of a frame, which the process may have from its parent.
func (s *stacks) roleOf(id trace.FrameID) role {
	for ; s != nil; s = s.parent {
		if a, ok := s.about[id]; ok {
			return a.role
		}
	}
	return 0
}

// peek is lookup for a stack that others have looked up, too.
func (s *stacks) peek(st probes.Stack) known {
	if s == nil || st.Hash == 0 {
		return known{}
	}
	if len(st.Frames) > 0 {
		return s.lookup(st)
	}
	for at := s; at != nil; at = at.parent {
		if k, ok := at.known[st.Hash]; ok {
			return k
		}
	}
	return known{}
}

// workerLeaves handles a thread that left the CPU: its stack may show that it is a
// worker, and that it waits for a job.
func (d *dispatcher) workerLeaves(p *process, t *thread, r probes.Record) {
	at := trace.Time(r.Ts)
	t.worker.comes(at, t.woken) // if the kernel did not report that it got the CPU
	k := p.stacks.peek(r.Own)
	if len(k.frames) == 0 || t.worker == nil && !d.mayBeWorker(p, t, k.roles, workerBusy, at) {
		return
	}
	holds := r.Flags&probes.FlagGIL != 0 && r.Flags&probes.FlagLocked != 0 && int32(r.HolderTid) == t.tid
	if r.Flags&probes.FlagAsleep == 0 || r.Word != 0 || holds {
		return
	}
	t.worker.becomes(at, sleeperState(len(k.frames), func(i int) role { return p.stacks.roleOf(k.frames[i]) }, k.roles))
}

// sleeperState is what a worker does that sleeps with a stack.
func sleeperState(n int, roleAt func(int) role, all role) workerState {
	switch {
	case idleIn(n, roleAt):
		return workerIdle
	case all&roleDNS != 0:
		return workerInDNS
	}
	return workerBusy
}

// workerSampled handles a CPU sample of a thread, which is busy.
func (d *dispatcher) workerSampled(p *process, t *thread, r probes.Record) {
	at := trace.Time(r.Ts)
	if t.worker == nil {
		d.mayBeWorker(p, t, p.stacks.peek(r.Own).roles, workerBusy, at)
	} else {
		t.worker.comes(at, t.woken)
	}
}

// mayBeWorker makes a worker of a thread whose stack shows one, in a state that it is
// found in. Until then it was busy since its begin: a pool starts a thread when there is
// a job for it.
func (d *dispatcher) mayBeWorker(p *process, t *thread, roles role, state workerState, at trace.Time) bool {
	kind := workerKind(roles)
	if kind == "" || t.worker != nil || t.loop != nil || t.ended != 0 || d.workers.watch == nil {
		return false
	}
	if !d.workers.watch(t.tid, kind == executorProcesses || kind == executorPool) {
		return false
	}
	t.worker = &worker{kind: kind}
	if t.born != 0 {
		t.worker.becomes(t.born, workerBusy)
	}
	t.worker.becomes(at, state)
	switch kind {
	case executorThreads:
		p.unassigned = append(p.unassigned, t)
	case executorAnyio:
		d.assign(p, t, cpython.Executor{}, p)
	default:
		d.assign(p, t, cpython.Executor{}, d.ownerOf(p))
	}
	return true
}

// ownerOf is the process for which a worker process works: who started it, or, where that
// was multiprocessing's fork server, who started that.
func (d *dispatcher) ownerOf(p *process) *process {
	owner := d.procs[p.parent]
	if server := commandLine(int(p.parent)); bytes.Contains(server, []byte("multiprocessing.forkserver")) {
		owner = d.procs[parent(int(p.parent))]
	}
	if owner == nil || owner.exited {
		return p
	}
	return owner
}

// workerEnds handles the end of a thread, or of the recording.
func (d *dispatcher) workerEnds(p *process, t *thread, at trace.Time) {
	w := t.worker
	if w == nil {
		return
	}
	if w.of == nil {
		d.assign(p, t, cpython.Executor{}, p)
	}
	w.becomes(at, workerGone)
	w.of.leaves(t, at)
	t.worker = nil
}
