package analyze

import (
	"fmt"
	"strings"

	"gilscope/internal/trace"
)

var deadlocksAnalyzer = Analyzer{
	Name: "deadlocks",
	Doc: "Threads that wait in a circle, each without a time limit for a lock that the next one holds, as the recorder found them in the live process. Who holds an RLock " +
		"is in the object; who holds a Lock is known if a with statement took it. Other deadlocks are not found; what is found is certain.",
	Run: runDeadlocks,
}

// DeadlockRow is one circle.
type DeadlockRow struct {
	PID     int32          `json:"pid"`
	FoundNS int64          `json:"found_ns"` // BOOTTIME
	Cycle   []DeadlockLink `json:"cycle"`    // each waits for the next, the last one for the first
}

// DeadlockLink is one thread of a circle.
type DeadlockLink struct {
	TID       int32    `json:"tid"`
	Name      string   `json:"name"`
	Site      *SiteRow `json:"site"`      // where it waits
	WaitsFor  string   `json:"waits_for"` // address
	Kind      string   `json:"kind"`
	HeldByTID *int32   `json:"held_by_tid"` // null: a thread that is gone
}

// linkKey is a thread that a deadlock was told of at one time.
type linkKey struct {
	at       trace.Time
	pid, tid int32
}

func runDeadlocks(tl *Timeline, r *Report) {
	links := map[linkKey]*trace.Event{}
	var order []linkKey
	for i := range tl.Trace.Events {
		if e := &tl.Trace.Events[i]; e.Kind == trace.Deadlock {
			k := linkKey{e.Time, e.PID, e.TID}
			if links[k] == nil {
				order = append(order, k)
			}
			links[k] = e
		}
	}
	for _, k := range order {
		row := DeadlockRow{PID: k.pid, FoundNS: int64(k.at)}
		for links[k] != nil { // each link is taken once, so this ends
			row.Cycle = append(row.Cycle, tl.deadlockLink(links[k]))
			next := linkKey{k.at, k.pid, links[k].Other}
			delete(links, k)
			k = next
		}
		if len(row.Cycle) > 0 {
			r.Deadlocks = append(r.Deadlocks, row)
			r.Findings = append(r.Findings, row.finding())
		}
	}
}

func (tl *Timeline) deadlockLink(e *trace.Event) DeadlockLink {
	return DeadlockLink{TID: e.TID, Name: tl.threadName(e.PID, e.TID), Site: tl.userSite(e.Stack).siteRow(),
		WaitsFor: fmt.Sprintf("%#x", uint64(e.Arg)), Kind: e.Lock.String(), HeldByTID: known(e.Other)}
}

// Holder names who holds what the link waits for.
func (d *DeadlockRow) Holder(l DeadlockLink) string {
	if l.HeldByTID == nil {
		return "a thread that is gone"
	}
	for _, o := range d.Cycle {
		if o.TID == *l.HeldByTID {
			if o.TID == l.TID {
				return "itself"
			}
			return partyLabel(&Party{TID: &o.TID, Name: o.Name})
		}
	}
	return fmt.Sprintf("thread %d", *l.HeldByTID)
}

func (d *DeadlockRow) finding() Finding {
	first := d.Cycle[0]
	f := Finding{Rule: deadlockRule, Severity: Error, PID: &d.PID, TID: &first.TID, Site: first.Site,
		Title:  fmt.Sprintf("%d threads wait for each other in a circle", len(d.Cycle)),
		Advice: "Take the locks in the same order everywhere, or take one with acquire(timeout=...) and give the others back if that fails."}
	switch {
	case first.HeldByTID == nil:
		f.Title = "a thread waits for a lock whose owner has ended"
		f.Advice = "Hold locks by a with statement, so that they are given back whatever happens."
	case len(d.Cycle) == 1:
		f.Title = "a thread waits for a lock that it holds itself"
		f.Advice = "Use an RLock, or split the function into one that takes the lock and one that needs it held."
	}
	var parts []string
	for i := range d.Cycle {
		c := &d.Cycle[i]
		parts = append(parts, fmt.Sprintf("%s waits for %s %s, which %s holds", partyLabel(&Party{TID: &c.TID, Name: c.Name, Site: c.Site}), c.Kind, c.WaitsFor, d.Holder(*c)))
	}
	f.Evidence = strings.Join(parts, "; ")
	return f
}

// rank puts what lasts for ever before what costs time.
func (f *Finding) rank() int {
	if f.Rule == deadlockRule {
		return 1
	}
	return 0
}

const deadlockRule = "lock.deadlock"
