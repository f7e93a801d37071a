package analyze

import (
	"slices"
	"strings"
	"testing"

	"gilscope/internal/trace"
)

// TestFailedTasks: tasks that failed are told apart from those that are not done; a note of them without one of
// the others is passed over.
func TestFailedTasks(t *testing.T) {
	for name, end := range map[string]bool{"with the tasks that are not done": true, "alone": false} {
		t.Run(name, func(t *testing.T) {
			m := newMaker("waits")
			m.thread(10, "MainThread")
			raised := m.stack("parse app.py 31", "charge app.py 7")
			waits := m.stack("get /usr/lib/python3.12/asyncio/queues.py 158", "poll app.py 31")
			m.loopCounts(1000*ms1, 400*ms1, 600*ms1, 40)
			tid := trace.Arg{Key: "tid", Num: 10}
			if end {
				m.note(1900*ms1, 1, trace.NoteTasks, append([]trace.Arg{tid, {Key: "at", Text: "end"}}, counted(4, 0, 0)...)...)
			}
			m.note(1900*ms1+1, 1, trace.NoteTasks, tid, trace.Arg{Key: "at", Text: "failed"}, trace.Arg{Key: "failed", Num: 3}, trace.Arg{Key: "raised", Text: "KeyError Own"})
			m.add(1900*ms1, trace.LoopTasks, 10, trace.Event{Arg: 4, Other: 1, Stack: waits})
			m.add(1900*ms1+1, trace.LoopTasks, 10, trace.Event{Arg: 3, Stack: raised})
			trace.Sort(m.t.Events)
			r := Analyze(m.end(2000 * ms1))
			got := r.Loops[0].Tasks
			if !end {
				if got != nil || len(r.Findings) != 0 {
					t.Errorf("tasks %+v, findings %+v", got, r.Findings)
				}
				return
			}
			if *got.Pending != 4 || *got.Elsewhere != 0 || len(got.Places) != 1 || *got.Failed != 3 || !slices.Equal(got.Raised, []string{"KeyError", "Own"}) ||
				len(got.FailedPlaces) != 1 || got.FailedPlaces[0].Tasks != 3 || *got.FailedPlaces[0].Awaits[1].Function != "parse" {
				t.Errorf("%+v", got)
			}
			if f := r.Findings[0]; f.Rule != "loop.failed_tasks" || *f.Site.Line != 31 || !strings.Contains(f.Title, "3 tasks") || !strings.Contains(f.Evidence, "KeyError, Own") {
				t.Errorf("%+v", f)
			}
		})
	}
}
