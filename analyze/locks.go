package analyze

import (
	"cmp"
	"slices"

	"gilscope/internal/trace"
)

var locksAnalyzer = Analyzer{
	Name: "locks",
	Doc: "Waits for locks other than the GIL, by lock: those that slept. A wait is cut where somebody gave the lock back, and each piece is charged " +
		"to who did so at its end: the holder, as far as the recording can tell. What lasted from there until the waiter ran is handing over; the rest is not known. " +
		"A Condition, Event, Barrier, Semaphore, queue or join makes a lock for each wait: these are put together by line, and nobody holds them.",
	Run: runLocks,
}

// LockRow is one lock, or one line that waits for other threads to do something.
type LockRow struct {
	PID             int32        `json:"pid"`
	PIDs            []int32      `json:"pids"`        // processes whose threads waited for it or gave it back: one, or those that share it
	Address         *string      `json:"address"`     // in the memory of pid; null: each wait has a lock of its own
	Shared          *int32       `json:"shared_lock"` // number of a lock in memory that processes share, the same for all; null: it is none, or which one is not known
	First           LockFirst    `json:"first"`
	Kind            string       `json:"kind"` // unknown: neither the program's frames nor the object told
	Held            bool         `json:"held"` // it is one that a thread holds; otherwise waiting may mean that there is nothing to do
	Waits           int64        `json:"waits"`
	WaitNS          int64        `json:"wait_ns"`
	WaitP99NS       *int64       `json:"wait_p99_ns"`
	WaitMaxNS       int64        `json:"wait_max_ns"`
	TimedOut        int64        `json:"timed_out"` // of waits, those whose time limit came first
	Open            int64        `json:"open"`      // of waits, those whose end was not seen: they went on, or events were lost
	OpenNS          int64        `json:"open_ns"`
	BusyNS          int64        `json:"contended_ns"`       // time in which at least one thread waited
	HolderGILWaitNS int64        `json:"holder_gil_wait_ns"` // of wait_ns, the time in which the holder waited for the GIL itself
	Waiters         []LockWaiter `json:"waiters"`            // sum to wait_ns
	Holders         []LockHolder `json:"holders"`            // the same, if held; else empty
	Wakers          []LockHolder `json:"wakers"`             // if not held: who woke waiters; ns is how long these had waited
}

// LockFirst is the first wait for a lock that was seen: the nearest thing to where it comes from, for
// nothing is seen of its making, nor of who takes it without a wait.
type LockFirst struct {
	AfterNS   int64  `json:"after_ns"` // from the begin of the recording on
	PID       int32  `json:"pid"`
	Waiter    Party  `json:"waiter"`
	HolderPID *int32 `json:"holder_pid"`
	Holder    *Party `json:"holder"` // who had it then, and the line on which it gave it back, not took it; null: not known
}

// LockWaiter is one thread on one line.
type LockWaiter struct {
	PID int32 `json:"pid"`
	Party
	WaitNS int64 `json:"wait_ns"`
	Waits  int64 `json:"waits"`
}

// LockHolder is a thread, and the line on which it gave the lock back. tid 0:
// handing over; tid null: not known.
type LockHolder struct {
	PID *int32 `json:"pid"` // null: no thread, or not known
	Party
	NS int64 `json:"ns"`
}

// lockKey is what a row is about.
type lockKey struct {
	pid     int32
	address int64 // 0: waits on one line, or shared
	shared  int32 // of a lock that processes share: its number, and pid is 0
	site    Site
	kind    trace.LockKind
}

// lockSum is a row in the making.
type lockSum struct {
	LockRow
	key     lockKey
	ns      []int64
	spans   []span
	waiters map[partyKey]*LockWaiter
	holders map[partyKey]int64
	first   *trace.Event // the wait that began first, and who had the lock then; tid 0: not known
	had     partyKey
}

type span struct{ from, to trace.Time }

// partyKey is a thread on a line; tids are those of the host, so no two processes have one at a time.
type partyKey struct {
	pid, tid int32
	site     Site
}

// stuckKey is a wait.
type stuckKey struct {
	thread uint64
	begin  trace.Time
}

// release is somebody who gave a lock back.
type release struct {
	at    trace.Time
	by    partyKey
	woken int32
}

// lockReader puts waits and releases together.
type lockReader struct {
	tl       *Timeline
	open     map[uint64]*trace.Event // waits by thread,
	sleeps   map[int32]*trace.Event  // and by its number alone
	waits    [][2]*trace.Event
	released [][2]*trace.Event // waits, and who gave back what they were for
	releases map[lockKey][]release
	stuck    map[stuckKey]int32 // who holds for ever what a thread waits for
	kinds    map[lockKey]trace.LockKind
	shared   map[lockKey]int32 // by process and address: the lock that was seen there first
	rows     map[lockKey]*lockSum
	sites    map[trace.StackID]Site
	gilWaits [][]waiting // by thread
}

