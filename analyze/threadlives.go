package analyze

import "gilscope/internal/trace"

// ThreadJoin is a wait for a thread to end that was over with its end.
type ThreadJoin struct {
	Party        // who waited, and where
	WaitNS int64 `json:"wait_ns"`
}

// threadLife is what a trace tells of how a thread came, ran Python, and went.
type threadLife struct {
	creator            int32      // its number; 0: not known
	site               Site       // the line that made it
	python, lastPython trace.Time // when it was first, and last, seen to run Python
	byStack            bool       // and that first time was its stack; otherwise it had the GIL
	daemon             *bool
	end                trace.ThreadEnd
	joins              []ThreadJoin
}

// endedJoin is a wait for the end of a thread that somebody ended.
type endedJoin struct {
	thread int32 // who gave back what was waited for
	at     trace.Time
	join   ThreadJoin
}

// lifeReader puts the lives of threads together.
type lifeReader struct {
	tl       *Timeline
	lives    []threadLife            // as Timeline.Threads
	waits    map[uint64]*trace.Event // begins of open waits of kind join, by thread
	releases map[uint64]*trace.Event // the last one that woke a thread
	joins    []endedJoin
	last     map[lockKey]endedJoin // the last one, by what was waited for
}

// threadLives reads the lives of all threads.
func (tl *Timeline) threadLives() []threadLife {
	l := lifeReader{tl: tl, lives: make([]threadLife, len(tl.Threads)), waits: map[uint64]*trace.Event{}, releases: map[uint64]*trace.Event{}, last: map[lockKey]endedJoin{}}
	for i := range l.lives {
		l.lives[i].python, l.lives[i].lastPython = noTime, noTime
	}
	for i := range tl.Trace.Events {
		l.event(&tl.Trace.Events[i])
	}
	for i := range tl.Trace.Notes {
		l.note(&tl.Trace.Notes[i])
	}
	for i := range l.joins {
		l.settle(&l.joins[i])
	}
	return l.lives
}

func (l *lifeReader) event(e *trace.Event) {
	switch e.Kind {
	case trace.ThreadStart:
		if i, ok := l.tl.threadAt(e.PID, e.TID, e.Time); ok && l.tl.Threads[i].Start == e.Time {
			l.lives[i].creator, l.lives[i].site = int32(e.Arg), l.tl.frameSite(e.Stack, e.Other)
		}
	case trace.ThreadExit:
		if i, ok := l.tl.threadAt(e.PID, e.TID, e.Time); ok && l.tl.Threads[i].Ended && l.tl.Threads[i].End == e.Time {
			l.lives[i].end = trace.ThreadEnd(e.Arg)
		}
	case trace.GILHolder:
		l.python(e, true)
	case trace.GILWaitEnd:
		l.python(e, trace.WaitOutcome(e.Arg) == trace.WaitTaken)
	case trace.GILHoldBegin:
		l.python(e, true)
	case trace.CPUSample, trace.GILWaitBegin, trace.LockHeld:
		l.python(e, false)
	case trace.LockWaitBegin:
		l.python(e, false)
		if delete(l.waits, threadKey(e.PID, e.TID)); e.Lock == trace.LockJoin {
			l.waits[threadKey(e.PID, e.TID)] = e
		}
	case trace.LockRelease:
		l.python(e, false)
		l.releases[threadKey(e.PID, e.Other)] = e
	case trace.LockWaitEnd:
		l.joined(e)
	}
}

// python notes that a thread ran Python at this moment at the latest: it had the GIL, or
// there is a Python stack of it.
func (l *lifeReader) python(e *trace.Event, hasGIL bool) {
	shown := int(e.Stack) < len(l.tl.stacks) && l.tl.stacks[e.Stack].python != 0
	if e.TID == 0 || !hasGIL && !shown {
		return
	}
	i, ok := l.tl.threadAt(e.PID, e.TID, e.Time)
	if !ok || e.Time < l.tl.Threads[i].Start {
		return
	}
	life := &l.lives[i]
	if life.python == noTime {
		life.python, life.byStack = e.Time, !hasGIL
	}
	if shown {
		life.lastPython = e.Time
	}
}

