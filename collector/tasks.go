package collector

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"gilscope/internal/cpython"
	"gilscope/internal/trace"
	"gilscope/probes"
)

// How long reading the tasks of a process may take, and that of all processes when
// the recording ends. A loop whose tasks change all the time is tried again and again.
const (
	tasksWithin    = 50 * time.Millisecond
	allTasksWithin = time.Second
)

// maxTaskPlaces bounds the places that are told of one loop.
const maxTaskPlaces = 200

// Moments at which tasks are read.
const (
	tasksBegin = "begin"
	tasksEnd   = "end"

	tasksFailed = "failed" // the end, too: what is told is of those that failed
)

// taskID tells a task from others, also from most of those that come to lie where it was.
type taskID struct{ addr, coro uint64 }

// loopTasks is what is known of the tasks of a thread's loop, also while that is not watched.
type loopTasks struct {
	kept  bool            // its loop is asyncio's or uvloop's, whose tasks are asyncio's
	met   bool            // they were read once,
	begun map[taskID]bool // and which they were; nil: not known
	made  *uint64         // how many tasks without a name the process had made then; nil: not known
}

// tellNewTasks reads the tasks of loops that were found since the last call, of one
// process at a time: the ring fills meanwhile.
func (s *session) tellNewTasks() {
	if !s.d.newLoops {
		return
	}
	for _, p := range s.d.procs {
		if p.exited || p.py == nil {
			continue
		}
		var found []*thread
		for _, t := range p.threads {
			if t.tasks.kept && !t.tasks.met && t.ended == 0 {
				t.tasks.met = true
				found = append(found, t)
			}
		}
		if len(found) > 0 {
			s.tellTasks(p, found, tasksBegin, tasksWithin)
			return
		}
	}
	s.d.newLoops = false
}

// tellAllTasks reads the tasks of all loops.
func (s *session) tellAllTasks() {
	begun := time.Now()
	for _, p := range s.d.procs {
		if p.exited || p.py == nil {
			continue
		}
		var found []*thread
		for _, t := range p.threads {
			if t.tasks.kept && t.ended == 0 {
				found = append(found, t)
			}
		}
		if left := allTasksWithin - time.Since(begun); len(found) > 0 && left > 0 {
			s.tellTasks(p, found, tasksEnd, min(left, 4*tasksWithin))
		}
	}
}

// tellTasks reads the tasks of a process, and tells those of some of its loops.
func (s *session) tellTasks(p *process, threads []*thread, when string, within time.Duration) {
	slices.SortFunc(threads, func(x, y *thread) int { return cmp.Compare(x.tid, y.tid) })
	tasks, err := p.py.PendingTasks(p.tasks, when == tasksEnd, within)
	runBy := map[uint64]int32{}
	if err == nil {
		var loops []uint64
		for i := range tasks {
			loops = append(loops, tasks[i].Loop)
		}
		slices.Sort(loops)
		runBy, err = p.py.LoopThreads(p.tasks, slices.Compact(loops))
	}
	if errors.Is(err, cpython.ErrGone) {
		return // what it was doing is no state that it ended in
	}
	made := p.tasksMade()
	at := now()
	for _, t := range threads {
		if when == tasksBegin {
			t.tasks.made = made
		}
		if err != nil {
			s.w.Note(trace.Note{Time: at, PID: p.pid, Name: trace.NoteTasks, Args: []trace.Arg{
				{Key: "tid", Num: int64(t.tid)}, {Key: "at", Text: when}, {Key: "unknown", Text: err.Error()}}})
			continue
		}
		var own, failed []cpython.Task
		for _, task := range tasks {
			switch {
			case runBy[task.Loop] != t.tid:
			case task.Phase == cpython.TaskFailed:
				failed = append(failed, task)
			default:
				own = append(own, task)
			}
		}
		s.tellLoopTasks(p, t, own, when, at, made)
		if when == tasksEnd && p.tasks.KeepsFailed() {
			s.tellFailed(p, t, failed, at+1)
		}
	}
}

// tasksMade is how many tasks without a name the process has made; nil: it is not known.
func (p *process) tasksMade() *uint64 {
	if n, ok := p.py.UnnamedTasks(); ok {
		return &n
	}
	return nil
}

