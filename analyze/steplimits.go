package analyze

import (
	"cmp"
	"slices"
)

// Kinds of StepLimit: what the threads of a program did instead of running.
const (
	LimitGIL      = "gil_wait"
	LimitLock     = "lock_wait"       // for a lock that another thread held
	LimitOthers   = "wait_for_others" // for other threads to do something: queues, conditions, joins
	LimitRunnable = "runnable"        // ready, but no CPU was free
	LimitBlocked  = "blocked"         // anything else: I/O, sleeping, waiting for children
)

// maxStepLimits bounds the sites of each kind.
const maxStepLimits = 3

// StepLimit is what kept threads from running. Without a site it is all of its
// kind; those with a site are parts of that, the largest first.
type StepLimit struct {
	Kind   string   `json:"kind"`
	Site   *SiteRow `json:"site"` // the holder's line of a GIL wait, the waiter's of others
	WaitNS int64    `json:"wait_ns"`
}

// StepLimits sums up, over all threads of a recording, what they waited for, the
// largest kind first. The waits of threads at the same time all count.
func StepLimits(r *Report) []StepLimit {
	groups := [][]StepLimit{gilLimits(r), lockLimits(r, true), lockLimits(r, false)}
	var runnable, blocked int64
	for i := range r.Threads {
		t := &r.Threads[i]
		if t.RunnableNS != nil {
			runnable += *t.RunnableNS
			blocked += *t.BlockedNS
		}
	}
	// A lock wait is mostly blocked and a little runnable: that counts as both.
	ready := r.readyForGIL()
	runnable, blocked = runnable-ready, blocked+ready
	for _, g := range groups {
		for _, l := range g[:min(len(g), 1)] {
			blocked -= l.WaitNS
		}
	}
	groups = append(groups, single(LimitRunnable, runnable), single(LimitBlocked, blocked))
	slices.SortStableFunc(groups, func(a, b []StepLimit) int { return cmp.Compare(total(b), total(a)) })
	return append([]StepLimit{}, slices.Concat(groups...)...) // never null in JSON
}

// readyForGIL is that of all processes.
func (r *Report) readyForGIL() (ns int64) {
	if r.Scaling == nil {
		return 0
	}
	ns = r.Scaling.readyForGIL
	for i := range r.Scaling.Others {
		ns += r.Scaling.Others[i].readyForGIL
	}
	return ns
}

func total(g []StepLimit) int64 {
	if len(g) == 0 {
		return 0
	}
	return g[0].WaitNS
}

func single(kind string, ns int64) []StepLimit {
	if ns <= 0 {
		return nil
	}
	return []StepLimit{{Kind: kind, WaitNS: ns}}
}

// siteSums adds up waits by line.
type siteSums struct {
	kind  string
	total int64
	rows  []StepLimit
	index map[Site]int
}

func (s *siteSums) add(site *SiteRow, ns int64) {
	s.total += ns
	if site == nil {
		return
	}
	if s.index == nil {
		s.index = map[Site]int{}
	}
	key := plainSite(site)
	i, ok := s.index[key]
	if !ok {
		i = len(s.rows)
		s.index[key] = i
		s.rows = append(s.rows, StepLimit{Kind: s.kind, Site: site})
	}
	s.rows[i].WaitNS += ns
}

// list is the sum, and after it its largest sites.
func (s *siteSums) list() []StepLimit {
	if s.total <= 0 {
		return nil
	}
	slices.SortStableFunc(s.rows, func(a, b StepLimit) int { return cmp.Compare(b.WaitNS, a.WaitNS) })
	return append(single(s.kind, s.total), s.rows[:min(len(s.rows), maxStepLimits)]...)
}

func gilLimits(r *Report) []StepLimit {
	s := siteSums{kind: LimitGIL}
	for i := range r.GIL {
		for k := range r.GIL[i].Blame {
			b := &r.GIL[i].Blame[k]
			s.add(b.Holder.Site, b.WaitNS)
		}
	}
	return s.list()
}

// lockLimits is of the locks that threads hold, or of those by which they wait
// for each other.
func lockLimits(r *Report, held bool) []StepLimit {
	s := siteSums{kind: LimitOthers}
	if held {
		s.kind = LimitLock
	}
	for i := range r.Locks {
		if r.Locks[i].Held != held {
			continue
		}
		for k := range r.Locks[i].Waiters {
			w := &r.Locks[i].Waiters[k]
			s.add(w.Site, w.WaitNS)
		}
	}
	return s.list()
}

// plainSite is a row as a key; the nil parts are the zero values.
func plainSite(r *SiteRow) Site {
	return Site{Function: orZero(r.Function), File: orZero(r.File), Line: orZero(r.Line), Native: orZero(r.Native)}
}

// orZero is the opposite of known.
func orZero[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
