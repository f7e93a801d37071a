package analyze

import "gilscope/internal/trace"

// Details of recording that say something of holds; "auto" does not.
const (
	detailWaits = "waits"
	detailFull  = "full"
)

// Start methods after which a child has its parent's interpreter.
const (
	methodFork       = "fork"
	methodForkServer = "forkserver"
)

// facts is what the notes say of one process, gathered once: a trace may have
// as many notes as processes, and nobody may search all of them for each. The
// notes point into the trace.
type facts struct {
	target    *trace.Note // its interpreter, as last told
	inherited bool        // target was told of its parent, of which it is a copy
	started   *trace.Note // how it came to be; nil: it ran before
	since     trace.Time  // when; only if started
	execed    bool
	exit      *trace.Note
	children  int64 // started by it and not recorded
	intervals map[int64]int64
	totals    map[int64]totals
	atWaits   bool // recorded at this detail at some time
	atFull    bool
	level     string     // the detail now,
	levelAt   trace.Time // and since when
	fullNS    int64      // time at detail full before that
	levelNS   int64      // time at any detail before that
}

// totals is what an interpreter counted itself, over all the programs a process was.
type totals struct{ switches, takes int64 }

// everyInterpreter is the key of an interval that was told without an interpreter.
const everyInterpreter = -1

// factsOf gathers the facts by pid; those of pid 0 are the recording's own.
func factsOf(t *trace.Trace) map[int32]*facts {
	all := map[int32]*facts{}
	for i := range t.Notes {
		n := &t.Notes[i]
		f := all[n.PID]
		if f == nil {
			f = &facts{}
			all[n.PID] = f
		}
		f.note(n, all)
	}
	return all
}

func (f *facts) note(n *trace.Note, all map[int32]*facts) {
	switch n.Name {
	case trace.NoteRecording, trace.NoteDetail:
		detail := text(*n, "detail")
		f.atWaits, f.atFull = f.atWaits || detail == detailWaits, f.atFull || detail == detailFull
		f.changes(detail, n.Time)
	case trace.NoteTarget:
		f.target, f.inherited = n, false
		f.interval(n)
	case trace.NoteInterval, trace.NoteInterpreter:
		f.interval(n)
	case trace.NoteStarted:
		f.start(n, all)
	case trace.NoteChild:
		f.children++
	case trace.NoteExec:
		f.exec()
	case trace.NoteExit:
		f.exit = n
		f.changes("", n.Time)
	case trace.NoteGIL:
		f.total(n)
	}
}

// changes counts the time at the level that ends, and begins another; "" is none.
func (f *facts) changes(level string, at trace.Time) {
	if f.level != "" && at > f.levelAt {
		f.levelNS += int64(at - f.levelAt)
		if f.level == detailFull {
			f.fullNS += int64(at - f.levelAt)
		}
	}
	f.level, f.levelAt = level, at
}

// start begins a process. One that has the number of a process that ended is
// another; the report has one row for both and describes the later.
func (f *facts) start(n *trace.Note, all map[int32]*facts) {
	if f.exit != nil {
		f.target, f.inherited, f.started, f.execed, f.exit, f.intervals = nil, false, nil, false, nil, nil
	}
	if f.started == nil {
		f.since = n.Time
	}
	f.started = n
	parent := all[f.parent()]
	if !f.copied() || f.target != nil || parent == nil || parent == f {
		return
	}
	f.target, f.inherited = parent.target, parent.target != nil
	if ns := parent.switchInterval(0); ns != nil {
		f.intervals = map[int64]int64{0: *ns}
	}
}

// exec makes another program of the process. What it was told itself is kept
// until it is told anew; what it had of its parent is gone.
func (f *facts) exec() {
	f.execed = true
	if f.inherited {
		f.target, f.inherited, f.intervals = nil, false, nil
	}
}

// interval takes in a note with an interval. One that names no interpreter
// speaks of all of them.
func (f *facts) interval(n *trace.Note) {
	ns, ok := number(*n, "interval_ns")
	if !ok || ns <= 0 {
		return
	}
	id, ok := number(*n, "interpreter")
	if !ok || f.intervals == nil {
		f.intervals = map[int64]int64{}
	}
	if !ok {
		id = everyInterpreter
	}
	f.intervals[id] = ns
}

func (f *facts) total(n *trace.Note) {
	id, _ := number(*n, "interpreter")
	switches, ok := number(*n, "switches")
	if !ok {
		return
	}
	takes, _ := number(*n, "takes")
	if f.totals == nil {
		f.totals = map[int64]totals{}
	}
	sum := f.totals[id]
	f.totals[id] = totals{sum.switches + switches, sum.takes + takes}
}

// The questions below may be asked of no facts at all.

func (f *facts) full() bool  { return f != nil && f.atFull }
func (f *facts) waits() bool { return f != nil && f.atWaits }

// switchInterval is what was last told for an interpreter, nil if nothing was.
func (f *facts) switchInterval(interpreter uint16) *int64 {
	if f == nil {
		return nil
	}
	for _, id := range [...]int64{int64(interpreter), everyInterpreter} {
		if ns, ok := f.intervals[id]; ok {
			return &ns
		}
	}
	return nil
}

// counted is what the interpreter counted; false if it was not told.
func (f *facts) counted(interpreter uint16) (totals, bool) {
	if f == nil {
		return totals{}, false
	}
	t, ok := f.totals[int64(interpreter)]
	return t, ok
}

// parent is the process that started this one, 0 if that was not told.
func (f *facts) parent() int32 {
	if f.started == nil {
		return 0
	}
	pid, _ := number(*f.started, "parent")
	return int32(pid)
}

// copied says that the process was forked from another Python and has not become
// another program since.
func (f *facts) copied() bool {
	if f.started == nil || f.execed {
		return false
	}
	method := text(*f.started, "method")
	return method == methodFork || method == methodForkServer
}
