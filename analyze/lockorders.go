package analyze

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"gilscope/internal/trace"
)

var lockOrdersAnalyzer = Analyzer{
	Name: "lock.order",
	Doc: "Locks that different threads take in opposite orders, each seen to wait for one while a with statement held the other. No deadlock need have happened: it is a hazard, and one that " +
		"the program may rule out in ways that are not seen. If all of them held one more lock meanwhile, that guards them. What was seen is a thread that sleeps for a lock, at best for 50 ms and more: " +
		"locks that were free when they were taken, and those taken by acquire(), are not. If a lock is freed and another one made at its address, two may look like one.",
	Run: runLockOrders,
}

// LockOrderRow is a circle of locks: each step holds a lock and waits for the one
// that the next step holds, and each was taken by another thread.
type LockOrderRow struct {
	PID       int32           `json:"pid"`
	GuardedBy *string         `json:"guarded_by"` // a lock that was held in all steps; null: none was seen
	Steps     []LockOrderStep `json:"steps"`
}

// LockOrderStep is one thread that was seen to take two locks.
type LockOrderStep struct {
	TID      int32    `json:"tid"`
	Name     string   `json:"name"`
	Held     string   `json:"held"` // address
	HeldKind string   `json:"held_kind"`
	HeldSite *SiteRow `json:"held_site"` // where in the body of the with statement that holds it
	WaitsFor string   `json:"waits_for"`
	Kind     string   `json:"kind"`
	Site     *SiteRow `json:"site"`    // where it waits
	Threads  int64    `json:"threads"` // how many were seen to do so
}

// Bounds of the search, for a file may claim anything.
const (
	maxCircle     = 4
	maxSightings  = 32 // of one order
	maxOrderEdges = 1 << 12
	maxOrderSteps = 1 << 17
	maxOrderRows  = 50
)

// orderKey is a lock that was held, and one that was waited for meanwhile.
type orderKey struct{ held, waited int64 }

// sighting is one thread that was seen in an order.
type sighting struct {
	thread int32
	at     trace.Time
	held   *trace.Event
	wait   *trace.Event
}

// orderGraph is what was seen of the locks of one process.
type orderGraph struct {
	tl    *Timeline
	pid   int32
	edges map[orderKey][]sighting
	next  map[int64][]int64           // by lock held: the locks waited for
	sets  map[stuckKey]map[int64]bool // by thread and moment: all locks held
	steps int
	rows  []LockOrderRow
}

func runLockOrders(tl *Timeline, r *Report) {
	graphs := tl.orderGraphs()
	var found []Finding
	for _, g := range graphs {
		for _, first := range g.starts() {
			g.search([]int64{first})
		}
		for i := range g.rows {
			found = append(found, g.rows[i].finding())
		}
		r.LockOrders = append(r.LockOrders, g.rows...)
	}
	r.find(found)
}

// orderGraphs collects what was seen, by process.
func (tl *Timeline) orderGraphs() []*orderGraph {
	byPID, open := map[int32]*orderGraph{}, map[uint64]*trace.Event{}
	var list []*orderGraph
	for i := range tl.Trace.Events {
		e := &tl.Trace.Events[i]
		key := threadKey(e.PID, e.TID)
		switch e.Kind {
		case trace.LockWaitBegin:
			open[key] = e
		case trace.LockWaitEnd:
			delete(open, key)
		case trace.LockHeld:
			g := byPID[e.PID]
			if g == nil {
				g = &orderGraph{tl: tl, pid: e.PID, edges: map[orderKey][]sighting{}, next: map[int64][]int64{}, sets: map[stuckKey]map[int64]bool{}}
				byPID[e.PID] = g
				list = append(list, g)
			}
			if wait := open[key]; wait != nil && wait.Arg != e.Arg {
				g.sees(e, wait)
			}
		}
	}
	slices.SortFunc(list, func(x, y *orderGraph) int { return cmp.Compare(x.pid, y.pid) })
	return list
}

func (g *orderGraph) sees(held, wait *trace.Event) {
	moment := stuckKey{threadKey(held.PID, held.TID), held.Time}
	if g.sets[moment] == nil {
		g.sets[moment] = map[int64]bool{}
	}
	g.sets[moment][held.Arg] = true
	key := orderKey{held.Arg, wait.Arg}
	thread, ok := g.tl.threadAt(held.PID, held.TID, held.Time)
	if !ok || len(g.edges[key]) >= maxSightings || len(g.edges) >= maxOrderEdges {
		return
	}
	if len(g.edges[key]) == 0 {
		g.next[key.held] = append(g.next[key.held], key.waited)
	}
	g.edges[key] = append(g.edges[key], sighting{thread, held.Time, held, wait})
}

// starts are the locks that were held, in order.
func (g *orderGraph) starts() []int64 {
	var list []int64
	for held := range g.next {
		list = append(list, held)
		slices.Sort(g.next[held])
	}
	slices.Sort(list)
	return list
}

