package analyze

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"gilscope/internal/trace"
)

var tasksAnalyzer = Analyzer{
	Name: "loop.tasks",
	Doc: "Tasks of a loop that were not done when the recording ended, and what they awaited: many at one line, or many more than at the " +
		"begin; and those that failed unheard. Waiting costs no time of the thread, so there is no cost.",
	Run: runTasks,
}

// From how many tasks on a place is told of, and a rise since the begin, if it is
// a doubling, too.
const (
	tasksMany = 10
	tasksRise = 100
)

// TasksRow is the tasks of a loop that were not done when the recording ended. Numbers are
// null where they are not known.
type TasksRow struct {
	AtNS         int64       `json:"at_ns"`         // when they were read; BOOTTIME
	Pending      *int64      `json:"pending"`       // not done:
	Waiting      *int64      `json:"waiting"`       // for something,
	Ready        *int64      `json:"ready"`         // to run, also those that never ran,
	Running      *int64      `json:"running"`       // or running at that moment
	PendingBegin *int64      `json:"pending_begin"` // when the loop was found
	NewMin       *int64      `json:"new_min"`       // of the pending ones, so many at least were not at the begin,
	GoneMin      *int64      `json:"gone_min"`      // and so many of those at the begin are not any more; what came and went between is in neither
	MadeUnnamed  *int64      `json:"made_unnamed"`  // exactly so many tasks without a name of their own were made since the begin, by all loops of the process; null: not known, as before CPython 3.12
	Unknown      *string     `json:"unknown"`       // why there are no numbers
	Places       []TaskPlace `json:"places"`        // where they stand, most tasks first
	Failed       *int64      `json:"failed"`        // done, with an exception that nobody has asked for; null: not known, as from CPython 3.14 on
	Raised       []string    `json:"raised"`        // classes of these exceptions, not always all
	FailedPlaces []TaskPlace `json:"failed_places"` // where they were raised, as tracebacks have it
	Elsewhere    *int64      `json:"elsewhere"`     // tasks that stand in none of the places, and do not run: more places than are told, or no function of Python

	failedAt int64
}

// TaskPlace is a chain of awaits in which tasks stand.
type TaskPlace struct {
	Tasks     int64     `json:"tasks"`
	Coroutine *string   `json:"coroutine"` // the function of the tasks
	Site      *SiteRow  `json:"site"`      // the innermost line of the program itself
	Awaits    []SiteRow `json:"awaits"`    // the async functions, outermost first: each awaits the next
}

// tasks takes in what a note says of a loop's tasks.
func (row *LoopRow) tasks(n *trace.Note) {
	pending, ok := number(*n, "pending")
	if text(*n, "at") == "begin" {
		row.tasksBegin = nil
		if ok {
			row.tasksBegin = &pending
		}
		return
	}
	get := func(key string) *int64 {
		if v, ok := number(*n, key); ok {
			return &v
		}
		return nil
	}
	if text(*n, "at") == "failed" {
		if t := row.Tasks; t != nil {
			t.Failed, t.Raised, t.failedAt = get("failed"), strings.Fields(text(*n, "raised")), int64(n.Time)
		}
		return
	}
	t := &TasksRow{AtNS: int64(n.Time), Unknown: known(text(*n, "unknown")), Places: []TaskPlace{}, Raised: []string{}, FailedPlaces: []TaskPlace{}, PendingBegin: row.tasksBegin}
	if row.Tasks = t; !ok {
		return
	}
	t.Pending, t.Running, t.Ready, t.NewMin, t.GoneMin, t.MadeUnnamed = &pending, get("running"), get("ready"), get("new"), get("gone"), get("made")
	if t.Running != nil && t.Ready != nil {
		waiting := pending - *t.Running - *t.Ready
		t.Waiting = &waiting
	}
}

// tasksAt takes in where tasks of a loop stand; the note has come before.
func (row *LoopRow) tasksAt(t *trace.Trace, e *trace.Event) {
	if row.Tasks == nil || row.Tasks.Pending == nil || int(e.Stack) >= len(t.Stacks) {
		return
	}
	places := &row.Tasks.Places
	switch int64(e.Time) {
	case row.Tasks.AtNS:
	case row.Tasks.failedAt:
		places = &row.Tasks.FailedPlaces
	default:
		return
	}
	place := TaskPlace{Tasks: e.Arg, Awaits: []SiteRow{}}
	for depth, id := range t.Stacks[e.Stack] {
		site, ok := frameRow(t, id)
		if !ok {
			continue
		}
		if depth == int(e.Other) {
			place.Site = &site
		}
		place.Coroutine = site.Function
		place.Awaits = append(place.Awaits, site)
	}
	slices.Reverse(place.Awaits)
	*places = append(*places, place)
}

