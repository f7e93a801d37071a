package collector

import (
	"fmt"

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

// looksAtThread is how often the stack of a thread is read from outside, to see whether it is
// a worker: one that never sleeps for want of a job or the GIL does not show it.
const looksAtThread = 3

// findWorkers looks for workers among the threads that are new.
func (s *session) findWorkers(p *process) {
	fresh := false
	for _, t := range p.threads {
		fresh = fresh || t.looks < looksAtThread && t.worker == nil
	}
	if !fresh || p.py == nil || p.stacks == nil {
		return
	}
	states, err := p.py.ThreadStates()
	if err != nil {
		return
	}
	for _, ts := range states {
		t := p.threads[ts.TID]
		if t == nil || t.worker != nil || t.loop != nil || t.looks >= looksAtThread {
			continue
		}
		t.looks++
		s.mayBeWorker(p, t, ts)
	}
}

// mayBeWorker looks at the stack of a thread.
func (s *session) mayBeWorker(p *process, t *thread, ts cpython.ThreadState) {
	at := now()
	var all role
	var roles []role
	for _, code := range p.py.StackOf(ts) {
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
