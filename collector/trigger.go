package collector

import (
	"fmt"
	"strings"
	"time"

	"gilscope/internal/trace"
)

// Trigger is a reason for a flight recorder to write what it keeps: a slice of
// Metric that is longer than Over.
type Trigger struct {
	Metric string
	Over   time.Duration
}

// Metrics that a Trigger may watch.
const (
	MetricWait  = "gil.wait"
	MetricHold  = "gil.hold" // detail full
	MetricBlock = "loop.block"
)

// ParseTrigger reads METRIC>DURATION, such as gil.wait>500ms.
func ParseTrigger(s string) (Trigger, error) {
	metric, limit, ok := strings.Cut(s, ">")
	metric, limit = strings.TrimSpace(metric), strings.TrimSpace(limit)
	if !ok {
		return Trigger{}, fmt.Errorf("%q: write METRIC>DURATION, such as gil.wait>500ms", s)
	}
	if metric != MetricWait && metric != MetricHold && metric != MetricBlock {
		return Trigger{}, fmt.Errorf("%q: there is no metric %q; use %s, %s or %s", s, metric, MetricWait, MetricHold, MetricBlock)
	}
	over, err := time.ParseDuration(limit)
	if err != nil || over <= 0 {
		return Trigger{}, fmt.Errorf("%q: %q is no duration above 0, such as 500ms", s, limit)
	}
	return Trigger{metric, over}, nil
}

// alarm watches for what triggers name.
type alarm struct {
	wait, hold, block trace.Time // the shortest limit of each metric, 0: none
	fired             string     // why; "" as long as nothing happened
}

// newAlarm is nil if there is nothing to watch for.
func newAlarm(triggers []Trigger) *alarm {
	if len(triggers) == 0 {
		return nil
	}
	a := &alarm{}
	for _, t := range triggers {
		limit := &a.wait
		switch t.Metric {
		case MetricHold:
			limit = &a.hold
		case MetricBlock:
			limit = &a.block
		}
		if *limit == 0 || trace.Time(t.Over) < *limit {
			*limit = trace.Time(t.Over)
		}
	}
	return a
}

// ended looks at a wait or hold whose end is about to be told; what the thread
// knows of it is still there.
func (a *alarm) ended(p *process, e *trace.Event) {
	switch e.Kind {
	case trace.GILWaitEnd:
		if t := p.thread(e.TID); t != nil {
			a.check(t, MetricWait, a.wait, t.wait.begin, e.Time)
		}
	case trace.GILHoldEnd:
		if t := p.thread(e.TID); t != nil {
			a.check(t, MetricHold, a.hold, t.since, e.Time)
		}
	case trace.LoopBlockEnd:
		if t := p.thread(e.TID); t != nil && t.loop != nil {
			a.check(t, MetricBlock, a.block, t.loop.it.begin, e.Time)
		}
	}
}

// goingOn looks at all waits and holds that have not ended.
func (a *alarm) goingOn(d *dispatcher, at trace.Time) {
	for _, p := range d.procs {
		if p.exited {
			continue
		}
		for _, t := range p.threads {
			// A waiter on CPU may have taken the GIL already: its wait goes on only if it sleeps.
			if t.wait.open && t.wait.told && t.wait.blocked {
				a.check(t, MetricWait, a.wait, t.wait.begin, at)
			}
			if t.holds != nil {
				a.check(t, MetricHold, a.hold, t.since, at)
			}
			if t.loop.busySince() != 0 {
				a.check(t, MetricBlock, a.block, t.loop.busySince(), at)
			}
		}
	}
}

// check fires once for a wait or hold, also if it goes on.
func (a *alarm) check(t *thread, metric string, limit, begin, at trace.Time) {
	if limit == 0 || at-begin <= limit || t.fired == begin {
		return
	}
	t.fired = begin
	if a.fired == "" {
		a.fired = fmt.Sprintf("trigger %s %d ms", metric, (at-begin)/1e6)
	}
}
