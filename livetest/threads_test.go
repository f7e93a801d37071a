package livetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"gilscope/analyze"
	"gilscope/internal/testpy"
)

// threadTruth is what a thread of testdata/threads/lives.py, and who made and joined it,
// measured. Times are CLOCK_BOOTTIME.
type threadTruth struct {
	Role     string     `json:"role"`
	TID      int32      `json:"tid"`
	By       int32      `json:"by"`
	Before   int64      `json:"before"` // just before it was started
	First    int64      `json:"first"`  // in its first line
	End      int64      `json:"end"`    // in its last one; 0: it was left
	Joins    [][3]int64 `json:"joins"`  // by whom, begin, end
	Daemon   bool       `json:"daemon"`
	Function string     `json:"function"` // that made it, and its lines
	Lines    [2]int32   `json:"lines"`
}

// How far the report may be off: nearNS for nearly all, as a busy machine may stop a thread
// between an event and its reading of the clock. Sooner by less than clockNS is no contradiction.
const (
	threadNearNS = 2_000_000
	threadNearly = 0.9
	clockNS      = 50_000
	joinSurelyNS = 500_000 // a join that takes so long slept
)

// TestThreadLives: when each thread was made, by whom and on which line, when it first ran Python, when it
// ended, who joined it and for how long, and whether it is a daemon and was left.
func TestThreadLives(t *testing.T) {
	for _, in := range append(testpy.Some(t, "3.8", "3.12", "3.13", "debian-3.13", "3.14"), testpy.FreeThreaded(t)...) {
		t.Run(in.Name, func(t *testing.T) {
			p := startProgram(t, in, "../threads/lives")
			r := startRecord(t, "-p", fmt.Sprint(p.PID))
			p.Send(t, "go")
			r.wait(t)
			if err := p.Stop(); err != nil {
				t.Fatalf("the program was harmed: %v", err)
			}
			var truth struct {
				Threads []threadTruth `json:"threads"`
			}
			if err := json.Unmarshal([]byte(p.Last), &truth); err != nil || len(truth.Threads) == 0 {
				t.Fatalf("read the truth: %v: %q", err, p.Last)
			}
			report := open(t, r, nil).report
			c := lifeCheck{t: t, off: map[string][]int64{}}
			for i := range truth.Threads {
				c.thread(&truth.Threads[i], report)
			}
			c.near()
			if c.late > 1 {
				t.Errorf("of %d threads that were left it is not known", c.late)
			}
			if c.daemons < 2 {
				t.Errorf("of %d threads it is known whether they are daemons, want at least the two that were left", c.daemons)
			}
			if share := float64(c.ran) / float64(len(c.off["made"])); in.GIL && share < threadNearly {
				t.Errorf("of %.0f%% of the threads it is known when they ran Python", 100*share)
			}
			checkMaker(t, report, truth.Threads)
		})
	}
}

// lifeCheck compares threads with the truth.
type lifeCheck struct {
	t       *testing.T
	off     map[string][]int64 // by what: how far each time is off
	daemons int                // threads of which it is known
	ran     int                // threads of which it is known when they ran Python
	late    int                // threads of which it is not known that they ended with their process
}

func (c *lifeCheck) thread(want *threadTruth, r *analyze.Report) {
	c.t.Helper()
	i := slices.IndexFunc(r.Threads, func(row analyze.ThreadRow) bool { return row.TID == want.TID })
	if i < 0 {
		c.t.Errorf("no thread %d (%s)", want.TID, want.Role)
		return
	}
	row := &r.Threads[i]
	left := want.End == 0
	// Who leaves at the same time as the last one may be told of after it: then it is not known.
	if late := left && row.EndedWithProcess == nil; late {
		c.late++
	} else if row.EndedWithProcess == nil || *row.EndedWithProcess != left {
		c.t.Errorf("thread %d (%s): ended with its process is %v, want %v", want.TID, want.Role, inJSON(row.EndedWithProcess), left)
	}
	if row.Daemon != nil {
		if c.daemons++; *row.Daemon != want.Daemon {
			c.t.Errorf("thread %d (%s) is said to be a daemon: %v", want.TID, want.Role, *row.Daemon)
		}
	} else if want.Role == "left" {
		c.t.Errorf("thread %d (%s): it is not known whether it is a daemon", want.TID, want.Role)
	}
	if want.End != 0 {
		c.time("ended", want, row.EndedNS, want.End, 1<<62)
	}
	c.joins(want, row)
	if row.StartedNS == nil && want.Role == "left" { // one is older than the recording
		return
	}
	c.time("made", want, row.StartedNS, want.Before, want.First)
	if row.RanPythonNS != nil {
		c.ran++
		c.time("ran Python", want, row.RanPythonNS, want.Before, 1<<62)
		c.off["ran Python"][len(c.off["ran Python"])-1] = *row.RanPythonNS - want.First
	}
	by := row.CreatedBy
	if by == nil || by.TID == nil || *by.TID != want.By || by.Site == nil || by.Site.Function == nil || *by.Site.Function != want.Function ||
		by.Site.Line == nil || *by.Site.Line < want.Lines[0] || *by.Site.Line > want.Lines[1] {
		c.t.Errorf("thread %d (%s) was made by %s, want %s of thread %d", want.TID, want.Role, inJSON(by), want.Function, want.By)
	}
}

