package cpython

import (
	"fmt"
	"strings"
)

// ProcessPool is a concurrent.futures.ProcessPoolExecutor as the thread that manages it
// has it (Lib/concurrent/futures/process.py).
type ProcessPool struct {
	Addr    uint64 // the object
	Pending uint64 // the dict of its jobs that are not done, those that worker processes have included
	Max     int    // max_workers
}

// processPool is the name of the class; pendingItems of the attribute with the jobs.
const (
	processPool  = "ProcessPoolExecutor"
	pendingItems = "_pending_work_items"
)

// ProcessPools finds the process pools that have had a job. The thread that manages one is an object with a
// weak reference to it; up to 3.8 that is the first argument of the thread's function. What is not as expected is
// left out: the objects change while they are read.
func (p *Process) ProcessPools() ([]ProcessPool, error) {
	interps, err := p.Interpreters()
	if err != nil {
		return nil, err
	}
	var pools []ProcessPool
	places := attributePlaces{}
	for _, i := range interps {
		active, err := p.activeThreads(i.Addr)
		if err != nil {
			return nil, err // it begins or ends, or changes its threads just now
		}
		for _, e := range active {
			ref := p.attribute(e.value, "executor_reference", places)
			if ref == 0 {
				if args, err := p.readTuple(p.attribute(e.value, "_args", places)); err == nil && len(args) > 0 {
					ref = args[0]
				}
			}
			if ref == 0 || !strings.HasPrefix(p.typeName(ref), "weakref") {
				continue
			}
			if pool, ok := p.processPool(ref, places); ok {
				pools = append(pools, pool)
			}
		}
	}
	return pools, p.Alive()
}

// processPool reads the pool that a weak reference leads to.
func (p *Process) processPool(ref uint64, places attributePlaces) (pool ProcessPool, ok bool) {
	at, err := p.word(ref + p.header()) // wr_object
	if err != nil || p.typeName(at) != processPool {
		return pool, false
	}
	pool = ProcessPool{Addr: at, Pending: p.attribute(at, pendingItems, places)}
	most := p.attribute(at, "_max_workers", places)
	if pool.Pending == 0 || p.typeName(pool.Pending) != "dict" || p.typeName(most) != "int" {
		return pool, false
	}
	n, ok := p.readInt(most)
	pool.Max = int(min(n, maxWorkers))
	return pool, ok && n > 0 && n <= maxWorkers
}

// WaitingJobs reads how many jobs of a pool wait for a worker process, and which are the first ones, at most limit.
// Jobs begin in the order in which they came, and are in the dict until their results have come back: so all wait but the
// first ones, as many as there are workers. An error: the pool is gone, or changed just then.
func (p *Process) WaitingJobs(pool ProcessPool, limit int) (n int, first []uint64, err error) {
	if p.typeName(pool.Addr) != processPool || p.attribute(pool.Addr, pendingItems, attributePlaces{}) != pool.Pending {
		return 0, nil, fmt.Errorf("process pool at %#x: it is gone: %w", pool.Addr, ErrMalformed)
	}
	used, err := p.word(pool.Pending + p.header()) // ma_used
	if err != nil {
		return 0, nil, err
	}
	if used <= uint64(pool.Max) {
		return 0, nil, nil
	}
	jobs, err := p.readDict(pool.Pending)
	if err != nil {
		return 0, nil, err
	}
	if uint64(len(jobs)) != used {
		return 0, nil, torn(pool.Pending)
	}
	jobs = jobs[pool.Max:]
	for i := range min(len(jobs), limit) {
		first = append(first, jobs[i].value)
	}
	return len(jobs), first, nil
}
