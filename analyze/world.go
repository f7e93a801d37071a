package analyze

import (
	"cmp"
	"slices"

	"gilscope/internal/trace"
)

var worldAnalyzer = Analyzer{
	Name: "stop-the-world",
	Doc: "Pauses of free-threaded builds, in which one thread stops all others: by who asked for them, why and on which line. A pause lasts from when it is asked for until the others may go on. " +
		"Which threads it stopped, for how long, and how long they took to stop, is known of those that slept for it: a thread that waits for something else anyway loses nothing. " +
		"Where the interpreter has no symbols, pauses are only seen if they stopped somebody, from the first stop on, and not why.",
	Run: runWorld,
}

// WorldRow is the pauses that one thread asked for on one line, for one reason.
type WorldRow struct {
	PID       int32         `json:"pid"`
	Reason    string        `json:"reason"` // gc, import, type, fork, exit, tracing, inspection, memory, unknown
	Requester Party         `json:"requester"`
	Pauses    int64         `json:"pauses"`
	PauseNS   int64         `json:"pause_ns"`
	PauseP99  *int64        `json:"pause_p99_ns"`
	PauseMax  int64         `json:"pause_max_ns"`
	StopNS    *int64        `json:"stop_ns"` // of pause_ns, until all had stopped; null: not known
	StopMax   *int64        `json:"stop_max_ns"`
	Open      int64         `json:"open"`    // of pauses, those whose end was not seen
	Threads   []WorldThread `json:"threads"` // those that were stopped, the longest first
}

// WorldThread is a thread that was stopped.
type WorldThread struct {
	TID       int32  `json:"tid"`
	Name      string `json:"name"`
	Stops     int64  `json:"stops"`
	StoppedNS int64  `json:"stopped_ns"` // until it had a CPU again
	TookNS    *int64 `json:"took_ns"`    // to stop, after that was asked for; null: it did not run then, or that is not known
	TookMaxNS *int64 `json:"took_max_ns"`
}

// pause is one pause.
type pause struct {
	pid            int32
	tid            int32
	begin, stopped trace.Time // stopped 0: not known
	end            trace.Time
	why            trace.WorldReason
	stack          trace.StackID
	open           bool
}

// stopWait is a thread that slept until the world went on.
type stopWait struct {
	pid, tid   int32
	begin, end trace.Time
	by         *trace.Event // who let it go on
}

// stopsSoon is how long after all have stopped a thread that was stopped may go to sleep; who
// does so later came back from elsewhere.
const stopsSoon = trace.Time(1e6)

// worldReader collects pauses and those who were stopped.
type worldReader struct {
	open   map[uint64]*pause       // by thread
	begun  map[uint64]*trace.Event // waits until the world goes on
	by     map[uint64]*trace.Event // releases of these, by the thread that waits
	pauses []*pause
	waits  []stopWait
}

func runWorld(tl *Timeline, r *Report) {
	w := worldReader{open: map[uint64]*pause{}, begun: map[uint64]*trace.Event{}, by: map[uint64]*trace.Event{}}
	for i := range tl.Trace.Events {
		w.event(&tl.Trace.Events[i])
	}
	w.infer()
	slices.SortStableFunc(w.pauses, func(x, y *pause) int { return cmp.Or(cmp.Compare(x.pid, y.pid), cmp.Compare(x.begin, y.begin)) })
	rows := newWorldRows(tl)
	for _, p := range w.pauses {
		rows.pause(p)
	}
	for _, s := range w.waits {
		if p := w.pauseOf(&s); p != nil {
			rows.stopped(p, &s)
		}
	}
	r.StopTheWorld = rows.sorted()
}

func (w *worldReader) event(e *trace.Event) {
	key := threadKey(e.PID, e.TID)
	switch e.Kind {
	case trace.WorldStopBegin:
		w.open[key] = &pause{pid: e.PID, tid: e.TID, begin: e.Time, why: trace.WorldReason(e.Arg), stack: e.Stack}
	case trace.WorldStopped:
		if p := w.open[key]; p != nil {
			p.stopped = e.Time
		}
	case trace.WorldStopEnd:
		if p := w.open[key]; p != nil && e.Time > p.begin {
			p.end, p.open = e.Time, trace.BlockEnd(e.Arg) != trace.BlockOver
			w.pauses = append(w.pauses, p)
		}
		delete(w.open, key)
	case trace.LockWaitBegin:
		delete(w.by, key)
		if e.Lock == trace.LockStopped {
			w.begun[key] = e
		}
	case trace.LockRelease:
		if woken := threadKey(e.PID, e.Other); w.begun[woken] != nil {
			w.by[woken] = e
		}
	case trace.LockWaitEnd:
		if b := w.begun[key]; b != nil && e.Time > b.Time {
			w.waits = append(w.waits, stopWait{e.PID, e.TID, b.Time, e.Time, w.by[key]})
		}
		delete(w.begun, key)
		delete(w.by, key)
	}
}

// pauseOf is the pause in which a wait began.
func (w *worldReader) pauseOf(s *stopWait) *pause {
	i, _ := slices.BinarySearchFunc(w.pauses, s, func(p *pause, s *stopWait) int {
		if p.pid == s.pid && p.begin == s.begin {
			return -1 // it belongs to this one
		}
		return cmp.Or(cmp.Compare(p.pid, s.pid), cmp.Compare(p.begin, s.begin))
	})
	if i == 0 || w.pauses[i-1].pid != s.pid {
		return nil
	}
	if p := w.pauses[i-1]; s.begin <= p.end+stopsSoon {
		return p
	}
	return nil
}