// time checks a time against its bounds, and notes how far it is from the first.
func (c *lifeCheck) time(what string, want *threadTruth, got *int64, from, to int64) {
	c.t.Helper()
	if got == nil {
		c.t.Errorf("thread %d (%s): it is not known when it %s", want.TID, want.Role, what)
		return
	}
	if *got < from-clockNS || *got > to+clockNS {
		c.t.Errorf("thread %d (%s) %s at %d, want between %d and %d", want.TID, want.Role, what, *got, from, to)
	}
	c.off[what] = append(c.off[what], *got-from)
}

// joins: all that are told are true, and those that surely slept are told.
func (c *lifeCheck) joins(want *threadTruth, row *analyze.ThreadRow) {
	c.t.Helper()
	told := map[int64]int64{}
	for _, j := range row.Joins {
		told[int64(*j.TID)] = j.WaitNS
	}
	if len(told) != len(row.Joins) {
		c.t.Errorf("thread %d (%s): somebody joined it twice: %s", want.TID, want.Role, inJSON(row.Joins))
	}
	for _, j := range want.Joins {
		took, slept := j[2]-j[1], told[j[0]]
		switch {
		case slept > took+clockNS:
			c.t.Errorf("thread %d (%s): %d waited %d ns for it, want %d", want.TID, want.Role, j[0], slept, took)
		case slept != 0:
			c.off["joined"] = append(c.off["joined"], slept-took)
		case took > joinSurelyNS && j[1] < want.End:
			c.off["joined"] = append(c.off["joined"], -took)
		}
		delete(told, j[0])
	}
	for tid := range told {
		c.t.Errorf("thread %d (%s): %d did not join it", want.TID, want.Role, tid)
	}
}

// near wants nearly all times within threadNearNS.
func (c *lifeCheck) near() {
	c.t.Helper()
	for _, what := range []string{"made", "ran Python", "ended", "joined"} {
		list, within := c.off[what], 0
		slices.Sort(list)
		for _, off := range list {
			if max(off, -off) <= threadNearNS {
				within++
			}
		}
		if len(list) == 0 {
			c.t.Errorf("no thread of which it is known when it %s", what)
			continue
		}
		c.t.Logf("%s: %d threads, off by %d to %d us, median %d us", what, len(list), list[0]/1000, list[len(list)-1]/1000, list[len(list)/2]/1000)
		if float64(within) < threadNearly*float64(len(list)) {
			c.t.Errorf("%s: only %d of %d are right to 2 ms", what, within, len(list))
		}
	}
}

// checkMaker: the line that makes threads one after the other, which live shortly, is a finding.
func checkMaker(t *testing.T, r *analyze.Report, truth []threadTruth) {
	t.Helper()
	brief := 0
	var line [2]int32
	for i := range truth {
		if truth[i].Role == "brief" {
			brief++
			line = truth[i].Lines
		}
	}
	for _, f := range r.Findings {
		if f.Rule != "thread.churn" {
			continue
		}
		if f.Site == nil || *f.Site.Line < line[0] || *f.Site.Line > line[1] {
			t.Errorf("threads that live shortly are made by %s", inJSON(f.Site))
		}
	}
	m := r.ThreadMakers[0]
	if m.Threads != int64(brief) || m.Ended != m.Threads || m.AtOnce > 2 || m.LifeP50NS == nil || *m.LifeP50NS < 2_000_000 {
		t.Errorf("most threads were made by %s, want %d of them", inJSON(m), brief)
	}
	if !slices.ContainsFunc(r.Findings, func(f analyze.Finding) bool { return f.Rule == "thread.churn" }) {
		t.Errorf("no finding about them: %s", inJSON(r.Findings))
	}
}

// inJSON writes a part of a report for a message.
func inJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
