package analyze

import (
	"cmp"
	"fmt"
	"slices"

	"gilscope/internal/trace"
)

func (l *lockReader) wait(begin, end *trace.Event) {
	key := l.keyOf(begin)
	s := l.rows[key]
	if s == nil {
		s = newLockSum(key, begin)
		l.rows[key] = s
	}
	if s.first == nil || begin.Time < s.first.Time {
		s.first, s.had = begin, partyKey{}
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
	who := partyKey{begin.PID, begin.TID, l.site(begin.Stack)}
	if s.waiters[who] == nil {
		s.waiters[who] = &LockWaiter{PID: who.pid, Party: l.tl.lockParty(who)}
	}
	s.waiters[who].WaitNS += ns
	s.waiters[who].Waits++
	l.blame(s, begin, end)
}

func newLockSum(key lockKey, first *trace.Event) *lockSum {
	s := &lockSum{key: key, waiters: map[partyKey]*LockWaiter{}, holders: map[partyKey]int64{},
		LockRow: LockRow{PID: first.PID, Kind: key.kind.String(), Held: key.kind.Own()}}
	if key.address != 0 || key.shared != 0 {
		s.Address = known(fmt.Sprintf("%#x", uint64(first.Arg)))
	}
	if key.shared != 0 {
		s.Shared = &key.shared
	}
	return s
}

// giveBack sorts who gave locks back by lock: which one it was, the wait says that was for it.
func (l *lockReader) giveBack() {
	for _, r := range l.released {
		wait, e := r[0], r[1]
		key := lockKey{pid: e.PID, address: e.Arg}
		if wait != nil {
			key = l.lockOf(wait)
		}
		by := partyKey{e.PID, e.TID, l.site(e.Stack)}
		if e.TID == e.Other {
			by = partyKey{tid: unknownParty} // who is not recorded
		}
		l.releases[key] = append(l.releases[key], release{e.Time, by, e.Other})
	}
}

// unknownParty stands for a holder that is not known.
const unknownParty = int32(-1)

// blame cuts a wait by the releases of the lock.
func (l *lockReader) blame(s *lockSum, begin, end *trace.Event) {
	all := l.releases[l.lockOf(begin)]
	i, _ := slices.BinarySearchFunc(all, begin.Time+1, func(r release, t trace.Time) int { return cmp.Compare(r.at, t) })
	from, handed := begin.Time, false
	for ; i < len(all) && all[i].at <= end.Time; i++ {
		if !s.Held {
			if all[i].woken == begin.TID {
				s.holders[all[i].by] += int64(end.Time - begin.Time)
			}
			continue
		}
		if begin == s.first && from == begin.Time {
			s.had = all[i].by
		}
		s.holders[all[i].by] += int64(all[i].at - from)
		s.HolderGILWaitNS += l.gilWait(all[i].by.pid, all[i].by.tid, from, all[i].at)
		from, handed = all[i].at, all[i].woken == begin.TID
	}
	if !s.Held || from >= end.Time {
		return
	}
	rest := partyKey{tid: unknownParty}
	if handed {
		rest.tid = Nobody
	} else if tid, ok := l.stuck[stuckKey{threadKey(begin.PID, begin.TID), begin.Time}]; ok && trace.WaitOutcome(end.Arg) != trace.WaitTaken {
		rest.pid, rest.tid = begin.PID, tid
		if begin == s.first && from == begin.Time {
			s.had = rest
		}
	}
	s.holders[rest] += int64(end.Time - from)
}

// lockParty names a thread at a place.
func (tl *Timeline) lockParty(k partyKey) Party {
	switch k.tid {
	case unknownParty:
		return Party{Name: "unknown"}
	case Nobody:
		return Party{TID: new(int32), Name: "handing over"}
	}
	return Party{TID: &k.tid, Name: tl.threadName(k.pid, k.tid), Site: k.site.siteRow()}
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
	s.First = s.firstWait(tl)
	s.Waiters = []LockWaiter{}
	for _, w := range s.waiters {
		s.Waiters = append(s.Waiters, *w)
	}
	slices.SortFunc(s.Waiters, func(x, y LockWaiter) int {
		return cmp.Or(cmp.Compare(y.WaitNS, x.WaitNS), cmp.Compare(*x.TID, *y.TID), cmp.Compare(textOf(x.Site), textOf(y.Site)))
	})
	list := []LockHolder{}
	for k, ns := range s.holders {
		h := LockHolder{Party: tl.lockParty(k), NS: ns}
		if k.tid > Nobody {
			h.PID = &k.pid
		}
		list = append(list, h)
	}
	slices.SortFunc(list, func(x, y LockHolder) int {
		return cmp.Or(cmp.Compare(y.NS, x.NS), cmp.Compare(x.Name, y.Name), cmp.Compare(textOf(x.Site), textOf(y.Site)), cmp.Compare(x.tid(), y.tid()))
	})
	s.PIDs = s.processes(list)
	if s.Holders, s.Wakers = list, []LockHolder{}; !s.Held {
		s.Holders, s.Wakers = s.Wakers, s.Holders
	}
}

func (s *lockSum) firstWait(tl *Timeline) LockFirst {
	e := s.first
	f := LockFirst{AfterNS: int64(e.Time - tl.Start), PID: e.PID,
		Waiter: tl.lockParty(partyKey{e.PID, e.TID, tl.userSite(e.Stack)})}
	if s.had.tid > Nobody {
		holder := tl.lockParty(s.had)
		f.HolderPID, f.Holder = &s.had.pid, &holder
	}
	return f
}

// processes are those of the waiters and of who gave the lock back.
func (s *lockSum) processes(holders []LockHolder) []int32 {
	pids := []int32{s.PID}
	for _, w := range s.Waiters {
		pids = append(pids, w.PID)
	}
	for _, h := range holders {
		if h.PID != nil {
			pids = append(pids, *h.PID)
		}
	}
	slices.Sort(pids)
	return slices.Compact(pids)
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