// finish sums up.
func (t *TasksRow) finish() {
	if t == nil || t.Pending == nil || t.Running == nil {
		return
	}
	left := *t.Pending - *t.Running
	for _, p := range t.Places {
		left -= p.Tasks
	}
	t.Elsewhere = &left
	slices.SortStableFunc(t.Places, func(x, y TaskPlace) int { return cmp.Compare(y.Tasks, x.Tasks) })
	slices.SortStableFunc(t.FailedPlaces, func(x, y TaskPlace) int { return cmp.Compare(y.Tasks, x.Tasks) })
}

// lines sums up places by the line of the program in which they are: below it the
// chains may differ.
func (t *TasksRow) lines() []TaskPlace {
	var lines []TaskPlace
	index := map[string]int{}
	for _, p := range t.Places {
		if p.Site == nil {
			continue
		}
		key := siteText(p.Site)
		i, ok := index[key]
		if !ok {
			i = len(lines)
			index[key] = i
			lines = append(lines, TaskPlace{Coroutine: p.Coroutine, Site: p.Site, Awaits: p.Awaits})
		}
		lines[i].Tasks += p.Tasks
	}
	slices.SortStableFunc(lines, func(x, y TaskPlace) int { return cmp.Compare(y.Tasks, x.Tasks) })
	return lines
}

func runTasks(_ *Timeline, r *Report) {
	for i := range r.Loops {
		row := &r.Loops[i]
		t := row.Tasks
		if t == nil || t.Pending == nil || t.Waiting == nil {
			continue
		}
		pid, tid := row.PID, row.TID
		var found []Finding
		lines := t.lines()
		if t.PendingBegin != nil && *t.Pending-*t.PendingBegin >= tasksRise && *t.Pending >= 2**t.PendingBegin {
			f := Finding{Rule: "loop.tasks_rise", Severity: Warning, PID: &pid, TID: &tid,
				Title:    fmt.Sprintf("the tasks of the %s loop that are not done rose from %d to %d", row.Kind, *t.PendingBegin, *t.Pending),
				Evidence: fmt.Sprintf("counted when the loop was found and when the recording ended; %d wait, %d are ready to run", *t.Waiting, *t.Ready),
				Advice:   "More is begun than gets done: start no more tasks than can be worked off (asyncio.Semaphore, a Queue with maxsize), and end what nobody waits for (asyncio.timeout, Task.cancel)."}
			if len(lines) > 0 {
				f.Site = lines[0].Site
			}
			found = append(found, f)
		}
		if t.Failed != nil && *t.Failed > 0 {
			found = append(found, t.failedFinding(row))
		}
		for _, p := range lines {
			if p.Tasks >= tasksMany {
				found = append(found, p.finding(row))
			}
		}
		r.find(found)
	}
}

// failedFinding says that tasks failed, and nobody knows.
func (t *TasksRow) failedFinding(row *LoopRow) Finding {
	pid, tid := row.PID, row.TID
	f := Finding{Rule: "loop.failed_tasks", Severity: Warning, PID: &pid, TID: &tid,
		Title:    fmt.Sprintf("%d tasks of the %s loop failed, and nobody has asked for the exception", *t.Failed, row.Kind),
		Evidence: "found when the recording ended, done and still kept",
		Advice: "Await the tasks, or start them in an asyncio.TaskGroup. asyncio logs such an exception only when the task is destroyed: " +
			"what keeps a task and never looks at it hides its failure."}
	if *t.Failed == 1 {
		f.Title = fmt.Sprintf("a task of the %s loop failed, and nobody has asked for the exception", row.Kind)
	}
	if len(t.Raised) > 0 {
		f.Evidence += "; raised: " + strings.Join(t.Raised, ", ")
	}
	if len(t.FailedPlaces) > 0 {
		if p := t.FailedPlaces[0]; p.Site != nil {
			f.Site = p.Site
			f.Title += ": " + siteText(p.Site)
		}
	}
	return f
}

// finding says that many tasks are at one place.
func (p *TaskPlace) finding(row *LoopRow) Finding {
	pid, tid := row.PID, row.TID
	wait := "wait"
	if *row.Tasks.Ready > 0 {
		wait = "stand" // it may be these that are ready to run
	}
	return Finding{Rule: "loop.tasks", Severity: Info, PID: &pid, TID: &tid, Site: p.Site,
		Title:    fmt.Sprintf("%d tasks %s at %s", p.Tasks, wait, siteText(p.Site)),
		Evidence: fmt.Sprintf("%d of the %d tasks of the %s loop that were not done when the recording ended", p.Tasks, *row.Tasks.Pending, row.Kind),
		Advice: "If they wait for each other's lock, for a queue or for a connection of a pool, that is the bottleneck: shorten what is done " +
			"while it is held, or make it larger. If what they wait for never comes, give it a limit: `async with asyncio.timeout(...)`."}
}
