package analyze

import (
	"cmp"
	"fmt"
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
	Address         *string      `json:"address"` // null: each wait has a lock of its own
	Kind            string       `json:"kind"`    // unknown: neither the program's frames nor the object told
	Held            bool         `json:"held"`    // it is one that a thread holds; otherwise waiting may mean that there is nothing to do
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

// LockWaiter is one thread on one line.
type LockWaiter struct {
	Party
	WaitNS int64 `json:"wait_ns"`
	Waits  int64 `json:"waits"`
}

// LockHolder is a thread, and the line on which it gave the lock back. tid 0:
// handing over; tid null: not known.
type LockHolder struct {
	Party
	NS int64 `json:"ns"`
}

// lockKey is what a row is about.
type lockKey struct {
	pid     int32
	address int64 // 0: waits on one line
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
}

type span struct{ from, to trace.Time }

type partyKey struct {
	tid  int32
	site Site
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
	open     map[uint64]*trace.Event // waits by thread
	waits    [][2]*trace.Event
	releases map[lockKey][]release
	stuck    map[stuckKey]int32 // who holds for ever what a thread waits for
	kinds    map[lockKey]trace.LockKind
	rows     map[lockKey]*lockSum
	sites    map[trace.StackID]Site
	gilWaits [][]waiting // by thread
}

func runLocks(tl *Timeline, r *Report) {
	l := lockReader{tl: tl, open: map[uint64]*trace.Event{}, releases: map[lockKey][]release{}, stuck: map[stuckKey]int32{},
		kinds: map[lockKey]trace.LockKind{}, rows: map[lockKey]*lockSum{}, sites: map[trace.StackID]Site{}, gilWaits: tl.gilWaits()}
	for i := range tl.Trace.Events {
		l.event(&tl.Trace.Events[i])
	}
	for _, w := range l.waits {
		l.wait(w[0], w[1])
	}
	rows := make([]*lockSum, 0, len(l.rows))
	for _, s := range l.rows {
		s.finish(tl)
		rows = append(rows, s)
	}
	slices.SortFunc(rows, func(x, y *lockSum) int {
		return cmp.Or(cmp.Compare(y.WaitNS, x.WaitNS), cmp.Compare(x.PID, y.PID), cmp.Compare(x.key.address, y.key.address),
			cmp.Compare(x.key.site.siteLabel(), y.key.site.siteLabel()), cmp.Compare(x.key.kind, y.key.kind))
	})
	for _, s := range rows {
		r.Locks = append(r.Locks, s.LockRow)
		for _, w := range s.Waiters {
			r.lockWaited(s.PID, *w.TID, w.WaitNS)
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
		l.open[threadKey(e.PID, e.TID)] = e
		l.learn(e)
	case trace.LockWaitEnd:
		if begin := l.open[threadKey(e.PID, e.TID)]; begin != nil && e.Time > begin.Time {
			l.waits = append(l.waits, [2]*trace.Event{begin, e})
		}
		delete(l.open, threadKey(e.PID, e.TID))
	case trace.LockRelease:
		key := lockKey{pid: e.PID, address: e.Arg}
		l.releases[key] = append(l.releases[key], release{e.Time, partyKey{e.TID, l.site(e.Stack)}, e.Other})
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
	key := lockKey{pid: e.PID, address: e.Arg}
	switch was := l.kinds[key]; {
	case e.Lock == trace.LockUnknown || !e.Lock.Own():
	case was == trace.LockUnknown:
		l.kinds[key] = e.Lock
	case was != e.Lock:
		l.kinds[key] = severalKinds
	}
}

// keyOf is the row that a wait belongs to.
func (l *lockReader) keyOf(e *trace.Event) lockKey {
	key := lockKey{pid: e.PID, address: e.Arg}
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

func (l *lockReader) wait(begin, end *trace.Event) {
	key := l.keyOf(begin)
	s := l.rows[key]
	if s == nil {
		s = &lockSum{key: key, waiters: map[partyKey]*LockWaiter{}, holders: map[partyKey]int64{},
			LockRow: LockRow{PID: key.pid, Kind: key.kind.String(), Held: key.kind.Own()}}
		if key.address != 0 {
			s.Address = known(fmt.Sprintf("%#x", uint64(key.address)))
		}
		l.rows[key] = s
	}
	ns := int64(end.Time - begin.Time)
	s.Waits++
	s.WaitNS += ns
	s.ns, s.spans = append(s.ns, ns), append(s.spans, span{begin.Time, end.Time})
	switch trace.WaitOutcome(end.Arg) {
	case trace.WaitTimeout:
		s.TimedOut++
	case trace.WaitUnknown:
		s.Open++
		s.OpenNS += ns
	}
	who := partyKey{begin.TID, l.site(begin.Stack)}
	if s.waiters[who] == nil {
		s.waiters[who] = &LockWaiter{Party: l.party(key.pid, who)}
	}
	s.waiters[who].WaitNS += ns
	s.waiters[who].Waits++
	l.blame(s, begin, end)
}

// unknownParty stands for a holder that is not known.
const unknownParty = int32(-1)

// blame cuts a wait by the releases of the lock.
func (l *lockReader) blame(s *lockSum, begin, end *trace.Event) {
	all := l.releases[lockKey{pid: begin.PID, address: begin.Arg}]
	i, _ := slices.BinarySearchFunc(all, begin.Time+1, func(r release, t trace.Time) int { return cmp.Compare(r.at, t) })
	from, handed := begin.Time, false
	for ; i < len(all) && all[i].at <= end.Time; i++ {
		if !s.Held {
			if all[i].woken == begin.TID {
				s.holders[all[i].by] += int64(end.Time - begin.Time)
			}
			continue
		}
		s.holders[all[i].by] += int64(all[i].at - from)
		s.HolderGILWaitNS += l.gilWait(begin.PID, all[i].by.tid, from, all[i].at)
		from, handed = all[i].at, all[i].woken == begin.TID
	}
	if !s.Held || from >= end.Time {
		return
	}
	rest := partyKey{tid: unknownParty}
	if handed {
		rest.tid = Nobody
	} else if tid, ok := l.stuck[stuckKey{threadKey(begin.PID, begin.TID), begin.Time}]; ok && trace.WaitOutcome(end.Arg) != trace.WaitTaken {
		rest.tid = tid
	}
	s.holders[rest] += int64(end.Time - from)
}

// party names a thread at a place.
func (l *lockReader) party(pid int32, k partyKey) Party {
	switch k.tid {
	case unknownParty:
		return Party{Name: "unknown"}
	case Nobody:
		return Party{TID: new(int32), Name: "handing over"}
	}
	return Party{TID: &k.tid, Name: l.tl.threadName(pid, k.tid), Site: k.site.siteRow()}
}

func (s *lockSum) finish(tl *Timeline) {
	_, s.WaitP99NS, _ = spread(s.ns)
	s.WaitMaxNS = s.ns[len(s.ns)-1]
	slices.SortFunc(s.spans, func(x, y span) int { return cmp.Compare(x.from, y.from) })
	var upTo trace.Time
	for _, w := range s.spans {
		if w.to > upTo {
			s.BusyNS += int64(w.to - max(w.from, upTo))
			upTo = w.to
		}
	}
	s.Waiters = []LockWaiter{}
	for _, w := range s.waiters {
		s.Waiters = append(s.Waiters, *w)
	}
	slices.SortFunc(s.Waiters, func(x, y LockWaiter) int {
		return cmp.Or(cmp.Compare(y.WaitNS, x.WaitNS), cmp.Compare(*x.TID, *y.TID), cmp.Compare(textOf(x.Site), textOf(y.Site)))
	})
	l := lockReader{tl: tl}
	list := []LockHolder{}
	for k, ns := range s.holders {
		list = append(list, LockHolder{l.party(s.PID, k), ns})
	}
	slices.SortFunc(list, func(x, y LockHolder) int {
		return cmp.Or(cmp.Compare(y.NS, x.NS), cmp.Compare(x.Name, y.Name), cmp.Compare(textOf(x.Site), textOf(y.Site)), cmp.Compare(x.tid(), y.tid()))
	})
	if s.Holders, s.Wakers = list, []LockHolder{}; !s.Held {
		s.Holders, s.Wakers = s.Wakers, s.Holders
	}
}

// tid is the number of a thread, unknownParty for none.
func (p *Party) tid() int32 {
	if p.TID == nil {
		return unknownParty
	}
	return *p.TID
}

func textOf(s *SiteRow) string {
	if s == nil {
		return ""
	}
	return siteText(s)
}
