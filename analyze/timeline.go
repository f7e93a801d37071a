// Package analyze owns the meaning of a recording: the Timeline (who waited,
// who held, who ran, built once and then only read), the analyzers that turn it
// into a Report, the findings with their advice, and budgets over a report.
//
// It is a pure function of a trace.Trace: no clock, no file, no kernel.
package analyze

import (
	"sort"

	"gilscope/internal/trace"
)

// Holders with a meaning of their own in Stretch and Piece.
const (
	Nobody  int32 = 0  // the GIL is free or being handed over
	Unknown int32 = -1 // the recording does not say who holds it
)

// noTime marks a moment that did not come.
const noTime trace.Time = -1

// Timeline is a trace as spans. It is built once by Build and read-only after.
// The bulk of it (states, waits, holds, stretches, samples) is free of pointers,
// so that millions of spans cost the garbage collector nothing.
type Timeline struct {
	Trace      *trace.Trace
	Start, End trace.Time         // of the recording, BOOTTIME ns
	Threads    []Thread           // in order of the trace's table, then of appearance
	GILs       []GIL              // in order of pid, interpreter
	Sites      []Site             // by SiteID; 0 is "not known"
	Sched      bool               // whether the trace has scheduling events at all
	threadOf   map[uint64]int32   // by threadKey: the latest thread
	lives      map[uint64][]int32 // by threadKey: all of them in order, where there were several
	facts      map[int32]*facts   // by pid
	stacks     []stackSite
}

// Thread is the life of one thread and what the scheduler did with it. A number
// that was used again stands for several of them, also within one process.
type Thread struct {
	PID, TID   int32
	Name       string      // Python's or the kernel's name; "" if never told
	Start, End trace.Time  // life as far as recorded
	States     []StateSpan // in time order, without overlap; gaps are unknown
	Started    bool        // Start is where the thread began, not just the recording
	Ended      bool        // End is where the thread ended
}

// State is what a thread does in the eyes of the scheduler.
type State uint8

// Thread states.
const (
	NoState  State = iota // not known, or the thread does not exist
	Running               // on a CPU
	Runnable              // ready, waits for a CPU
	Blocked               // off-CPU, waits for an event
)

// StateSpan is a stretch of one state.
type StateSpan struct {
	Start, End trace.Time
	State      State
}

// GIL is one interpreter's lock: its waits, holds, and who held it when.
type GIL struct {
	PID         int32
	Interpreter uint16
	Waits       []Wait    // by start
	Holds       []Hold    // by start; only where the detail is full
	Lane        []Stretch // contiguous from Timeline.Start to Timeline.End
	Samples     []Sample  // stacks of the holder, by time
	Requests    int64     // drop requests
	ContendedNS int64     // time in which at least one thread waited
}

// Wait is one GIL wait.
type Wait struct {
	Start, End trace.Time
	Stack      trace.StackID // the waiter's
	Thread     int32         // index in Timeline.Threads
	Outcome    trace.WaitOutcome
}

// NS is how long the wait lasted.
func (w Wait) NS() int64 { return int64(w.End - w.Start) }

// Hold is one GIL hold (detail full).
type Hold struct {
	Start, End trace.Time
	Stack      trace.StackID // where it was taken
	Thread     int32         // index in Timeline.Threads
	Reason     trace.DropReason
	Open       bool // the recording ended before the drop
}

// Stretch is a part of the holder lane.
type Stretch struct {
	Start, End trace.Time
	Asked      trace.Time // first drop request to this holder in this stretch; negative: none
	TID        int32      // the holder, Nobody, or Unknown
	Thread     int32      // index of the holder in Timeline.Threads; negative if there is none
	firstSample,
	endSample int32 // its samples are GIL.Samples[firstSample:endSample]
	Open bool // the recording ended before the stretch did
}

// Sample is the stack of the holder at one moment.
type Sample struct {
	Time  trace.Time
	Stack trace.StackID
	Site  SiteID
}

// NS is the recorded duration.
func (tl *Timeline) NS() int64 { return int64(tl.End - tl.Start) }

// Full says whether every take and drop of the process was recorded all the time.
// Where that is false, numbers about holds are not known, which is not 0.
func (tl *Timeline) Full(pid int32) bool {
	all, own := tl.facts[0], tl.facts[pid]
	return (all.full() || own.full()) && !all.waits() && !own.waits()
}

// HasLoops says whether an event loop was recorded.
func (tl *Timeline) HasLoops() bool {
	for i := range tl.Trace.Notes {
		if tl.Trace.Notes[i].Name == trace.NoteLoop {
			return true
		}
	}
	return false
}

// FullShare is the part of a process's recorded time at detail full; nil where
// the trace does not tell its levels.
func (tl *Timeline) FullShare(pid int32) *float64 {
	f := tl.facts[pid]
	if f == nil {
		return nil
	}
	upTo := *f
	upTo.changes("", tl.End)
	if upTo.levelNS == 0 {
		return nil
	}
	share := float64(upTo.fullNS) / float64(upTo.levelNS)
	return &share
}

// Detail is the detail of the whole recording: "waits", "full", "auto" if it
// changed, or "" if the trace does not say.
func (tl *Timeline) Detail() string {
	full, waits := false, false
	for _, f := range tl.facts {
		full, waits = full || f.full(), waits || f.waits()
	}
	switch {
	case full && waits:
		return "auto"
	case full:
		return detailFull
	case waits:
		return detailWaits
	}
	return ""
}

// In is how long the thread was in the state between from and to, and whether
// anything is known about that time at all.
func (t *Thread) In(state State, from, to trace.Time) (ns int64, known bool) {
	i := sort.Search(len(t.States), func(i int) bool { return t.States[i].End > from })
	for ; i < len(t.States) && t.States[i].Start < to; i++ {
		known = true
		if t.States[i].State == state {
			ns += int64(min(to, t.States[i].End) - max(from, t.States[i].Start))
		}
	}
	return ns, known
}