// tellLoopTasks tells the tasks of one loop.
func (s *session) tellLoopTasks(p *process, t *thread, tasks []cpython.Task, when string, at trace.Time, made *uint64) {
	phases := map[cpython.TaskPhase]int64{}
	ids := make(map[taskID]bool, len(tasks))
	for i := range tasks {
		phases[tasks[i].Phase]++
		ids[taskID{tasks[i].Addr, tasks[i].Coro}] = true
	}
	args := []trace.Arg{{Key: "tid", Num: int64(t.tid)}, {Key: "at", Text: when}, {Key: "pending", Num: int64(len(tasks))},
		{Key: "running", Num: phases[cpython.TaskRuns]}, {Key: "ready", Num: phases[cpython.TaskReady]}}
	if when == tasksBegin {
		t.tasks.begun = ids
	} else if t.tasks.begun != nil {
		came, gone := int64(0), int64(0)
		for id := range ids {
			if !t.tasks.begun[id] {
				came++
			}
		}
		for id := range t.tasks.begun {
			if !ids[id] {
				gone++
			}
		}
		args = append(args, trace.Arg{Key: "new", Num: came}, trace.Arg{Key: "gone", Num: gone})
	}
	if before := t.tasks.made; when == tasksEnd && made != nil && before != nil && *made >= *before {
		args = append(args, trace.Arg{Key: "made", Num: int64(*made - *before)})
	}
	s.w.Note(trace.Note{Time: at, PID: p.pid, Name: trace.NoteTasks, Args: args})
	if when == tasksBegin {
		return // the ring fills meanwhile
	}
	s.tellPlaces(p, t, tasks, at)
}

// tellPlaces tells where tasks of a loop stand, or where they failed.
func (s *session) tellPlaces(p *process, t *thread, tasks []cpython.Task, at trace.Time) {
	for _, place := range p.stacks.places(tasks) {
		s.d.event(p, trace.Event{Time: at, Kind: trace.LoopTasks, TID: t.tid, Arg: place.tasks, Stack: place.stack, Other: int32(place.site)})
	}
}

// maxRaised bounds the classes of exceptions that are told of one loop.
const maxRaised = 10

// tellFailed tells of tasks of a loop that ended with an exception which nobody has asked for.
func (s *session) tellFailed(p *process, t *thread, tasks []cpython.Task, at trace.Time) {
	var raised []string
	for i := range tasks {
		if name := tasks[i].Raised; name != "" && !slices.Contains(raised, name) && len(raised) < maxRaised {
			raised = append(raised, name)
		}
	}
	slices.Sort(raised)
	s.w.Note(trace.Note{Time: at, PID: p.pid, Name: trace.NoteTasks, Args: []trace.Arg{{Key: "tid", Num: int64(t.tid)}, {Key: "at", Text: tasksFailed},
		{Key: "failed", Num: int64(len(tasks))}, {Key: "raised", Text: strings.Join(raised, " ")}}})
	s.tellPlaces(p, t, tasks, at)
}

// taskPlace is where some tasks stand.
type taskPlace struct {
	stack trace.StackID // what is awaited first
	site  int           // depth of the frame to name
	tasks int64
}

// places sums up where tasks stand; the places with the most come first.
func (s *stacks) places(tasks []cpython.Task) []taskPlace {
	index := map[trace.StackID]int{}
	var places []taskPlace
	for i := range tasks {
		if len(tasks[i].Frames) == 0 {
			continue
		}
		var k known
		for _, f := range slices.Backward(tasks[i].Frames) {
			k.frames = append(k.frames, s.frame(&probes.Frame{Code: f.Code.Addr, Ident: f.Code.Ident, Lasti: f.Lasti}))
		}
		id := s.w.Stack(k.frames)
		n, ok := index[id]
		if !ok {
			n = len(places)
			index[id] = n
			places = append(places, taskPlace{stack: id, site: s.site(k)})
		}
		places[n].tasks++
	}
	slices.SortStableFunc(places, func(x, y taskPlace) int { return cmp.Compare(y.tasks, x.tasks) })
	return places[:min(len(places), maxTaskPlaces)]
}
