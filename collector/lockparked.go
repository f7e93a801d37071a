package collector

import (
	"gilscope/internal/cpython"
	"gilscope/internal/trace"
	"gilscope/probes"
)

// parkedKinds is what a thread waits for, as traces have it.
var parkedKinds = map[cpython.ParkedFor]trace.LockKind{
	cpython.ParkedList: trace.LockList, cpython.ParkedDict: trace.LockDict, cpython.ParkedSet: trace.LockSet, cpython.ParkedType: trace.LockType,
	cpython.ParkedObject: trace.LockObject, cpython.ParkedInterpreter: trace.LockInterpreter, cpython.ParkedStopping: trace.LockStopping,
}

// typeLock is what the lock in an object of one type is.
type typeLock struct {
	kind trace.LockKind
	at   trace.Time // when the type was looked at
}

// parkedKind tells what a thread of a free-threaded build waits for that is no lock of Python
// code's: that goes before its frames, for a thread waits for these anywhere. stopped and class are
// from the moment at which it went to sleep.
func (p *process) parkedKind(w *lockWait, stopped bool, class uint64) trace.LockKind {
	if p.py == nil || !p.py.Build.FreeThreaded || !w.parked {
		return trace.LockUnknown
	}
	if stopped {
		return trace.LockStopped
	}
	interps := make([]uint64, 0, 4)
	for i := range p.places {
		interps = append(interps, p.places[i].addr.Interp)
	}
	if k := p.py.InsideOf(w.address, interps); k != cpython.ParkedUnknown || class == 0 {
		return parkedKinds[k]
	}
	o := p.lockObjects()
	if k, ok := o.types[class]; ok && w.begin-k.at < believeLock {
		return k.kind
	}
	k := typeLock{parkedKinds[p.py.LockOfType(class)], w.begin}
	if len(o.types) >= maxKnownLocks || o.types == nil {
		o.types = map[uint64]typeLock{}
	}
	o.types[class] = k
	return k.kind
}

// waitsFor tells what a thread waits for that went to sleep with this record.
func (p *process) waitsFor(t *thread, w *lockWait, k known, r probes.Record) trace.LockKind {
	if kind := p.parkedKind(w, r.Op&probes.LockStopped != 0, r.Sp); kind != trace.LockUnknown {
		return kind
	}
	if k.waits != trace.LockUnknown && k.waits != trace.LockShared {
		return k.waits
	}
	kind := p.lockKind(t, w)
	if kind == trace.LockUnknown && w.common && !w.parked {
		return trace.LockShared // by the word alone, whatever it is to the program
	}
	return kind
}

// asleepFor is waitsFor of a thread that was found asleep, with no record of when that began.
func (p *process) asleepFor(t *thread, w *lockWait, k known, ts cpython.ThreadState) trace.LockKind {
	stopped, class := p.py.ParkedOn(ts, w.address)
	if now, ok := p.sleeper(t.tid); !ok || now.address != w.address {
		stopped, class = false, 0 // what was read may be of another moment
	}
	r := probes.Record{Rec: &probes.Rec{Sp: class}}
	if stopped {
		r.Op = probes.LockStopped
	}
	return p.waitsFor(t, w, k, r)
}
