package collector

import (
	"fmt"
	"slices"
	"strings"

	"gilscope/internal/cpython"
	"gilscope/internal/trace"
)

// A deadlock is a circle of threads, each of which sleeps without a time limit for
// a lock that the next one holds. It is said only of what is certain while the
// recorder looks: who holds an RLock is in the object, who holds a Lock is who is in
// the body of its with statement (cpython.Held). Stacks are read while the threads
// sleep, and believed if records up to after that show that they slept on.

// Times of the search.
const (
	// A wait is looked at from this age on: most end before that.
	stuckAfter = trace.Time(200e6)
	// Between two searches, the second of which confirms the first.
	circlesEvery = trace.Time(100e6)
	// Between two of the same threads in the same waits: reading can fail.
	lookAgain = trace.Time(10e9)
	// Threads that wait at once and are looked at.
	maxStuck = 256
)

// deadlocks is the search in one process.
type deadlocks struct {
	last   trace.Time        // when it was searched
	looked uint64            // what there was to look at then
	found  map[string]circle // not confirmed yet, by their links
}

// circle is a deadlock as it was found.
type circle struct {
	begun trace.Time // when reading began,
	at    trace.Time // and when all had been read
	links []link
}

// link is one thread of a circle.
type link struct {
	t      *thread
	sleep  trace.Time // of its wait, which is the same as long as this is
	holder int32      // of what it waits for; 0: a thread that is gone; < 0: not known
	kind   trace.LockKind
	where  string
}

// key tells circles apart, wherever they begin.
func (c *circle) key() string {
	keys := make([]string, len(c.links))
	for i, l := range c.links {
		keys[i] = fmt.Sprint(l.t.tid, l.sleep, l.holder)
	}
	slices.Sort(keys)
	return strings.Join(keys, ",")
}

// findDeadlocks searches all processes, if it is time. What was found twice, with
// all records up to the first time handled in between, is certain.
func (s *session) findDeadlocks(upTo trace.Time) {
	at := now()
	for _, p := range s.d.procs {
		d := &p.deadlocks
		if p.exited || p.py == nil || at-d.last < circlesEvery {
			continue
		}
		links, looked := p.stuck(at)
		if len(d.found) == 0 && looked == d.looked && at-d.last < lookAgain || len(links) == 0 {
			d.found = nil
			continue
		}
		if d.youngest() >= upTo {
			continue
		}
		before := d.found
		d.last, d.looked, d.found = at, looked, map[string]circle{}
		for _, c := range p.circles(links, at) {
			c.begun = at
			if first, again := before[c.key()]; again && first.begun > s.d.losses.last {
				c.at = first.at
				s.tellDeadlock(p, c)
			} else {
				d.found[c.key()] = c
			}
		}
	}
}

// youngest is when the last of what is not confirmed was found.
func (d *deadlocks) youngest() (at trace.Time) {
	for _, c := range d.found {
		at = max(at, c.at)
	}
	return at
}

// stuck are the threads that sleep for a lock and may be in a deadlock, and a
// number for what there is to look at: as long as that is the same, so is the answer.
func (p *process) stuck(at trace.Time) (links map[int32]*link, looked uint64) {
	links = map[int32]*link{}
	for _, t := range p.threads {
		w := &t.lock
		if w.open && w.blocked && !w.timed && !w.common && !w.told && at-w.sleep >= stuckAfter && mayBeHeld(w.kind) && len(links) < maxStuck {
			links[t.tid] = &link{t: t, sleep: w.sleep, holder: unknownHolder, kind: w.kind}
			looked += uint64(w.sleep) * 0x9E3779B97F4A7C15
		}
	}
	return links, looked + uint64(len(p.threads)-p.ending)
}

// circles searches the threads that sleep for a lock now.
func (p *process) circles(links map[int32]*link, at trace.Time) []circle {
	p.findHolders(links)
	found := slices.DeleteFunc(closed(links), func(c circle) bool { return !p.asleep(c) })
	for i := range found {
		for k := range found[i].links {
			l := &found[i].links[k]
			if ts, ok := p.state(l.t.tid, at); ok {
				l.where = p.py.Where(ts)
			}
		}
		found[i].at = now()
	}
	return found
}

