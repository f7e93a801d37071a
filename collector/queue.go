package collector

import (
	"slices"

	"gilscope/internal/cpython"
	"gilscope/internal/trace"
)

// queueWatch follows the jobs in the queue of an executor by looks at it from
// outside. Jobs leave in the order in which they came, so a look tells which of those
// before have left.
type queueWatch struct {
	looked trace.Time // the last time, or before its first job came; 0: that may have been before the recording
	began  bool       // it has been looked at
	depth  int
	jobs   []queuedJob // the first ones, as of then
}

// queuedJob is a job that came after a look that did not meet it, at from, and before
// the first that did, at to. from is 0 if that is not known.
type queuedJob struct {
	addr     uint64
	from, to trace.Time
}

// maxQueuedJobs bounds what is followed of a queue. Of jobs further behind, more is
// known when they have come forward.
const maxQueuedJobs = 1024

// pressedEvery is how long the reader sleeps at most while jobs wait, or may; see pressed.
const pressedEvery = 20e6 // ns

// look takes in a look at the queue: its depth, and its first jobs. If all workers that may
// be have been busy since full (0: they are not), no job can have come to wait before that.
func (q *queueWatch) look(emit func(trace.Event), at trace.Time, depth int, first []uint64, full trace.Time) {
	tell := func(kind trace.Kind, v int64) { emit(trace.Event{Time: at, Kind: kind, Arg: v}) }
	left := q.left(first)
	if left > 0 {
		least, most := q.waited(q.jobs[:left], at, full)
		tell(trace.ExecutorLeft, int64(left))
		tell(trace.ExecutorWaited, int64(least))
		tell(trace.ExecutorAtMost, int64(most))
	}
	from := q.looked
	if n := len(q.jobs); n > 0 && q.depth > n {
		from = q.jobs[n-1].from // who is new in our sight may have been behind it
	}
	q.jobs = slices.Delete(q.jobs, 0, left)
	for _, addr := range first[len(q.jobs):] {
		q.jobs = append(q.jobs, queuedJob{addr, from, at})
	}
	if depth != q.depth || !q.began {
		tell(trace.ExecutorQueue, int64(depth))
	}
	q.looked, q.depth, q.began = at, depth, true
}

// waited bounds the longest wait of jobs that have left between the last look and
// this one; most is 0 if one may have come before the recording.
func (q *queueWatch) waited(jobs []queuedJob, at, full trace.Time) (least, most trace.Time) {
	known := true
	for _, j := range jobs {
		from := j.from
		if full > from && full <= j.to {
			from = full
		}
		known = known && from != 0
		least, most = max(least, q.looked-j.to), max(most, at-from)
	}
	if !known {
		most = 0
	}
	return least, most
}

// left is how many of the known jobs are gone: as few as agree with what is there.
func (q *queueWatch) left(first []uint64) int {
	for n := range q.jobs {
		rest := q.jobs[n:]
		if len(rest) <= len(first) && slices.EqualFunc(rest, first[:len(rest)], func(j queuedJob, addr uint64) bool { return j.addr == addr }) {
			return n
		}
	}
	return len(q.jobs)
}

// ends tells how long those have waited that are still there.
func (q *queueWatch) ends(emit func(trace.Event), at trace.Time) {
	if len(q.jobs) > 0 {
		emit(trace.Event{Time: at, Kind: trace.ExecutorWaited, Arg: int64(q.looked - q.jobs[0].to)})
	}
	if q.depth > 0 {
		emit(trace.Event{Time: at, Kind: trace.ExecutorQueue})
	}
	*q = queueWatch{}
}

// pressed says that jobs wait, or may come to, or that there are threads that may be workers.
func (p *process) pressed() bool {
	if p.py == nil || p.exited {
		return false
	}
	if len(p.fresh) > 0 && p.stacks != nil {
		return true
	}
	for _, e := range p.executors {
		if e.queue.depth > 0 || e.full != 0 && e.hasQueue() {
			return true
		}
	}
	return false
}

// lookAtQueues looks how many jobs wait for each executor. A queue that changes just
// now is looked at the next time.
func (s *session) lookAtQueues(p *process) {
	if p.py == nil || p.exited {
		return
	}
	for _, e := range p.executors {
		at := now()
		s.seekPool(p, e, at)
		if !e.hasQueue() {
			continue
		}
		full := e.full
		var depth int
		var first []uint64
		var err error
		if e.pool.Addr != 0 {
			full = 0 // jobs reach worker processes by way of a thread and a pipe, so some wait before all have one
			depth, first, err = p.py.WaitingJobs(e.pool, maxQueuedJobs)
		} else {
			depth, first, err = p.py.QueuedJobs(e.is.Queue, maxQueuedJobs)
		}
		if err == nil && at > e.queue.looked {
			e.queue.look(e.emit, at, depth, first, full)
		}
	}
}

// seekEvery is how often the pool of worker processes is looked for: there may come a second one.
const seekEvery = trace.Time(250e6)

// seekPool finds out whose jobs the worker processes do that a process started. Those of
// several pools cannot be told apart, so then none is looked at.
func (s *session) seekPool(p *process, e *executor, at trace.Time) {
	if e.kind != executorProcesses || e.proc != p || at < e.sought+seekEvery {
		return
	}
	e.sought = at
	pools, err := p.py.ProcessPools()
	if err != nil {
		return
	}
	var one cpython.ProcessPool
	if len(pools) == 1 {
		one = pools[0]
	}
	if one == e.pool {
		return
	}
	e.queue.ends(e.emit, at)
	e.pool, e.is.Max, e.full = one, one.Max, 0
	s.d.noteExecutor(e, at)
}