// joined handles the end of a wait. What a join waits for, a thread gives back when all of
// its Python is over (CPython Modules/_threadmodule.c, thread_run; up to 3.12 Python/pystate.c,
// on_delete): then its stack has no Python frame any more. Other locks that Thread.join
// waits for are given back within Python. Of several that join one thread up to 3.12, each but
// the first is woken by the one before: then the thread gave back the same lock during the wait.
func (l *lifeReader) joined(end *trace.Event) {
	key := threadKey(end.PID, end.TID)
	begin, release := l.waits[key], l.releases[key]
	delete(l.waits, key)
	if begin == nil || release == nil || trace.WaitOutcome(end.Arg) != trace.WaitTaken || end.Other == 0 {
		return
	}
	if release.TID != end.Other || release.Time < begin.Time || release.Arg != begin.Arg {
		return
	}
	lock := lockKey{pid: end.PID, address: begin.Arg}
	j, ok := l.last[lock]
	if ok = ok && j.at >= begin.Time; release.Stack == 0 {
		j.at = release.Time
		j.thread, ok = l.tl.threadAt(end.PID, end.Other, release.Time)
	}
	if !ok {
		return
	}
	tid := end.TID
	by := Party{TID: &tid, Name: l.tl.nameAt(end.PID, tid, begin.Time), Site: l.tl.userSite(begin.Stack).siteRow()}
	j.join = ThreadJoin{by, int64(end.Time - begin.Time)}
	l.joins, l.last[lock] = append(l.joins, j), j
}

// settle takes a join for one if the thread has run no Python since, and has ended.
func (l *lifeReader) settle(j *endedJoin) {
	th, life := &l.tl.Threads[j.thread], &l.lives[j.thread]
	if th.Ended && j.at <= th.End && life.lastPython <= j.at {
		life.joins = append(life.joins, j.join)
	}
}

func (l *lifeReader) note(n *trace.Note) {
	tid, ok := number(*n, "tid")
	if !ok || n.Name != trace.NoteThread || tid != int64(int32(tid)) {
		return
	}
	is, told := number(*n, "daemon")
	if i, ok := l.tl.threadAt(n.PID, int32(tid), n.Time); ok && told {
		daemon := is != 0
		l.lives[i].daemon = &daemon
	}
}

// nameAt is the name of who had a number at a moment.
func (tl *Timeline) nameAt(pid, tid int32, at trace.Time) string {
	if i, ok := tl.threadAt(pid, tid, at); ok {
		return tl.Threads[i].Name
	}
	return ""
}

// late says that a thread without a GIL slept before it was first seen to run Python: it may
// have done so long before.
func (l *threadLife) late(th *Thread) bool {
	slept, _ := th.In(Blocked, th.Start, l.python)
	return l.byStack && slept > 0
}

// life fills in what is known of a thread's begin and end.
func (row *ThreadRow) life(tl *Timeline, th *Thread, life *threadLife) {
	start, end, python := int64(th.Start), int64(th.End), int64(life.python)
	row.Daemon = life.daemon
	if row.Joins = life.joins; row.Joins == nil {
		row.Joins = []ThreadJoin{}
	}
	if th.Started {
		row.StartedNS = &start
		if life.python != noTime && !life.late(th) {
			row.RanPythonNS = &python
		}
		if life.creator > 0 {
			row.CreatedBy = &Party{TID: &life.creator, Name: tl.nameAt(th.PID, life.creator, th.Start), Site: life.site.siteRow()}
		}
	}
	if th.Ended {
		row.EndedNS = &end
		if life.end != trace.EndedSomehow {
			with := life.end == trace.EndedWithProcess
			row.EndedWithProcess = &with
		}
	}
}
