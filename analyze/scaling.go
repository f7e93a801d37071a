package analyze

import (
	"cmp"
	"slices"

	"gilscope/internal/trace"
)

var scalingAnalyzer = Analyzer{
	Name: "scaling",
	Doc: "How many threads of a process ran at once, and what the others were waiting for meanwhile. The scheduler decides who runs and who is ready but has no CPU (runnable); " +
		"of the others it is told whether they waited for the GIL, for a lock that a thread holds, for other threads to do something (Condition, queue, join), or slept for anything else. " +
		"Limits are what kept threads from running that had something to do: the GIL, by the line that held it; locks, by the line that waits; CPUs.",
	Run: runScaling,
}

// Scaling is the parallelism of the process that used the most CPU time, and of the others.
type Scaling struct {
	ScalingRow
	Others []ScalingRow `json:"others"` // the other recorded processes that ran, by CPU time
}

// ScalingRow is how parallel one process was. Means are over SpanNS.
type ScalingRow struct {
	PID             int32         `json:"pid"`
	CPUs            *int64        `json:"cpus"`      // of the machine, as the recorder could use them
	SpanNS          int64         `json:"span_ns"`   // for how long the process was recorded
	ActiveNS        int64         `json:"active_ns"` // of that, the time in which at least one thread ran
	OnCPUNS         int64         `json:"on_cpu_ns"`
	ParallelismMean *float64      `json:"parallelism_mean"` // threads on a CPU
	ParallelismMax  int64         `json:"parallelism_max"`
	RunnableMean    *float64      `json:"runnable_mean"` // threads that had something to do but no CPU
	RunnableMax     int64         `json:"runnable_max"`
	SerialShare     *float64      `json:"serial_share"`     // part of the active time in which exactly one thread ran,
	SerializedShare *float64      `json:"serialized_share"` // and in which, besides, another one waited for the GIL, a lock or a CPU
	Levels          []Level       `json:"levels"`           // by the number of threads that ran; their times sum to span_ns
	Together        *Together     `json:"together"`
	RuntimeWork     []RuntimeWork `json:"runtime_work"` // the longest first
	Limits          []Limit       `json:"limits"`       // the longest first
	StopTheWorld    []WorldRow    `json:"stop_the_world"`
	Predictions     []Prediction  `json:"predictions"`

	// Of the runnable time, what lies in waits for the GIL: who was asked to drop it wants it back at
	// once, mostly on the CPU of the next holder. A limit is counted once, and with a CPU it would wait, too.
	readyForGIL int64
}

// Level is the time in which a certain number of threads ran, and what the others
// did then: thread time, so with three sleepers three seconds a second.
type Level struct {
	Running      int64 `json:"running"`
	NS           int64 `json:"ns"`
	RunnableNS   int64 `json:"runnable_ns"`
	GILWaitNS    int64 `json:"gil_wait_ns"`
	LockWaitNS   int64 `json:"lock_wait_ns"`   // for locks that threads hold
	OthersWaitNS int64 `json:"others_wait_ns"` // for other threads to do something
	BlockedNS    int64 `json:"blocked_ns"`     // for anything else: sleep, files, sockets
}

// Limit is what kept threads from running.
type Limit struct {
	Kind   string   `json:"kind"` // gil, lock, cpu
	Site   *SiteRow `json:"site"` // null: not known, or cpu
	WaitNS int64    `json:"wait_ns"`
}

// activity is what a thread does, seen by the scheduler and by what it waits for.
type activity uint8

const (
	doesRun activity = iota
	isReady
	waitsGIL
	waitsLock
	waitsOthers
	sleeps
	numActivities
)

// waiting is a stretch in which a thread waits for something that is known.
type waiting struct {
	from, to trace.Time
	what     activity
}

// maxLimits bounds the list of limits: the longest stay.
const maxLimits = 50

