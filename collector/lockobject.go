package collector

import (
	"gilscope/internal/cpython"
	"gilscope/internal/trace"
)

// lockObjects is what is known of the locks of one process: the objects, as far as
// they could be found, by the address that waiters show.
type lockObjects struct {
	known  map[uint64]lockObject
	types  map[uint64]typeLock           // of objects that have locks (free-threaded builds)
	states map[int32]cpython.ThreadState // by thread id
	read   trace.Time                    // when states was read
	looks  perSecond
	maps   []cpython.Mapping // memory that processes share,
	mapped trace.Time        // and when that was read
}

type lockObject struct {
	lock cpython.Lock
	kind trace.LockKind
	at   trace.Time // when it was looked at
}

// Limits of looking at locks.
const (
	// The memory of a lock that is gone may be another's after this time.
	believeLock = trace.Time(100e6)
	// A look-up takes up to some 0.2 ms: this bounds it to a fiftieth of the time.
	lookUpsPerSecond = 100
	maxKnownLocks    = 1 << 14
)

// lockKind tells what object a thread waits for, where its frames do not. What is
// read is true whenever it is read: the object says that it has this lock.
func (p *process) lockKind(t *thread, w *lockWait) trace.LockKind {
	o := p.lockObjects()
	k, ok := o.known[w.address]
	if p.py == nil || ok && w.begin-k.at < believeLock || !o.looks.may(w.begin, lookUpsPerSecond) {
		return k.kind
	}
	if !ok || !p.py.StillIs(k.lock) {
		k = lockObject{}
		if l, found := p.lockOf(t, w); found {
			k.lock, k.kind = l, kindOfType(l.Type)
		}
	}
	k.at = w.begin
	if len(o.known) >= maxKnownLocks {
		clear(o.known)
	}
	o.known[w.address] = k
	return k.kind
}

// lockOf reads the lock that a thread waits for.
func (p *process) lockOf(t *thread, w *lockWait) (cpython.Lock, bool) {
	var ts cpython.ThreadState
	if !w.parked {
		var ok bool
		if ts, ok = p.state(t.tid, w.begin); !ok {
			return cpython.Lock{}, false
		}
	}
	return p.stuckFor(ts, w)
}

func kindOfType(t cpython.LockType) trace.LockKind {
	switch t {
	case cpython.TypeLock:
		return trace.LockLock
	case cpython.TypeRLock:
		return trace.LockRLock
	case cpython.TypeSimpleQueue:
		return trace.LockQueue
	case cpython.TypeSharedLock:
		return trace.LockShared
	case cpython.TypeSharedSemaphore:
		return trace.LockSemaphore
	}
	return trace.LockUnknown
}

func (p *process) lockObjects() *lockObjects {
	if p.locks == nil {
		p.locks = &lockObjects{known: map[uint64]lockObject{}}
	}
	return p.locks
}

// perSecond counts what may be done so often a second.
type perSecond struct {
	second trace.Time // the present one,
	n      int        // and how often it was done in that
}

// may says whether it may be done once more, and counts that.
func (c *perSecond) may(at trace.Time, most int) bool {
	if s := at / 1e9; s != c.second {
		c.second, c.n = s, 0
	}
	if c.n >= most {
		return false
	}
	c.n++
	return true
}

// state is the thread state of a thread, as the interpreters' lists have it: not
// older than the moment, for a thread that has begun since is not in it.
func (p *process) state(tid int32, at trace.Time) (cpython.ThreadState, bool) {
	o := p.lockObjects()
	if ts, ok := o.states[tid]; ok && at-o.read < believeLock {
		return ts, true
	}
	all, err := p.py.ThreadStates()
	if err != nil {
		return cpython.ThreadState{}, false
	}
	o.states, o.read = map[int32]cpython.ThreadState{}, at
	for _, ts := range all {
		o.states[ts.TID] = ts
	}
	ts, ok := o.states[tid]
	return ts, ok
}
