package collector

import (
	"slices"

	"gilscope/internal/cpython"
	"gilscope/internal/trace"
)

// executor is a pool of workers.
type executor struct {
	proc    *process // whose it is: of worker processes, who started them
	number  uint16
	kind    string
	is      cpython.Executor
	pool    cpython.ProcessPool // of worker processes, if it is the only one of its process and that is recorded
	sought  trace.Time          // when the pool was last looked for
	members map[*thread]bool
	counts  [workerInDNS + 1]int // of members by state
	workers waiterCount
	busy    waiterCount
	dns     waiterCount
	spent   [2]trace.Time // by all members since it was last told: idle, with a job
	told    trace.Time
	full    trace.Time // since when all the workers that there may be have a job; 0: they have not
	queue   queueWatch
	over    bool // its process has ended, it has worker processes left
	emit    func(trace.Event)
}

// workerWatch is what the dispatcher asks of the probes about workers.
type workerWatch struct {
	watch func(tid int32, reads bool) bool // false: it cannot be
}

// maxExecutors bounds the executors of a process that are told apart: some programs make one
// for each request. The workers of all further ones are those of one that is not known.
const maxExecutors = 256

// assign gives a worker its executor, a new one if it is the first that works for it.
func (d *dispatcher) assign(p *process, t *thread, is cpython.Executor, owner *process) {
	at := max(d.now, t.worker.since)
	e := owner.executorOf(t.worker.kind, is)
	if e == nil && owner.made >= maxExecutors {
		is = cpython.Executor{}
		e = owner.executorOf(t.worker.kind, is)
	}
	if e == nil {
		e = d.newExecutor(owner, t, is, at)
	}
	if e.is.Addr == 0 && is.Addr != 0 {
		e.is = is
		d.noteExecutor(e, at)
	}
	e.members[t] = true
	t.worker.joins(e)
	args := []trace.Arg{{Key: "tid", Num: int64(t.tid)}, {Key: "executor", Num: int64(e.number)}}
	if owner != p {
		args = append(args, trace.Arg{Key: "pool", Num: int64(owner.pid)})
	}
	d.w.Note(trace.Note{Time: at, PID: p.pid, Name: trace.NoteWorker, Args: args})
}

// executorOf finds an executor by the queue of its jobs, where it is known.
func (p *process) executorOf(kind string, is cpython.Executor) *executor {
	for _, e := range p.executors {
		if e.kind == kind && e.is.Queue == is.Queue {
			return e
		}
	}
	return nil
}

// beforeBirth is how long before the first worker began its first job was put into
// the queue, at most: the same call does both. That it is the first worker is told
// by the recording: no other was there.
const beforeBirth = trace.Time(20e6)

func (d *dispatcher) newExecutor(p *process, t *thread, is cpython.Executor, at trace.Time) *executor {
	kind := t.worker.kind

	p.made++
	e := &executor{proc: p, number: p.made, kind: kind, is: is, members: map[*thread]bool{}, told: at}
	e.emit = func(ev trace.Event) {
		ev.GIL = e.number
		d.event(p, ev)
	}
	counter := func(kind trace.Kind) func(trace.Time, int64) {
		return func(at trace.Time, n int64) { e.emit(trace.Event{Time: at, Kind: kind, Arg: n}) }
	}
	e.workers.emit, e.busy.emit, e.dns.emit = counter(trace.ExecutorWorkers), counter(trace.ExecutorBusy), counter(trace.ExecutorDNS)
	if born := t.born; born != 0 {
		e.queue.looked = born - beforeBirth
	}
	p.executors = append(p.executors, e)
	d.noteExecutor(e, at)
	return e
}

// noteExecutor describes an executor in the trace.
func (d *dispatcher) noteExecutor(e *executor, at trace.Time) {
	args := []trace.Arg{{Key: "executor", Num: int64(e.number)}, {Key: "kind", Text: e.kind}, {Key: "queue", Num: bit(e.hasQueue())}}
	if e.is.Prefix != "" {
		args = append(args, trace.Arg{Key: "name", Text: e.is.Prefix})
	}
	if e.is.Max > 0 {
		args = append(args, trace.Arg{Key: "max_workers", Num: int64(e.is.Max)})
	}
	d.w.Note(trace.Note{Time: at, PID: e.proc.pid, Name: trace.NoteExecutor, Args: args})
}

// hasQueue says whether the jobs that wait can be looked at.
func (e *executor) hasQueue() bool { return e.is.Queue != 0 || e.pool.Addr != 0 }

// changes takes in that a worker's state changes.
func (e *executor) changes(at trace.Time, from, to workerState) {
	e.counts[from]--
	e.counts[to]++
	for _, c := range [...]struct {
		count *waiterCount
		least workerState
	}{{&e.workers, workerIdle}, {&e.busy, workerBusy}, {&e.dns, workerInDNS}} {
		switch was, is := from >= c.least, to >= c.least; {
		case is && !was:
			c.count.change(at, 1)
		case was && !is:
			c.count.change(at, -1)
		}
	}
	switch all := e.is.Max > 0 && e.counts[workerBusy]+e.counts[workerInDNS] >= e.is.Max; {
	case !all:
		e.full = 0
	case e.full == 0:
		e.full = at
	}
}

// spends adds time that a worker spent in a state.
func (e *executor) spends(in workerState, ns trace.Time) {
	switch {
	case in == workerIdle:
		e.spent[0] += ns
	case in >= workerBusy:
		e.spent[1] += ns
	}
}

// tellEvery is how often it is told how busy an executor was.
const tellEvery = trace.Time(1e9)

// flush tells of the executor up to a moment.
func (e *executor) flush(now trace.Time) {
	e.workers.flush(now - late)
	e.busy.flush(now - late)
	e.dns.flush(now - late)
	if now-e.told < tellEvery {
		return
	}
	for t := range e.members {
		if w := t.worker; w.since < now {
			e.spends(w.state, now-w.since)
			w.since = now
		}
	}
	e.tellSpent(now)
}

func (e *executor) tellSpent(at trace.Time) {
	e.emit(trace.Event{Time: at, Kind: trace.ExecutorIdleNS, Arg: int64(e.spent[0])})
	e.emit(trace.Event{Time: at, Kind: trace.ExecutorBusyNS, Arg: int64(e.spent[1])})
	e.spent, e.told = [2]trace.Time{}, at
}

// leaves takes a worker that has ended from the executor, which ends with its last one; where
// executors cannot be told apart, with the process.
func (e *executor) leaves(t *thread, at trace.Time) {
	delete(e.members, t)
	if len(e.members) == 0 && (e.over || e.is.Queue != 0) {
		e.ends(at)
	}
}

// ends tells what was not told yet, and takes the executor from its process.
func (e *executor) ends(at trace.Time) {
	e.queue.ends(e.emit, at)
	e.tellSpent(at)
	for _, c := range [...]*waiterCount{&e.workers, &e.busy, &e.dns} {
		c.flush(at + late)
	}
	p := e.proc
	p.executors = slices.DeleteFunc(p.executors, func(x *executor) bool { return x == e })
}
