package collector

import (
	"fmt"
	"slices"
	"time"

	"gilscope/internal/cpython"
)

// workerWatch makes threads workers in the probes.
func (s *session) workerWatch() workerWatch {
	return workerWatch{func(tid int32, reads bool) bool {
		err := s.probes.WatchWorker(tid, reads)
		if err != nil && !s.workersFailed {
			s.prog.note(s.o.Words, fmt.Sprintf("warning: %v", err))
			s.workersFailed = true
		}
		return err == nil
	}}
}

// looksAtThread is how often the stack of a new thread is read from outside, to see whether it is
// a worker: one that never sleeps for want of a job or the GIL does not show it.
const looksAtThread = 5

// maxFresh bounds how many threads may wait for that. What is beyond is no pool but churn.
const maxFresh = 4096

// searchEvery is how often new threads are looked at. Where that takes long it is done more
// seldom, so that it takes no more than a twentieth of the time.
const searchEvery = 18 * time.Millisecond

// findWorkers looks for workers among the threads that are new.
func (s *session) findWorkers(p *process) {
	begun := time.Now()
	if len(p.fresh) == 0 || p.py == nil || p.stacks == nil || p.exited || begun.Before(p.search) {
		return
	}
	states, err := p.py.ThreadStates()
	if err != nil {
		return
	}
	known := make(map[int32]cpython.ThreadState, len(states))
	for _, ts := range states {
		known[ts.TID] = ts
	}
	seen := map[cpython.CodeKey]*cpython.Code{}
	p.fresh = slices.DeleteFunc(p.fresh, func(t *thread) bool {
		if t.worker == nil && t.loop == nil && t.ended == 0 {
			if ts, ok := known[t.tid]; ok {
				s.mayBeWorker(p, t, ts, seen)
			}
		}
		t.looks++
		return t.looks >= looksAtThread || t.worker != nil || t.loop != nil || t.ended != 0
	})
	p.search = time.Now().Add(max(searchEvery, 20*time.Since(begun)))
}

// mayBeWorker looks at the stack of a thread.
func (s *session) mayBeWorker(p *process, t *thread, ts cpython.ThreadState, seen map[cpython.CodeKey]*cpython.Code) {
	at := now()
	var all role
	var roles []role
	for _, code := range p.py.StackOf(ts, seen) {
		roles = append(roles, aboutFrame(code).role)
		all |= roles[len(roles)-1]
	}
	state := workerBusy
	if nr, _ := sleepingIn(p.pid, t.tid); nr >= 0 {
		state = sleeperState(len(roles), func(i int) role { return roles[i] }, all)
	}
	s.d.mayBeWorker(p, t, all, state, at)
}

// assignTries is how often the executor of a worker is looked for: its thread object may be
// changing just then.
const assignTries = 20

// assignWorkers finds the executors of new workers.
func (s *session) assignWorkers(p *process) {
	if len(p.unassigned) == 0 || p.py == nil || p.exited {
		return
	}
	states, err := p.py.ThreadStates()
	if err != nil {
		return
	}
	idents, wanted := map[int32]uint64{}, map[uint64]bool{}
	for _, ts := range states {
		idents[ts.TID] = ts.Ident
	}
	for _, t := range p.unassigned {
		wanted[idents[t.tid]] = true
	}
	found, err := p.py.Executors(wanted)
	if err != nil {
		return
	}
	left := p.unassigned[:0]
	for _, t := range p.unassigned {
		if t.worker == nil || t.worker.of != nil {
			continue // it has ended
		}
		is, ok := found[idents[t.tid]]
		if t.worker.tries++; !ok && t.worker.tries < assignTries {
			left = append(left, t)
			continue
		}
		s.d.assign(p, t, is, p)
	}
	p.unassigned = left
}
