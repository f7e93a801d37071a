package analyze

import (
	"cmp"
	"path"
	"slices"
	"strconv"
	"strings"

	"gilscope/internal/trace"
)

var loopsAnalyzer = Analyzer{
	Name: "loops",
	Doc: "What each event loop did: how much of the time it was busy rather than waiting for events, and its blocks, the iterations " +
		"that took longer than --block-threshold. The parts of a block's split sum to its duration: on_cpu is the kernel's own count of CPU time, " +
		"gil_wait the thread's GIL waits, blocked its sleeps for other reasons, gc the part of the CPU time in which samples met the garbage collector " +
		"at work, and runnable the rest, in which it wanted a CPU and had none. Its lag is how long data waited for it: from when the kernel had it ready in a " +
		"socket, the first since the loop last took all there was, to the end of its read. What a read leaves counts from when the newest part of it came, and time in which " +
		"the program does not want to read counts too.",
	Run: runLoops,
}

// LoopRow is one event loop: a thread that waits for events again and again.
type LoopRow struct {
	PID            int32      `json:"pid"`
	TID            int32      `json:"tid"`
	Name           string     `json:"name"`
	Kind           string     `json:"kind"` // asyncio, uvloop, trio, other
	Iterations     int64      `json:"iterations"`
	Events         int64      `json:"events"` // that its waits returned
	BusyNS         int64      `json:"busy_ns"`
	IdleNS         int64      `json:"idle_ns"`
	Utilization    *float64   `json:"utilization"`       // busy / (busy + idle)
	UtilizationMax *float64   `json:"utilization_max"`   // of a second, as far as the loop was told of in seconds
	TimerLateMaxNS int64      `json:"timer_late_max_ns"` // of the earliest timer of each wait; a lower bound
	LagP50NS       *int64     `json:"lag_p50_ns"`        // half of the data waited no longer, from ready in a socket to read; an eighth too long at most. null: no reads
	LagP99NS       *int64     `json:"lag_p99_ns"`        // likewise
	LagMaxNS       *int64     `json:"lag_max_ns"`        // exact
	LagReads       *int64     `json:"lag_reads"`         // reads that this is about; null: not recorded
	LagUnseen      *int64     `json:"lag_unseen"`        // reads of data of which it is not known when it came, as at the first of a connection that was there before
	BlockedNS      int64      `json:"block_ns"`          // sum of the blocks
	Blocks         []BlockRow `json:"blocks"`            // in order of time
	Tasks          *TasksRow  `json:"tasks"`             // null: not read, for the process had ended, or the loop is not asyncio's or uvloop's

	tasksBegin *int64
	lag        lag
}

// BlockRow is one iteration of a loop in which it served nobody else.
type BlockRow struct {
	StartNS    int64     `json:"start_ns"` // BOOTTIME
	DurationNS int64     `json:"duration_ns"`
	Cause      string    `json:"cause"`
	Task       *string   `json:"task"`      // null: not known, or a plain callback
	Coroutine  *string   `json:"coroutine"` // the function of the task; null: a plain callback, or not known
	Awaits     []SiteRow `json:"awaits"`    // the async functions of the task, outermost first: each awaits the next, the last one blocked
	Site       *SiteRow  `json:"site"`      // the innermost line of the program itself
	Stack      []SiteRow `json:"stack"`     // leaf first
	Syscall    *string   `json:"syscall"`   // that it was blocked in
	File       *string   `json:"file"`      // what that call was about: socket, pipe, file, device
	Culprit    *Party    `json:"culprit"`   // cause gil: who held the GIL for most of the time
	Split      *Split    `json:"split"`     // null: not known
	Open       bool      `json:"open"`      // it had not ended when the recording did

	natives int // frames of the stack in the trace that are not in Stack
}

// Split shares out the duration of a block. Without gc_ns, that is part of on_cpu_ns.
type Split struct {
	OnCPUNS    int64  `json:"on_cpu_ns"`
	GILWaitNS  int64  `json:"gil_wait_ns"`
	RunnableNS int64  `json:"runnable_ns"`
	BlockedNS  int64  `json:"blocked_ns"`
	GCNS       *int64 `json:"gc_ns"`
}