func runScaling(tl *Timeline, r *Report) {
	if !tl.Sched {
		r.Skipped = append(r.Skipped, Skipped{"scaling", "the trace has no scheduling events"})
		return
	}
	waits := tl.waitings()
	sweeps := map[int32]*sweep{}
	for i := range tl.Threads {
		th := &tl.Threads[i]
		if th.PID == 0 || len(th.States) == 0 {
			continue
		}
		s := sweeps[th.PID]
		if s == nil {
			s = &sweep{from: th.Start, to: th.End, base: tl.Start}
			sweeps[th.PID] = s
		}
		s.thread(th, waits[i])
	}
	var rows []ScalingRow
	samples := tl.samplesByPID()
	for pid, s := range sweeps {
		row := s.row()
		row.PID, row.CPUs = pid, tl.cpuCount()
		row.Limits, row.Together = limits(r, &row), tl.togetherOf(&row, s.many)
		row.RuntimeWork = tl.runtimeWork(&row, samples[pid])
		row.StopTheWorld, row.Predictions = r.pausesOf(pid), []Prediction{}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(x, y ScalingRow) int { return cmp.Or(cmp.Compare(y.OnCPUNS, x.OnCPUNS), cmp.Compare(x.PID, y.PID)) })
	if len(rows) == 0 || rows[0].OnCPUNS == 0 {
		r.Skipped = append(r.Skipped, Skipped{"scaling", "no thread was seen to run"})
		return
	}
	r.Scaling = &Scaling{ScalingRow: rows[0], Others: append([]ScalingRow{}, rows[1:]...)}
}

// cpuCount is how many CPUs the recorder had; nil: the trace does not say.
func (tl *Timeline) cpuCount() *int64 {
	if n, ok := lastNote(tl.Trace, trace.NoteRecording, 0); ok {
		if v, ok := number(n, "cpus"); ok && v > 0 && v <= int64(maxCPU) {
			return &v
		}
	}
	return nil
}

// waitings are the known waits of all threads, by thread, in order of time.
func (tl *Timeline) waitings() [][]waiting {
	all := tl.gilWaits()
	mixed := map[int32]bool{}
	tl.eachLockWait(func(begin, e *trace.Event, _ int) {
		if th, ok := tl.threadAt(e.PID, e.TID, e.Time); ok {
			w := waiting{begin.Time, e.Time, waitsOthers}
			if begin.Lock.Own() {
				w.what = waitsLock
			}
			all[th] = append(all[th], w)
			mixed[th] = true
		}
	})
	for th := range mixed {
		slices.SortFunc(all[th], func(x, y waiting) int { return cmp.Compare(x.from, y.from) })
	}
	return all
}

// limits are what kept the threads of a process from running.
func limits(r *Report, row *ScalingRow) []Limit {
	type key struct {
		kind, where string
	}
	sums := map[key]*Limit{}
	add := func(kind string, site *SiteRow, ns int64) {
		k := key{kind, textOf(site)}
		if sums[k] == nil {
			sums[k] = &Limit{Kind: kind, Site: site}
		}
		sums[k].WaitNS += ns
	}
	for i := range r.GIL {
		for _, b := range r.GIL[i].Blame {
			if r.GIL[i].PID == row.PID {
				add("gil", b.Holder.Site, b.WaitNS)
			}
		}
	}
	for i := range r.Locks {
		for _, w := range r.Locks[i].Waiters {
			if w.PID == row.PID && r.Locks[i].Held {
				add("lock", w.Site, w.WaitNS)
			}
		}
	}
	runnable := -row.readyForGIL
	for _, l := range row.Levels {
		runnable += l.RunnableNS
	}
	if runnable > 0 {
		add("cpu", nil, runnable)
	}
	list := []Limit{}
	for _, l := range sums {
		list = append(list, *l)
	}
	slices.SortFunc(list, func(x, y Limit) int {
		return cmp.Or(cmp.Compare(y.WaitNS, x.WaitNS), cmp.Compare(x.Kind, y.Kind), cmp.Compare(textOf(x.Site), textOf(y.Site)))
	})
	return list[:min(len(list), maxLimits)]
}

// pausesOf are the pauses of the world in a process.
func (r *Report) pausesOf(pid int32) []WorldRow {
	rows := []WorldRow{}
	for _, row := range r.StopTheWorld {
		if row.PID == pid {
			rows = append(rows, row)
		}
	}
	return rows
}
