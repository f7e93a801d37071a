package collector

import (
	"bytes"
	"fmt"
	"os"

	"gilscope/internal/cpython"
	"gilscope/internal/trace"
)

// In which order threads take locks can be seen where one waits for a lock and has
// others: the with statements that its stack is in say which. It is read while the thread
// sleeps. Two threads that do so in opposite order need not meet in a deadlock to be found.

// Limits of looking for what sleepers hold.
const (
	// A look takes up to some 0.3 ms: this bounds it to a hundredth of the time.
	ordersPerSecond = 40
	// Of one line that waits for one lock, looks in one term: it may hold others the next time.
	looksAtWait = 8
	// After this, what was told counts as new: a flight recorder keeps only the newest part.
	ordersTerm = trace.Time(5e9)
	maxOrders  = 1 << 12
)

// lockOrders is what of a process was looked at, and told, in the present term.
type lockOrders struct {
	since trace.Time
	all   perSecond
	looks map[orderedWait]int
	told  map[orderedPair]bool
}

// orderedWait is a line that waits for a lock.
type orderedWait struct {
	address uint64
	stack   trace.StackID
}

// orderedPair is a lock that such a line holds, by what thread.
type orderedPair struct {
	orderedWait
	held uint64
	tid  int32
}

// findLockOrders looks at threads that sleep for a lock at this moment.
func (s *session) findLockOrders() {
	for _, p := range s.d.procs {
		if p.exited || p.stub || p.py == nil || p.stacks == nil {
			continue
		}
		for _, t := range p.threads {
			if w := &t.lock; w.open && w.blocked && !w.common && mayBeHeld(w.kind) && p.orders.may(w) {
				s.d.lookAtHeld(p, t)
			}
		}
	}
}

// may says whether one more look may be taken, and counts it.
func (o *lockOrders) may(w *lockWait) bool {
	at := now()
	if o.told == nil || at-o.since > ordersTerm {
		*o = lockOrders{since: at, all: o.all, looks: map[orderedWait]int{}, told: map[orderedPair]bool{}}
	}
	key := orderedWait{w.address, w.stack}
	if o.looks[key] >= looksAtWait || len(o.looks) >= maxOrders || !o.all.may(at, ordersPerSecond) {
		return false
	}
	o.looks[key]++
	return true
}

// lookAtHeld tells which locks a thread has that sleeps for another one. What is read
// counts if the kernel says that it did not run meanwhile, and sleeps for that lock.
func (d *dispatcher) lookAtHeld(p *process, t *thread) {
	before := contextSwitches(p.pid, t.tid)
	at := now()
	if _, ok := p.sleepsOn(t); !ok || len(before) == 0 {
		return
	}
	ts, ok := p.state(t.tid, at)
	if !ok {
		return
	}
	held, ok := p.py.Held(ts)
	frames := p.py.Frames(ts)
	if !ok || len(held) == 0 || !bytes.Equal(before, contextSwitches(p.pid, t.tid)) {
		return
	}
	stack := p.stacks.lookup(stackOf(frames)).id
	for i := range held {
		if stack == 0 || held[i].Depth >= len(frames) {
			held[i].Depth = 0 // the frame is not in the stack
		}
	}
	if p.orders.news(t, stack, p.py, held) {
		d.tellHeld(p, t, at, stack, held)
	}
}

// news says whether one of the locks was not told of that thread and line yet. If so, all
// of them are told: which were held together, says whether one guards the others.
func (o *lockOrders) news(t *thread, stack trace.StackID, py *cpython.Process, held []cpython.Lock) (any bool) {
	for _, l := range held {
		pair := orderedPair{orderedWait{t.lock.address, stack}, l.WaitedAt(py), t.tid}
		if !o.told[pair] && len(o.told) < maxOrders {
			o.told[pair], any = true, true
		}
	}
	return any
}

// tellHeld tells the locks that a thread holds, each once. The one that it waits for is
// none of them: an RLock has it already, a Lock is a deadlock.
func (d *dispatcher) tellHeld(p *process, t *thread, at trace.Time, stack trace.StackID, held []cpython.Lock) {
	told := map[uint64]bool{t.lock.address: true}
	for _, l := range held {
		if address := l.WaitedAt(p.py); !told[address] {
			told[address] = true
			d.event(p, trace.Event{Time: at, Kind: trace.LockHeld, TID: t.tid, Other: int32(l.Depth), Arg: int64(address), Lock: kindOfType(l.Type), Stack: stack})
		}
	}
}

// contextSwitches are the lines in which the kernel says how often a thread left a
// CPU (proc_pid_status(5)); none if there are none.
func contextSwitches(pid, tid int32) []byte {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/status", pid, tid))
	i := bytes.Index(text, []byte("voluntary_ctxt_switches:"))
	if err != nil || i < 0 {
		return nil
	}
	return text[i:]
}