// search goes on from a path of locks. Every circle begins with its lowest address, so
// that it is found once.
func (g *orderGraph) search(path []int64) {
	for _, next := range g.next[path[len(path)-1]] {
		if g.steps++; g.steps > maxOrderSteps || len(g.rows) >= maxOrderRows {
			return
		}
		switch {
		case next == path[0]:
			g.circle(path)
		case next > path[0] && len(path) < maxCircle && !slices.Contains(path, next):
			g.search(append(slices.Clip(path), next))
		}
	}
}

// circle keeps a circle if each of its orders was seen of another thread.
func (g *orderGraph) circle(path []int64) {
	if len(path) < 2 {
		return
	}
	steps := g.assign(path, nil)
	if steps == nil {
		return
	}
	row := LockOrderRow{PID: g.pid}
	for i, s := range steps {
		row.Steps = append(row.Steps, g.step(path, i, s))
	}
	if guard, ok := g.guard(path); ok {
		row.GuardedBy = known(fmt.Sprintf("%#x", uint64(guard)))
	}
	g.rows = append(g.rows, row)
}

// keyAt is the order of a step.
func keyAt(path []int64, i int) orderKey { return orderKey{path[i], path[(i+1)%len(path)]} }

// assign gives each order of a circle a thread of its own, if that can be done.
func (g *orderGraph) assign(path []int64, taken []sighting) []sighting {
	if len(taken) == len(path) {
		return taken
	}
	for _, s := range g.edges[keyAt(path, len(taken))] {
		if !slices.ContainsFunc(taken, func(t sighting) bool { return t.thread == s.thread }) {
			if all := g.assign(path, append(slices.Clip(taken), s)); all != nil {
				return all
			}
		}
	}
	return nil
}

// guard is a lock, not of the circle, that was held whenever one of its orders was seen.
func (g *orderGraph) guard(path []int64) (int64, bool) {
	var both map[int64]bool
	for i := range path {
		for _, s := range g.edges[keyAt(path, i)] {
			set := g.sets[stuckKey{threadKey(s.held.PID, s.held.TID), s.at}]
			if both == nil {
				both = map[int64]bool{}
				for lock := range set {
					both[lock] = !slices.Contains(path, lock)
				}
			}
			for lock := range both {
				both[lock] = both[lock] && set[lock]
			}
		}
	}
	guard, ok := int64(0), false
	for lock, held := range both {
		if held && (!ok || lock < guard) {
			guard, ok = lock, true
		}
	}
	return guard, ok
}

func (g *orderGraph) step(path []int64, i int, s sighting) LockOrderStep {
	threads := map[int32]bool{}
	for _, other := range g.edges[keyAt(path, i)] {
		threads[other.thread] = true
	}
	return LockOrderStep{TID: s.held.TID, Name: g.tl.threadName(g.pid, s.held.TID), Held: fmt.Sprintf("%#x", uint64(s.held.Arg)), HeldKind: s.held.Lock.String(),
		HeldSite: g.tl.frameSite(s.held.Stack, s.held.Other).siteRow(), WaitsFor: fmt.Sprintf("%#x", uint64(s.wait.Arg)), Kind: s.wait.Lock.String(),
		Site: g.tl.userSite(s.held.Stack).siteRow(), Threads: int64(len(threads))}
}

// frameSite is the line of one frame of a stack.
func (tl *Timeline) frameSite(stack trace.StackID, depth int32) Site {
	t := tl.Trace
	if int(stack) >= len(t.Stacks) || depth < 0 || int(depth) >= len(t.Stacks[stack]) || int(t.Stacks[stack][depth]) >= len(t.Frames) {
		return Site{}
	}
	f := t.Frames[t.Stacks[stack][depth]]
	return Site{Function: stringOf(t, f.Function), File: stringOf(t, f.File), Line: f.Line}
}

// Text says what a step is.
func (s *LockOrderStep) Text(label func(Party) string) string {
	return fmt.Sprintf("%s waits for %s %s and holds %s %s", label(Party{TID: &s.TID, Name: s.Name, Site: s.Site}), s.Kind, s.WaitsFor, s.HeldKind, s.Held)
}

func (row *LockOrderRow) finding() Finding {
	first := &row.Steps[0]
	f := Finding{Rule: "lock.order", Severity: Warning, PID: &row.PID, TID: &first.TID, Site: first.Site,
		Title:  fmt.Sprintf("%d locks are taken in opposite orders: a deadlock is possible", len(row.Steps)),
		Advice: "Take the locks in the same order everywhere. This is a hazard, not a deadlock: whether the threads can meet, only the program knows."}
	if row.GuardedBy != nil {
		f.Severity = Info
		f.Title = fmt.Sprintf("%d locks are taken in opposite orders, so far always under the lock %s", len(row.Steps), *row.GuardedBy)
		f.Advice = "That lock rules out a deadlock as long as all code takes it first. Take the locks in the same order, and nothing depends on it."
	}
	var parts []string
	for i := range row.Steps {
		parts = append(parts, row.Steps[i].Text(func(p Party) string { return partyLabel(&p) }))
	}
	f.Evidence = strings.Join(parts, "; ")
	return f
}
