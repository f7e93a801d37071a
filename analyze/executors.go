package analyze

import (
	"cmp"
	"slices"

	"gilscope/internal/trace"
)

var executorsAnalyzer = Analyzer{
	Name: "executors",
	Doc: "What each pool of workers did: how many had a job and for how long, which the scheduler's records tell exactly, and how many jobs waited, " +
		"by looks at its queue from outside, every 20 ms while all workers are busy. A job that waited for less than that may not be seen; how long one waited is " +
		"told by bounds. A worker has a job from when it was woken for it, so that its wait for the GIL or a CPU counts.",
	Run: runExecutors,
}

// ExecutorRow is one executor: a ThreadPoolExecutor, the threads of anyio, or the worker
// processes of a process, which it may have in several pools.
type ExecutorRow struct {
	PID           int32    `json:"pid"`
	Executor      int32    `json:"executor"`    // its number in the process
	Kind          string   `json:"kind"`        // ThreadPoolExecutor, anyio, ProcessPoolExecutor, multiprocessing.Pool
	Name          *string  `json:"name"`        // thread_name_prefix; asyncio's default executor has "asyncio"
	Workers       int64    `json:"workers"`     // the most at one time
	MaxWorkers    *int64   `json:"max_workers"` // that it may have; null: not known
	BusyNS        int64    `json:"busy_ns"`     // of all workers together
	IdleNS        int64    `json:"idle_ns"`
	BusyShare     *float64 `json:"busy_share"`       // busy / (busy + idle)
	BusyMax       int64    `json:"busy_max"`         // the most workers that had a job at one time
	AllBusyNS     int64    `json:"all_busy_ns"`      // time in which every worker had one
	AllInDNSNS    int64    `json:"all_in_dns_ns"`    // time in which every worker looked up a host
	QueueMax      *int64   `json:"queue_max"`        // the most jobs that were seen to wait; null: the queue could not be looked into
	SaturatedNS   *int64   `json:"saturated_ns"`     // time in which every worker had a job and others waited
	WaitedJobs    *int64   `json:"waited_jobs"`      // that were seen to wait, and began
	DelayP50NS    *int64   `json:"delay_p50_ns"`     // from submit to start. null: not recorded, as not every job is seen
	DelayP99NS    *int64   `json:"delay_p99_ns"`     //
	DelayMaxNS    *int64   `json:"delay_max_ns"`     // at least so long waited the one that waited longest, also if it had not begun at the end
	DelayAtMostNS *int64   `json:"delay_at_most_ns"` // and none that began waited longer; null: not known
	tids          []threadID
}

// threadID names a thread of the trace.
type threadID struct{ pid, tid int32 }

// executorReader puts one executor together from its counters, in order of time.
type executorReader struct {
	row                       ExecutorRow
	last                      trace.Time // of the values
	workers, busy, dns, queue int64
	unbounded                 bool // a job waited for nobody knows how long
}

func executorKey(pid int32, number uint16) uint64 { return threadKey(pid, int32(number)) }

func runExecutors(tl *Timeline, r *Report) {
	readers := map[uint64]*executorReader{}
	for i := range tl.Trace.Notes {
		readExecutorNote(readers, &tl.Trace.Notes[i])
	}
	for i := range tl.Trace.Events {
		e := &tl.Trace.Events[i]
		if e.Kind < trace.ExecutorWorkers || e.Kind > trace.ExecutorAtMost {
			continue
		}
		if x := readers[executorKey(e.PID, e.GIL)]; x != nil {
			x.event(e)
		}
	}
	looked := false
	for _, x := range readers {
		looked = looked || x.row.QueueMax != nil
		x.until(tl.End)
		if x.unbounded {
			x.row.DelayAtMostNS = nil
		}
		x.row.BusyShare = share(x.row.BusyNS, x.row.BusyNS+x.row.IdleNS)
		r.Executors = append(r.Executors, x.row)
	}
	slices.SortFunc(r.Executors, func(x, y ExecutorRow) int {
		return cmp.Or(cmp.Compare(x.PID, y.PID), cmp.Compare(x.Executor, y.Executor))
	})
	if len(r.Executors) == 0 {
		r.Skipped = append(r.Skipped, Skipped{"executors", "no worker of an executor was recorded"})
	}
	if looked {
		r.Skipped = append(r.Skipped, Skipped{"executor delays", "jobs that hardly wait are not seen: median and p99 are not known, the longest delay is"})
	}
}

// readExecutorNote takes in what a note says of an executor or of a worker.
func readExecutorNote(readers map[uint64]*executorReader, n *trace.Note) {
	number64, ok := number(*n, "executor")
	if !ok || n.Name != trace.NoteExecutor && n.Name != trace.NoteWorker || number64 != int64(uint16(number64)) {
		return
	}
	pid := n.PID
	if pool, ok := number(*n, "pool"); ok && n.Name == trace.NoteWorker {
		pid = int32(pool)
	}
	key := executorKey(pid, uint16(number64))
	x := readers[key]
	if n.Name == trace.NoteWorker {
		if tid, ok := number(*n, "tid"); ok && x != nil {
			x.row.tids = append(x.row.tids, threadID{n.PID, int32(tid)})
		}
		return
	}
	if x == nil {
		x = &executorReader{row: ExecutorRow{PID: pid, Executor: int32(number64)}}
		readers[key] = x
	}
	x.row.Kind, x.row.Name = text(*n, "kind"), known(text(*n, "name"))
	if most, ok := number(*n, "max_workers"); ok {
		x.row.MaxWorkers = &most
	}
	if queue, _ := number(*n, "queue"); queue != 0 && x.row.QueueMax == nil {
		x.row.QueueMax, x.row.SaturatedNS, x.row.WaitedJobs = new(int64), new(int64), new(int64)
	}
}

// until adds the time up to a moment, in which nothing changed.
func (x *executorReader) until(at trace.Time) {
	ns := int64(at - x.last)
	if ns <= 0 {
		return
	}
	x.last = at
	if x.workers <= 0 {
		return // which is so before its first event, too
	}
	if x.busy >= x.workers {
		x.row.AllBusyNS += ns
		if x.queue > 0 && x.row.SaturatedNS != nil {
			*x.row.SaturatedNS += ns
		}
	}
	if x.dns >= x.workers {
		x.row.AllInDNSNS += ns
	}
}

func (x *executorReader) event(e *trace.Event) {
	x.until(e.Time)
	row, v := &x.row, max(e.Arg, 0)
	switch e.Kind {
	case trace.ExecutorWorkers:
		x.workers, row.Workers = v, max(row.Workers, v)
	case trace.ExecutorBusy:
		x.busy, row.BusyMax = v, max(row.BusyMax, v)
	case trace.ExecutorDNS:
		x.dns = v
	case trace.ExecutorBusyNS:
		row.BusyNS += v
	case trace.ExecutorIdleNS:
		row.IdleNS += v
	default:
		x.queueEvent(e.Kind, v)
	}
}

// queueEvent takes in what a look at the queue told.
func (x *executorReader) queueEvent(k trace.Kind, v int64) {
	row := &x.row
	if row.QueueMax == nil {
		return
	}
	longest := func(at **int64) {
		if *at == nil || v > **at {
			*at = &v
		}
	}
	switch k {
	case trace.ExecutorQueue:
		x.queue = v
		longest(&row.QueueMax)
	case trace.ExecutorLeft:
		*row.WaitedJobs += v
	case trace.ExecutorWaited:
		longest(&row.DelayMaxNS)
	case trace.ExecutorAtMost:
		x.unbounded = x.unbounded || v == 0
		longest(&row.DelayAtMostNS)
	}
}