// loopReader puts the loops of a trace together.
type loopReader struct {
	tl   *Timeline
	rows map[uint64]*LoopRow
	keys []uint64
	open map[uint64]trace.Event
}

func runLoops(tl *Timeline, r *Report) {
	l := loopReader{tl: tl, rows: map[uint64]*LoopRow{}, open: map[uint64]trace.Event{}}
	var tasks []*trace.Event
	for i := range tl.Trace.Events {
		if e := &tl.Trace.Events[i]; e.Kind == trace.LoopTasks {
			tasks = append(tasks, e)
		} else if e.Kind >= trace.LoopBlockBegin && e.Kind <= trace.LoopLate {
			l.event(e)
		}
	}
	for i := range tl.Trace.Notes {
		l.note(&tl.Trace.Notes[i])
	}
	for _, e := range tasks {
		l.row(e.PID, e.TID).tasksAt(tl.Trace, e)
	}
	for _, key := range l.keys {
		row := l.rows[key]
		row.Tasks.finish()
		row.finishLag()
		for i := range row.Blocks {
			if b := &row.Blocks[i]; b.Cause == trace.CauseGIL.String() {
				b.Culprit = tl.culprit(row.PID, row.TID, trace.Time(b.StartNS), trace.Time(b.StartNS+b.DurationNS))
			}
		}
		if all := row.BusyNS + row.IdleNS; all > 0 {
			row.Utilization = share(row.BusyNS, all)
		}
		r.Loops = append(r.Loops, *row)
	}
	slices.SortStableFunc(r.Loops, func(x, y LoopRow) int { return cmp.Or(cmp.Compare(x.PID, y.PID), cmp.Compare(x.TID, y.TID)) })
	if len(r.Loops) == 0 {
		r.Skipped = append(r.Skipped, Skipped{"loops", "no event loop was recorded"})
	} else {
		r.skipLag()
	}
}

func (l *loopReader) row(pid, tid int32) *LoopRow {
	key := threadKey(pid, tid)
	row := l.rows[key]
	if row == nil {
		row = &LoopRow{PID: pid, TID: tid, Name: l.tl.threadName(pid, tid), Kind: "other", Blocks: []BlockRow{}}
		l.rows[key], l.keys = row, append(l.keys, key)
	}
	return row
}

func (l *loopReader) event(e *trace.Event) {
	row := l.row(e.PID, e.TID)
	count := func(sum *int64) { *sum += max(e.Arg, 0) }
	switch e.Kind {
	case trace.LoopBusy:
		count(&row.BusyNS)
	case trace.LoopIdle:
		count(&row.IdleNS)
	case trace.LoopIterations:
		count(&row.Iterations)
	case trace.LoopEvents:
		count(&row.Events)
	case trace.LoopLate:
		row.TimerLateMaxNS = max(row.TimerLateMaxNS, e.Arg)
	case trace.LoopBusyShare:
		if v := float64(e.Arg) / 100; row.UtilizationMax == nil || v > *row.UtilizationMax {
			row.UtilizationMax = &v
		}
	case trace.LoopBlockBegin:
		l.open[threadKey(e.PID, e.TID)] = *e
	case trace.LoopBlockEnd:
		if begin, ok := l.open[threadKey(e.PID, e.TID)]; ok && e.Time > begin.Time {
			row.Blocks = append(row.Blocks, l.block(&begin, e))
			row.BlockedNS += int64(e.Time - begin.Time)
		}
		delete(l.open, threadKey(e.PID, e.TID))
	}
}