// asleep asks the kernel whether the threads of a circle sleep for what we think: it
// does not report all switches (see repaired).
func (p *process) asleep(c circle) bool {
	for _, l := range c.links {
		if w, ok := p.sleepsOn(l.t); !ok || w.timed {
			return false
		}
	}
	return true
}

const unknownHolder = -1

// mayBeHeld says whether a lock of the kind may be one that a thread holds.
func mayBeHeld(k trace.LockKind) bool {
	switch k {
	case trace.LockLock, trace.LockRLock, trace.LockLogging, trace.LockUnknown:
		return true
	}
	return false
}

// findHolders says of each thread who holds what it waits for, as far as that is known.
func (p *process) findHolders(links map[int32]*link) {
	all, err := p.py.ThreadStates()
	if err != nil {
		return
	}
	byIdent, states := map[uint64]int32{}, map[int32]cpython.ThreadState{}
	for _, ts := range all {
		byIdent[ts.Ident], states[ts.TID] = ts.TID, ts
	}
	plain := map[int32]*link{} // that wait for a Lock
	for tid, l := range links {
		lock, ok := p.stuckFor(states[tid], &l.t.lock)
		switch {
		case !ok:
		case lock.Type == cpython.TypeRLock && lock.Owner != 0:
			l.holder, l.kind = byIdent[lock.Owner], trace.LockRLock
		case lock.Type == cpython.TypeLock:
			plain[tid], l.kind = l, trace.LockLock
		}
	}
	if len(plain) > 0 {
		p.findBodies(links, plain, states)
	}
}

// stuckFor is the lock that a thread which sleeps waits for; one that is not parked
// shows it by its state.
func (p *process) stuckFor(ts cpython.ThreadState, w *lockWait) (cpython.Lock, bool) {
	if w.parked {
		return p.py.Parked(w.address)
	}
	return p.py.WaitsFor(ts, w.address)
}

// findBodies finds who is in the body of a with statement for a Lock. If that
// seems to be several threads, it is nobody.
func (p *process) findBodies(links, plain map[int32]*link, states map[int32]cpython.ThreadState) {
	bodies := map[*link][]int32{}
	for tid := range links {
		held, ok := p.py.Held(states[tid])
		if !ok {
			continue
		}
		for _, l := range plain {
			w := &l.t.lock
			if !slices.ContainsFunc(held, func(h cpython.Lock) bool { return h.Is(w.address, w.parked, p.py) }) {
				continue
			}
			bodies[l] = append(bodies[l], tid)
		}
	}
	for l, tids := range bodies {
		if len(tids) == 1 {
			l.holder = tids[0]
		}
	}
}

// closed are the circles, and the threads that wait for a lock whose owner is gone.
func closed(links map[int32]*link) []circle {
	var found []circle
	in := map[int32]bool{}
	for tid, l := range links {
		if l.holder == 0 {
			found = append(found, circle{links: []link{*l}})
		}
		path := []link{}
		for next := tid; links[next] != nil && !in[next] && len(path) <= len(links); next = links[next].holder {
			path = append(path, *links[next])
			if links[next].holder == tid {
				found = append(found, circle{links: path})
				for _, l := range path {
					in[l.t.tid] = true
				}
				break
			}
		}
	}
	return found
}

// tellDeadlock puts a deadlock into the trace, and tells the user at once.
func (s *session) tellDeadlock(p *process, c circle) {
	s.prog.note(s.o.Words, fmt.Sprintf("deadlock in pid %d:", p.pid))
	names := p.names()
	name := func(tid int32) string {
		if tid == 0 {
			return "a thread that is gone"
		}
		return fmt.Sprintf("%s (%d)", names[tid].Name, tid)
	}
	for i := range c.links {
		l := &c.links[i]
		w := &l.t.lock
		w.told = true
		s.d.event(p, trace.Event{Time: c.at, Kind: trace.Deadlock, TID: l.t.tid, Other: l.holder, Arg: int64(w.address), Lock: l.kind, Stack: w.stack})
		s.prog.note(s.o.Words, fmt.Sprintf("  %s waits at %s for %s %#x, which %s holds", name(l.t.tid), l.where, l.kind, w.address, name(l.holder)))
	}
}
