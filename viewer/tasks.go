package viewer

import (
	"fmt"
	"strings"

	"gilscope/analyze"
)

// tasks writes how many tasks of a loop were not done at the end, and where they stood.
func (p *page) tasks(r *analyze.Report, l *analyze.LoopRow, top int) {
	line := tasksLine(l.Tasks)
	if line == "" {
		return
	}
	p.line("")
	if len(r.Loops) > 1 {
		line += ", of " + loopName(r, l)
	}
	p.wrap("  ", line)
	for i := range l.Tasks.Places {
		if i == top {
			p.line("  and %s", count(int64(len(l.Tasks.Places)-i), "more place"))
			break
		}
		p.wrap("    ", placeText(&l.Tasks.Places[i]))
	}
	if n := l.Tasks.Elsewhere; n != nil && *n > 0 {
		p.line("    %s elsewhere", count(*n, "task"))
	}
	p.failed(l.Tasks, top)
}

// failed writes which tasks failed unheard.
func (p *page) failed(t *analyze.TasksRow, top int) {
	if t.Failed == nil || *t.Failed == 0 {
		return
	}
	p.wrap("  ", fmt.Sprintf("%s failed, and nobody has asked for the exception (%s)", count(*t.Failed, "task"), strings.Join(t.Raised, ", ")))
	for i := range t.FailedPlaces {
		if i == top {
			p.line("  and %s", count(int64(len(t.FailedPlaces)-i), "more place"))
			break
		}
		p.wrap("    ", placeText(&t.FailedPlaces[i]))
	}
}

// tasksLine counts the tasks; "" if they were not read.
func tasksLine(t *analyze.TasksRow) string {
	switch {
	case t == nil:
		return ""
	case t.Unknown != nil:
		return "tasks at the end: unknown (" + *t.Unknown + ")"
	case t.Pending == nil:
		return ""
	}
	s := fmt.Sprintf("tasks at the end: %d not done", *t.Pending)
	if t.Waiting != nil && t.Ready != nil && t.Running != nil && *t.Pending > 0 {
		s += fmt.Sprintf(" (%d wait, %d ready, %d running)", *t.Waiting, *t.Ready, *t.Running)
	}
	if t.PendingBegin != nil {
		s += fmt.Sprintf("; %d at the begin", *t.PendingBegin)
	}
	if t.MadeUnnamed != nil {
		s += fmt.Sprintf(", %d made since", *t.MadeUnnamed)
	}
	return s
}

// placeText says where tasks stand.
func placeText(t *analyze.TaskPlace) string {
	where := place(t.Site)
	if where == "" {
		where = "an unknown line"
	}
	coroutine := ""
	if t.Coroutine != nil {
		coroutine = *t.Coroutine
	}
	s := count(t.Tasks, "task") + " at " + where
	if len(t.Awaits) > 1 {
		s += ", by " + chain(t.Awaits, coroutine)
	}
	return s
}
