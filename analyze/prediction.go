package analyze

import (
	"gilscope/internal/trace"
)

var noGILAnalyzer = Analyzer{
	Name: "scaling.no_gil",
	Doc: "How long what was recorded would have taken without a GIL: each thread computes, sleeps and waits for other threads as it did, but not for the GIL, on as many CPUs as the machine has. " +
		"Only threads that compute, or want to, for 5 % of the time count for the end. It is a bound: that each thread computes as fast as before is what data that threads share may prevent, and so may a " +
		"build without a GIL that is slower by itself. Locks that were never waited for may be, then.",
	Run: runNoGIL,
}

// Prediction is what is expected of a process under another condition. Times are from the
// first moment at which a thread that counts computed until the last one was at its end.
type Prediction struct {
	Kind       string   `json:"kind"` // no_gil
	CPUs       int64    `json:"cpus"`
	Threads    int64    `json:"threads"`     // that count
	RecordedNS *int64   `json:"recorded_ns"` // as it was; null, like all below: not known, see why
	WallNS     *int64   `json:"wall_ns"`     // without a GIL, and with locks in the order in which they were taken
	WallMinNS  *int64   `json:"wall_min_ns"` // and if threads never waited for locks, too
	Speedup    *float64 `json:"speedup"`     // recorded_ns / wall_ns
	SpeedupMax *float64 `json:"speedup_max"` // recorded_ns / wall_min_ns
	Why        *string  `json:"why"`         // why nothing is predicted; null: it is
}

const noGIL = "no_gil"

// From less than this nothing is predicted: begin and end would weigh too much.
const (
	leastRecordedNS = 100_000_000
	leastRunNS      = 20_000_000
)

func runNoGIL(tl *Timeline, r *Report) {
	if r.Scaling == nil {
		return
	}
	waits := knownWaits{tl.gilWaits(), tl.lockEvents()}
	rows := []*ScalingRow{&r.Scaling.ScalingRow}
	for i := range r.Scaling.Others {
		rows = append(rows, &r.Scaling.Others[i])
	}
	for _, row := range rows {
		row.Predictions = tl.predictNoGIL(r, row, waits)
	}
}

// predictNoGIL predicts for the CPUs of the machine and, if there are more threads that
// count, for one CPU for each of them.
func (tl *Timeline) predictNoGIL(r *Report, row *ScalingRow, waits knownWaits) []Prediction {
	p := Prediction{Kind: noGIL}
	if row.CPUs != nil {
		p.CPUs = *row.CPUs
	}
	if why := tl.noPrediction(r, row); why != "" {
		p.Why = &why
		return []Prediction{p}
	}
	play := tl.replayOf(row.PID, waits)
	recorded := play.counted(&p)
	if recorded < leastRecordedNS || row.OnCPUNS < leastRunNS {
		p.Why = known("too little was recorded: record for longer, while the program computes")
		return []Prediction{p}
	}
	p.RecordedNS = &recorded
	list := []Prediction{play.predict(p)}
	if p.Threads > p.CPUs && list[0].Why == nil {
		p.CPUs = p.Threads
		list = append(list, play.predict(p))
	}
	return list
}

// noPrediction is why nothing can be predicted for a process; "" if it can.
func (tl *Timeline) noPrediction(r *Report, row *ScalingRow) string {
	if row.CPUs == nil {
		return "the trace does not say how many CPUs the machine has"
	}
	if r.Recording.LostEvents > 0 {
		return "events were lost, and with them parts of what threads did"
	}
	for i := range r.Processes {
		if p := &r.Processes[i]; p.PID == row.PID && p.Python != nil && p.Python.GILEnabled != nil && !*p.Python.GILEnabled {
			return "the process has no GIL"
		}
	}
	for i := range tl.GILs {
		if tl.GILs[i].PID == row.PID {
			return ""
		}
	}
	return "nothing was seen of the process's GIL"
}

// counted fills in how many threads count, and returns how long they took. If none works
// enough, all count.
func (r *replay) counted(p *Prediction) int64 {
	for i := range r.actors {
		if r.actors[i].counts {
			p.Threads++
		}
	}
	if p.Threads == 0 {
		for i := range r.actors {
			r.actors[i].counts = true
		}
		p.Threads = int64(len(r.actors))
	}
	var from, to trace.Time
	for i := range r.actors {
		a := &r.actors[i]
		if !a.counts || a.lastAt == 0 {
			continue
		}
		if to == 0 || a.firstAt < from {
			from = a.firstAt
		}
		to = max(to, a.lastAt)
	}
	return int64(to - from)
}

// predict plays for the CPUs of a prediction.
func (r *replay) predict(p Prediction) Prediction {
	wall, ok := r.play(int(p.CPUs), false)
	least, free := r.play(int(p.CPUs), true)
	if !ok || !free || wall <= 0 || least <= 0 {
		p.RecordedNS, p.Why = nil, known("what was recorded of the threads' waits for each other contradicts itself")
		return p
	}
	least = min(least, wall) // another order on the CPUs can be worse by chance
	p.WallNS, p.WallMinNS = &wall, &least
	p.Speedup, p.SpeedupMax = share(*p.RecordedNS, wall), share(*p.RecordedNS, least)
	return p
}

// knownWaits are the waits of all threads of which it is known what for.
type knownWaits struct {
	gil    [][]waiting // by thread
	others []lockEvent
}

// lockEvent is a wait for a lock, or for another thread to do something, that another
// thread ended.
type lockEvent struct {
	waiter, by   int32      // indexes in Timeline.Threads
	from, at, to trace.Time // it waited from, was woken at, and ran at to
	lock         bool       // for a lock that a thread holds
}

// lockEvents are the waits of all threads of which it is known who ended them.
func (tl *Timeline) lockEvents() []lockEvent {
	var list []lockEvent
	open, woken := map[uint64]*trace.Event{}, map[uint64]*trace.Event{}
	for i := range tl.Trace.Events {
		e := &tl.Trace.Events[i]
		key := threadKey(e.PID, e.TID)
		switch e.Kind {
		case trace.LockWaitBegin:
			open[key] = e
			delete(woken, key)
		case trace.LockRelease:
			woken[threadKey(e.PID, e.Other)] = e
		case trace.LockWaitEnd:
			begin, wake := open[key], woken[key]
			delete(open, key)
			if begin == nil || wake == nil || wake.TID == e.TID || trace.WaitOutcome(e.Arg) != trace.WaitTaken {
				continue
			}
			waiter, ok := tl.threadAt(e.PID, e.TID, e.Time)
			by, known := tl.threadAt(e.PID, wake.TID, wake.Time)
			if ok && known && waiter != by {
				list = append(list, lockEvent{waiter, by, begin.Time, wake.Time, e.Time, begin.Lock.Own()})
			}
		}
	}
	return list
}
