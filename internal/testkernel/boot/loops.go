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

// loopTruth is what a program of testdata/loops measured of its loop.
type loopTruth struct {
	Calls []loopCall
}

// loopCall is a call that kept the loop, and why.
type loopCall struct {
	Begin, End int64
	Cause      string
}

// settled is the time after the begin of a recording in which a loop must be found
// and its programs loaded, in an emulated machine.
const settled = 6e9 // ns

// judgeLoops wants a block for every call that kept the loop, for the right cause.
func judgeLoops(s testkernel.Step) (string, error) {
	r, err := read(s)
	if err != nil {
		return "", err
	}
	var truth loopTruth
	if err := json.Unmarshal([]byte(strings.Join(s.Truths, "")), &truth); err != nil {
		return "", fmt.Errorf("what the program measured: %w", err)
	}
	var errs []error
	if err := judgeLag(r.report); err != nil {
		errs = append(errs, err)
	}
	if s.Left != "" {
		errs = append(errs, fmt.Errorf("it was detached, but left %s", s.Left))
	}
	from, to := span(r.trace)
	calls, right := 0, 0
	for _, c := range truth.Calls {
		if c.Begin < from || c.End > to {
			continue
		}
		if calls++; c.found(r.report) {
			right++
		} else {
			errs = append(errs, fmt.Errorf("a block by %s of %.1f ms is not in the report, or for another cause", c.Cause, ms(c.End-c.Begin)))
		}
	}
	if calls < 4 {
		errs = append(errs, fmt.Errorf("only %d calls kept the loop", calls))
	}
	way := "tracepoints"
	if strings.Contains(s.Run.Stderr, "event loops by the functions") {
		way = "functions"
	}
	return fmt.Sprintf("%d of %d blocks, %s", right, calls, way), errors.Join(errs...)
}

// judgeLag wants it to be known how long data waited for the loop, or that the kernel
// is too old for that.
func judgeLag(r *analyze.Report) error {
	for _, s := range r.Skipped {
		if s.What == "loop lag" && !strings.Contains(s.Why, "Linux 6.3 has") {
			return fmt.Errorf("loop lag is not known: %s", s.Why)
		}
	}
	return nil
}

// span is when a loop was surely watched.
func span(t *trace.Trace) (from, to int64) {
	for _, n := range t.Notes {
		switch n.Name {
		case trace.NoteTarget:
			from = int64(n.Time) + settled
		case trace.NoteEnd:
			to = int64(n.Time)
		}
	}
	return from, to
}

// found says whether the report has a block of this cause that covers the call.
func (c loopCall) found(r *analyze.Report) bool {
	const slack = 1e6
	for _, l := range r.Loops {
		for _, b := range l.Blocks {
			if b.StartNS <= c.Begin+slack && b.StartNS+b.DurationNS >= c.End-slack && b.Cause == c.Cause {
				return true
			}
		}
	}
	return false
}