func (l *loopReader) block(begin, end *trace.Event) BlockRow {
	b := BlockRow{
		StartNS: int64(begin.Time), DurationNS: int64(end.Time - begin.Time),
		Cause: trace.BlockCause(begin.Arg).String(), Stack: []SiteRow{}, Awaits: []SiteRow{}, Open: trace.BlockEnd(end.Arg) == trace.BlockUnknown,
	}
	native := ""
	t := l.tl.Trace
	if int(begin.Stack) < len(t.Stacks) {
		for i, id := range t.Stacks[begin.Stack] {
			row, ok := frameRow(t, id)
			if !ok {
				native = nativeText(t, id)
				b.natives++
				continue
			}
			if i == int(begin.Other) {
				site := row
				if onlyNativeAbove := len(b.Stack) == 0; onlyNativeAbove {
					site.Native = known(native)
				}
				b.Site = &site
			}
			b.Stack = append(b.Stack, row)
		}
	}
	return b
}

// frameRow is a Python frame as the report writes it; false: it is none.
func frameRow(t *trace.Trace, id trace.FrameID) (SiteRow, bool) {
	if int(id) >= len(t.Frames) || t.Frames[id].Native() {
		return SiteRow{}, false
	}
	f := t.Frames[id]
	return SiteRow{Function: known(stringOf(t, f.Function)), File: known(stringOf(t, f.File)), Line: known(f.Line)}, true
}

// nativeText is "module function" of a native frame outside the interpreter, else "".
func nativeText(t *trace.Trace, id trace.FrameID) string {
	if int(id) >= len(t.Frames) {
		return ""
	}
	module := path.Base(stringOf(t, t.Frames[id].Module))
	if isInterpreter(module) {
		return ""
	}
	return strings.TrimSpace(module + " " + stringOf(t, t.Frames[id].Function))
}

func stringOf(t *trace.Trace, id trace.StringID) string {
	if int(id) >= len(t.Strings) {
		return ""
	}
	return t.Strings[id]
}

// note takes in what a note says of a loop, or of the block that ended with it.
func (l *loopReader) note(n *trace.Note) {
	switch n.Name {
	case trace.NoteLoop, trace.NoteBlock, trace.NoteTasks, trace.NoteLag:
	default:
		return
	}
	tid, _ := number(*n, "tid")
	row := l.rows[threadKey(n.PID, int32(tid))]
	if row == nil {
		return
	}
	switch n.Name {
	case trace.NoteTasks:
		row.tasks(n)
		return
	case trace.NoteLag:
		row.lag.note(n)
		return
	case trace.NoteLoop:
		row.lag.kind(n)
	}
	if kind := text(*n, "kind"); n.Name == trace.NoteLoop && kind != "" {
		row.Kind = kind
		return
	}
	i, ok := slices.BinarySearchFunc(row.Blocks, int64(n.Time), func(b BlockRow, end int64) int { return cmp.Compare(b.StartNS+b.DurationNS, end) })
	if ok {
		row.Blocks[i].explain(n)
	}
}

func (b *BlockRow) explain(n *trace.Note) {
	b.Task, b.Coroutine, b.File = known(text(*n, "task")), known(text(*n, "coroutine")), known(text(*n, "file"))
	for _, word := range strings.Fields(text(*n, "awaits")) {
		if depth, err := strconv.Atoi(word); err == nil && depth >= b.natives && depth-b.natives < len(b.Stack) {
			b.Awaits = append(b.Awaits, b.Stack[depth-b.natives])
		}
	}
	if cause, ok := trace.BlockCauseNamed(text(*n, "cause")); ok {
		b.Cause = cause.String()
	}
	if nr, ok := number(*n, "syscall"); ok {
		b.Syscall = known(syscallName(nr))
	}
	var s Split
	for key, at := range map[string]*int64{"on_cpu_ns": &s.OnCPUNS, "gil_wait_ns": &s.GILWaitNS, "runnable_ns": &s.RunnableNS, "blocked_ns": &s.BlockedNS} {
		v, ok := number(*n, key)
		if !ok {
			return
		}
		*at = v
	}
	if v, ok := number(*n, "gc_ns"); ok {
		s.GCNS = &v
	}
	if whole, _ := number(*n, "duration_ns"); whole == b.DurationNS { // else a flight recorder kept only a part of it
		b.Split = &s
	}
}
