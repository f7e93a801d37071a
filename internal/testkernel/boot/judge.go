package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"gilscope/analyze"
	"gilscope/internal/testkernel"
	"gilscope/internal/trace"
)

// verdict is what the steps on one kernel prove.
type verdict struct {
	release string
	cells   map[string]string // of the table, by step
	lines   []string          // the same for people, with more numbers
	err     error             // all that is wrong
}

// Bounds, in percent; livetest has closer ones.
const (
	minFound = 90
	minRight = 90
	// Of processes that live a fifth of a second, a good part goes into starting
	// the threads, which is charged to lines of threading.
	minRightBrief = 60
)

// judge holds the steps to what a kernel must do: refuse, or work.
func judge(steps []testkernel.Step, refused bool) verdict {
	v := verdict{cells: map[string]string{}}
	var errs []error
	for _, s := range steps {
		var cell, line string
		var err error
		switch {
		case s.Name == testkernel.Boot:
			v.release = s.Kernel
		case s.Name == testkernel.Done || s.Name == testkernel.Failed:
		case refused:
			cell, err = judgeRefusal(s, v.release)
		case s.Name == testkernel.Doctor:
			cell, err = judgeDoctor(s)
		case s.Name == testkernel.Loops:
			cell, err = judgeLoops(s)
		default:
			cell, line, err = judgeRecording(s)
		}
		if err != nil {
			cell, errs = "fails", append(errs, fmt.Errorf("%s: %w", s.Name, err))
		}
		if cell != "" {
			v.cells[s.Name] = cell
			v.lines = append(v.lines, fmt.Sprintf("%-8s %s %s", s.Name, cell, line))
		}
	}
	v.err = errors.Join(errs...)
	return v
}

// judgeRefusal wants exit code 4, and words that say which kernel this is, and
// what it takes.
func judgeRefusal(s testkernel.Step, release string) (string, error) {
	words := s.Run.Stdout + s.Run.Stderr
	if s.Run.Exit != 4 || !strings.Contains(words, release) || !strings.Contains(words, "needs Linux") {
		return "", fmt.Errorf("exit code %d, want 4, and the words %q and which kernel is needed: %s", s.Run.Exit, release, words)
	}
	return "refused", nil
}

// doctor is what is used of the JSON of gilscope doctor.
type doctor struct {
	Checks []struct{ Status, Check, Detail string }
}

func parseDoctor(s testkernel.Step) (doctor, error) {
	var d doctor
	if err := json.Unmarshal([]byte(s.Run.Stdout), &d); err != nil {
		return d, fmt.Errorf("exit code %d, and no JSON: %w: %s", s.Run.Exit, err, s.Run.Stderr)
	}
	return d, nil
}

// String is for people.
func (d doctor) String() string {
	var text strings.Builder
	for _, c := range d.Checks {
		fmt.Fprintf(&text, "  [%-4s] %s: %s\n", c.Status, c.Check, c.Detail)
	}
	return text.String()
}

// judgeDoctor wants everything to work, and returns how probes are attached.
func judgeDoctor(s testkernel.Step) (string, error) {
	d, err := parseDoctor(s)
	if err != nil {
		return "", err
	}
	by := ""
	for _, c := range d.Checks {
		if c.Status != "ok" {
			err = errors.Join(err, fmt.Errorf("%s: %s", c.Check, c.Detail))
		}
		if strings.HasPrefix(c.Check, "attach a uprobe") {
			by, _, _ = strings.Cut(c.Detail, " (")
		}
	}
	if err == nil && s.Run.Exit != 0 {
		err = fmt.Errorf("exit code %d: %s", s.Run.Exit, s.Run.Stderr)
	}
	return by, err
}

// processes is how many measure themselves in a step.
var processes = map[string]int{
	testkernel.Waits: 1, testkernel.Full: 1, testkernel.Auto: 1,
	testkernel.Follow:  2, // a fork, and one that becomes another program
	testkernel.Contain: 3, // two forks, and their parent
}