func runLocks(tl *Timeline, r *Report) {
	l := lockReader{tl: tl, open: map[uint64]*trace.Event{}, sleeps: map[int32]*trace.Event{}, shared: map[lockKey]int32{}, releases: map[lockKey][]release{}, stuck: map[stuckKey]int32{},
		kinds: map[lockKey]trace.LockKind{}, rows: map[lockKey]*lockSum{}, sites: map[trace.StackID]Site{}, gilWaits: tl.gilWaits()}
	for i := range tl.Trace.Events {
		l.event(&tl.Trace.Events[i])
	}
	for _, w := range l.waits {
		l.learn(w[0])
	}
	l.giveBack()
	for _, w := range l.waits {
		l.wait(w[0], w[1])
	}
	rows := make([]*lockSum, 0, len(l.rows))
	for _, s := range l.rows {
		s.finish(tl)
		rows = append(rows, s)
	}
	slices.SortFunc(rows, func(x, y *lockSum) int {
		return cmp.Or(cmp.Compare(y.WaitNS, x.WaitNS), cmp.Compare(x.PID, y.PID), cmp.Compare(x.key.address, y.key.address), cmp.Compare(x.key.shared, y.key.shared),
			cmp.Compare(x.key.site.siteLabel(), y.key.site.siteLabel()), cmp.Compare(x.key.kind, y.key.kind))
	})
	for _, s := range rows {
		r.Locks = append(r.Locks, s.LockRow)
		for _, w := range s.Waiters {
			r.lockWaited(w.PID, *w.TID, w.WaitNS)
		}
	}
	if len(rows) == 0 {
		r.Skipped = append(r.Skipped, Skipped{"locks", "no thread slept for a lock other than the GIL"})
	}
}

// lockWaited adds to the row of a thread. Without a wait it is null, not 0: what does
// not sleep is not seen. So it is where two threads had the number one after the other.
func (r *Report) lockWaited(pid, tid int32, ns int64) {
	i := slices.IndexFunc(r.Threads, func(t ThreadRow) bool { return t.PID == pid && t.TID == tid })
	if i < 0 || i+1 < len(r.Threads) && r.Threads[i+1].PID == pid && r.Threads[i+1].TID == tid { // rows are in this order
		return
	}
	if r.Threads[i].LockWaitNS == nil {
		r.Threads[i].LockWaitNS = new(int64)
	}
	*r.Threads[i].LockWaitNS += ns
}

func (l *lockReader) event(e *trace.Event) {
	switch e.Kind {
	case trace.LockWaitBegin:
		l.open[threadKey(e.PID, e.TID)], l.sleeps[e.TID] = e, e
		if key := (lockKey{pid: e.PID, address: e.Arg}); e.Other != 0 && l.shared[key] == 0 {
			l.shared[key] = e.Other
		}
	case trace.LockWaitEnd:
		if begin := l.open[threadKey(e.PID, e.TID)]; begin != nil && e.Time > begin.Time {
			l.waits = append(l.waits, [2]*trace.Event{begin, e})
		}
		delete(l.open, threadKey(e.PID, e.TID))
		delete(l.sleeps, e.TID)
	case trace.LockRelease:
		l.released = append(l.released, [2]*trace.Event{l.sleeps[e.Other], e})
	case trace.Deadlock:
		if begin := l.open[threadKey(e.PID, e.TID)]; begin != nil && e.Other != 0 {
			l.stuck[stuckKey{threadKey(e.PID, e.TID), begin.Time}] = e.Other
		}
	}
}

// severalKinds marks an address that was one kind of lock, and then another.
const severalKinds = trace.LockKind(255)

// learn keeps what an address is: the kind is not known at each wait for it.
func (l *lockReader) learn(e *trace.Event) {
	key := l.lockOf(e)
	switch was := l.kinds[key]; {
	case e.Lock == trace.LockUnknown || !e.Lock.Own():
	case was == trace.LockUnknown:
		l.kinds[key] = e.Lock
	case was != e.Lock:
		l.kinds[key] = severalKinds
	}
}

// lockOf is the lock that a wait is for. Where one lies that processes share is not known at
// each wait for it: then it is the one that was seen at the address.
func (l *lockReader) lockOf(e *trace.Event) lockKey {
	key := lockKey{pid: e.PID, address: e.Arg}
	if n := cmp.Or(e.Other, l.shared[key]); n != 0 {
		return lockKey{shared: n}
	}
	return key
}

// keyOf is the row that a wait belongs to.
func (l *lockReader) keyOf(e *trace.Event) lockKey {
	key := l.lockOf(e)
	if !e.Lock.Own() {
		return lockKey{pid: e.PID, site: l.site(e.Stack), kind: e.Lock}
	}
	if k := l.kinds[key]; e.Lock == trace.LockUnknown && k != severalKinds {
		key.kind = k
	} else {
		key.kind = e.Lock
	}
	return key
}
