package analyze

import (
	"fmt"
	"slices"

	"gilscope/internal/trace"
)

var gilStateAnalyzer = Analyzer{
	Name: "gil.state",
	Doc: "When the GIL of a free-threaded build was turned on or off while it ran. CPython turns it on for good when a module is imported that does not say that it can do " +
		"without it. Which module, thread and line that was is known where the interpreter has symbols; elsewhere only about when: the recorder looks every 200 ms.",
	Run: runGILState,
}

// GILChange is one time at which the GIL was turned on or off.
type GILChange struct {
	AtNS    int64    `json:"at_ns"` // BOOTTIME; without a thread: when it was first seen, which may be 0.2 s later
	Enabled bool     `json:"enabled"`
	Module  *string  `json:"module"` // the import of which did it; null: not known
	TID     *int32   `json:"tid"`
	Name    *string  `json:"name"` // of the thread
	Site    *SiteRow `json:"site"` // the line that imported it
}

// maxGILChanges bounds what a report has of one process.
const maxGILChanges = 100

func runGILState(tl *Timeline, r *Report) {
	for i := range tl.Trace.Notes {
		n := tl.Trace.Notes[i]
		if n.Name != trace.NoteGILState {
			continue
		}
		p := slices.IndexFunc(r.Processes, func(p Process) bool { return p.PID == n.PID })
		if p < 0 || r.Processes[p].Python == nil || len(r.Processes[p].Python.GILChanges) >= maxGILChanges {
			continue
		}
		on, _ := number(n, "enabled")
		c := GILChange{AtNS: int64(n.Time), Enabled: on != 0, Module: known(text(n, "module"))}
		if tid, ok := number(n, "tid"); ok {
			c.TID, c.Name = known(int32(tid)), known(tl.threadName(n.PID, int32(tid)))
			c.Site = tl.turnedOnAt(n, int32(tid))
		}
		r.Processes[p].Python.GILChanges = append(r.Processes[p].Python.GILChanges, c)
		if c.Enabled {
			r.Findings = append(r.Findings, c.finding(n.PID))
		}
	}
}

// turnedOnAt is the line of the event that belongs to a note.
func (tl *Timeline) turnedOnAt(n trace.Note, tid int32) *SiteRow {
	for i := range tl.Trace.Events {
		if e := &tl.Trace.Events[i]; e.Kind == trace.GILOn && e.Time == n.Time && e.PID == n.PID && e.TID == tid {
			return tl.userSite(e.Stack).siteRow()
		}
	}
	return nil
}

// Text says what happened, in words.
func (c *GILChange) Text() string {
	switch {
	case !c.Enabled:
		return "the GIL was turned off"
	case c.Module != nil:
		return "the GIL was turned on by importing " + *c.Module
	case c.TID != nil:
		return "the GIL was turned on by importing a module"
	}
	return "the GIL was turned on; by what is unknown"
}

// Where is the thread and line, "" if neither is known.
func (c *GILChange) Where() string {
	if c.TID == nil {
		return ""
	}
	return partyLabel(&Party{TID: c.TID, Name: textOr(c.Name), Site: c.Site})
}

func textOr(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func (c *GILChange) finding(pid int32) Finding {
	f := Finding{Rule: "gil.turned_on", Severity: Warning, PID: &pid, TID: c.TID, Site: c.Site, Title: c.Text(),
		Evidence: "from then on threads of this free-threaded build run Python code one at a time",
		Advice: "Look for a release of the module that supports free threading (slot Py_mod_gil). To try the one at hand without the GIL, start with PYTHON_GIL=0: " +
			"it may then fail where threads use it at once."}
	if w := c.Where(); w != "" {
		f.Evidence = fmt.Sprintf("imported by %s; %s", w, f.Evidence)
	}
	return f
}