// judgeRecording wants what the processes measured.
func judgeRecording(s testkernel.Step) (cell, line string, err error) {
	r, err := read(s)
	if err != nil {
		return "", "", err
	}
	var total score
	errs := []error{}
	if s.Left != "" {
		errs = append(errs, fmt.Errorf("it was detached, but left %s", s.Left))
	}
	for _, text := range s.Truths {
		m, err := parseMember(text)
		if err == nil {
			err = errors.Join(total.add(r, m), checkEnd(r, m))
		}
		errs = append(errs, err)
	}
	if want := processes[s.Name]; total.processes != want {
		errs = append(errs, fmt.Errorf("%d processes were recorded, want %d", total.processes, want))
	}
	if share(total.found, total.measured) < minFound {
		errs = append(errs, fmt.Errorf("of %d measured waits, %d are recorded", total.measured, total.found))
	}
	least := float64(minRight)
	if s.Name == testkernel.Follow || s.Name == testkernel.Contain {
		least = minRightBrief
	}
	if share(total.right, total.blamed) < least {
		errs = append(errs, fmt.Errorf("blame is right for %.1f of %.1f ms", ms(total.right), ms(total.blamed)))
	}
	if s.Name == testkernel.Full || s.Name == testkernel.Follow {
		errs = append(errs, checkFull(r))
	}
	cell = fmt.Sprintf("%d of %d, %.0f %%", total.found, total.measured, share(total.right, total.blamed))
	return cell, numbers(r), errors.Join(errs...)
}

func ms(ns int64) float64 { return float64(ns) / 1e6 }

// numbers are those of the report that tell most.
func numbers(r recording) string {
	var waits, topNS int64
	top := "nobody"
	for _, g := range r.report.GIL {
		waits += g.Waits
		for _, b := range g.Blame {
			if at := b.Holder.Site; b.WaitNS > topNS && at != nil && at.Function != nil && at.Line != nil {
				top, topNS = fmt.Sprintf("%s:%d", *at.Function, *at.Line), b.WaitNS
			}
		}
	}
	forced, voluntary := drops(r.report)
	return fmt.Sprintf("(the report: %d waits, most for %s; %d forced drops, %d voluntary; %d events lost)",
		waits, top, forced, voluntary, r.report.Recording.LostEvents)
}

// drops adds up those of all GILs.
func drops(r *analyze.Report) (forced, voluntary int64) {
	for _, g := range r.GIL {
		if s := g.Switching; s.ForcedDrops != nil && s.VoluntaryDrops != nil {
			forced, voluntary = forced+*s.ForcedDrops, voluntary+*s.VoluntaryDrops
		}
	}
	return forced, voluntary
}

// checkEnd: a child's end is known, and how it ended.
func checkEnd(r recording, m member) error {
	if m.To == 0 {
		return nil // not a child
	}
	for _, p := range r.report.Processes {
		if p.PID == m.pid && p.Exit != nil && *p.Exit == (analyze.Exit{Code: m.Code}) {
			return nil
		}
	}
	return fmt.Errorf("pid %d: its end with code %d is not in the report", m.pid, m.Code)
}

// checkFull: both kinds of drops were seen, and takes by another thread are as
// many as the interpreters counted.
func checkFull(r recording) error {
	if forced, voluntary := drops(r.report); forced == 0 || voluntary == 0 {
		return fmt.Errorf("%d forced drops and %d voluntary ones", forced, voluntary)
	}
	for _, n := range r.trace.Notes {
		if n.Name != trace.NoteGIL {
			continue
		}
		totals := map[string]int64{}
		for _, a := range n.Args {
			totals[a.Key] = a.Num
		}
		if totals["changes"] != totals["switches"] {
			return fmt.Errorf("pid %d: %d takes by another thread; the interpreter counts %d", n.PID, totals["changes"], totals["switches"])
		}
	}
	return nil
}
