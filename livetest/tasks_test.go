package livetest

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gilscope/analyze"
	"gilscope/internal/testpy"
)

// tasksTruth is what testdata/loops/tasks.py counted of its own tasks.
type tasksTruth struct {
	Schema string
	Loops  []struct {
		TID     int32
		Pending int64
		Running int64
		Places  map[string]int64 // "function:line" of what is awaited, outermost first
		Failed  map[string]int64 // likewise, where tasks raised exceptions that nobody has asked for
	}
}

// recordTasks records tasks.py, and returns its loops by thread, beside what it says of itself.
func recordTasks(t testing.TB, in testpy.Interpreter, mode string, more bool) (tasksTruth, map[int32]*analyze.LoopRow, recording) {
	t.Helper()
	script, err := filepath.Abs(filepath.Join("..", "testdata", "loops", "tasks.py"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := in.Command(script, mode)
	if mode == "uvloop" {
		cmd.Env = append(os.Environ(), "PYTHONPATH="+testpy.AsyncServers(t))
	}
	p := testpy.StartCommand(t, cmd)
	r := startRecord(t, "-p", fmt.Sprint(p.PID), "-d", "1500ms")
	if more {
		p.Send(t, "more")
	}
	r.wait(t)
	if err := p.Stop(); err != nil {
		t.Fatalf("tasks.py was harmed: %v", err)
	}
	var truth tasksTruth
	if err := json.Unmarshal([]byte(p.Last), &truth); err != nil || truth.Schema != "gilscope.tasks/v1" {
		t.Fatalf("read the truth of tasks.py: %v: %q", err, p.Last)
	}
	rec := open(t, r, nil)
	loops := map[int32]*analyze.LoopRow{}
	for i := range rec.report.Loops {
		loops[rec.report.Loops[i].TID] = &rec.report.Loops[i]
	}
	for _, l := range truth.Loops {
		if loops[l.TID] == nil || loops[l.TID].Tasks == nil {
			t.Fatalf("the tasks of the loop of thread %d were not read", l.TID)
		}
	}
	return truth, loops, rec
}

// checkTasks holds the tasks of each loop to what the program counted.
func checkTasks(t testing.TB, truth tasksTruth, loops map[int32]*analyze.LoopRow) {
	t.Helper()
	for _, want := range truth.Loops {
		got := loops[want.TID].Tasks
		if got.Pending == nil || got.Running == nil || got.Elsewhere == nil {
			t.Fatalf("the tasks are not known: %s", value(got.Unknown))
		}
		if *got.Pending != want.Pending || *got.Running != want.Running || *got.Elsewhere != 0 {
			t.Errorf("%d tasks pending, %d running, %d elsewhere; the program says %d and %d", *got.Pending, *got.Running, *got.Elsewhere, want.Pending, want.Running)
		}
		places := map[string]int64{}
		for _, p := range got.Places {
			places[placeOf(&p)] += p.Tasks
		}
		for place, n := range want.Places {
			if places[place] != n {
				t.Errorf("%d tasks at %q, the program says %d", places[place], place, n)
			}
		}
		for place, n := range places {
			if want.Places[place] == 0 {
				t.Errorf("%d tasks at %q, of which the program knows nothing", n, place)
			}
		}
	}
}

// placeOf is a place as the program writes it.
func placeOf(p *analyze.TaskPlace) string {
	var text []string
	for _, a := range p.Awaits {
		if a.Function == nil || a.Line == nil {
			return "?"
		}
		text = append(text, fmt.Sprintf("%s:%d", short(*a.Function), *a.Line))
	}
	return strings.Join(text, " ")
}

// TestTasks: how many tasks are not done when the recording ends, where they wait, and how
// that changed since its begin.
func TestTasks(t *testing.T) {
	for _, in := range loopInterpreters(t) {
		t.Run(in.Name, steady(func(t testing.TB) {
			truth, loops, rec := recordTasks(t, in, "steady", true)
			checkTasks(t, truth, loops)
			got := loops[truth.Loops[0].TID].Tasks
			begin, came, gone := number(got.PendingBegin), number(got.NewMin), number(got.GoneMin)
			if begin != truth.Loops[0].Pending-3 || came != 7 || gone != 4 {
				t.Errorf("%d pending at the begin, %d new, %d gone; want %d, 7 and 4", begin, came, gone, truth.Loops[0].Pending-3)
			}
			if made := number(got.MadeUnnamed); in.Minor >= 12 && made != 7+1000 || in.Minor < 12 && made != -1 {
				t.Errorf("%d tasks were made, want 1007, or from before 3.12 nothing", made)
			}
			titles := ""
			for _, f := range rec.report.Findings {
				titles += f.Title + "\n"
			}
			for _, want := range []string{"30 tasks wait at takes_work (", "12 tasks wait at takes_lock ("} {
				if !strings.Contains(titles, want) {
					t.Errorf("no finding says %q:\n%s", want, titles)
				}
			}
		}))
	}
}

// number is -1 for what is not known.
func number(n *int64) int64 {
	if n == nil {
		return -1
	}
	return *n
}

// TestFailedTasks: tasks that failed unheard are found, with their tracebacks, as far as asyncio knows tasks that are done.
func TestFailedTasks(t *testing.T) {
	for _, in := range testpy.Some(t, "pyenv-3.8", "pyenv-3.12", "debian-3.15") {
		t.Run(in.Name, steady(func(t testing.TB) {
			truth, loops, rec := recordTasks(t, in, "failed", false)
			checkTasks(t, truth, loops)
			got := loops[truth.Loops[0].TID].Tasks
			if in.Minor >= 14 {
				if got.Failed != nil {
					t.Errorf("%d tasks failed; it cannot be known", *got.Failed)
				}
				return
			}
			places := map[string]int64{}
			for _, p := range got.FailedPlaces {
				places[placeOf(&p)] += p.Tasks
			}
			if !maps.Equal(places, truth.Loops[0].Failed) || number(got.Failed) != 5 || !slices.Equal(got.Raised, []string{"ValueError"}) {
				t.Errorf("%d tasks failed by %q at %v, the program says %v", number(got.Failed), got.Raised, places, truth.Loops[0].Failed)
			}
			if !slices.ContainsFunc(rec.report.Findings, func(f analyze.Finding) bool {
				return f.Rule == "loop.failed_tasks" && strings.Contains(f.Title, "parse (") && strings.Contains(f.Evidence, "ValueError")
			}) {
				t.Errorf("no finding says so: %+v", rec.report.Findings)
			}
		}))
	}
}

// TestTasksOfLoops: tasks are those of their own loop, also of uvloop's.
func TestTasksOfLoops(t *testing.T) {
	for _, in := range loopInterpreters(t) {
		t.Run("two/"+in.Name, steady(func(t testing.TB) {
			truth, loops, _ := recordTasks(t, in, "two", true)
			checkTasks(t, truth, loops)
		}))
	}
	t.Run("uvloop", steady(func(t testing.TB) {
		truth, loops, _ := recordTasks(t, testpy.One(t, "3.12"), "uvloop", true)
		checkTasks(t, truth, loops)
		if kind := loops[truth.Loops[0].TID].Kind; kind != "uvloop" {
			t.Errorf("the loop is %s", kind)
		}
	}))
}

// TestTaskThatNeverYields: it runs, in a block that has no end.
func TestTaskThatNeverYields(t *testing.T) {
	for _, in := range loopInterpreters(t) {
		t.Run(in.Name, steady(func(t testing.TB) {
			truth, loops, _ := recordTasks(t, in, "stuck", true)
			checkTasks(t, truth, loops)
			l := loops[truth.Loops[0].TID]
			if truth.Loops[0].Running != 1 || len(l.Blocks) != 1 || !l.Blocks[0].Open || value(l.Blocks[0].Coroutine) != "never_yields" {
				t.Errorf("%d tasks running, blocks %+v", truth.Loops[0].Running, l.Blocks)
			}
		}))
	}
}

// TestTasksOfBusyLoop: of a loop that never waits, what is told is right or nothing.
func TestTasksOfBusyLoop(t *testing.T) {
	for _, in := range loopInterpreters(t) {
		t.Run(in.Name, steady(func(t testing.TB) {
			truth, loops, _ := recordTasks(t, in, "spin", false)
			want, got := truth.Loops[0], loops[truth.Loops[0].TID].Tasks
			switch {
			case got.Pending == nil && got.Unknown != nil:
				t.Logf("unknown: %s", *got.Unknown)
			case got.Pending == nil || *got.Pending != want.Pending:
				t.Errorf("%d tasks pending, the program says %d", number(got.Pending), want.Pending)
			}
		}))
	}
}
