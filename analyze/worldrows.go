package analyze

import (
	"cmp"
	"slices"

	"gilscope/internal/trace"
)

// infer makes pauses of the waits in processes of which no probe told any: threads that wait
// at the same time, and are let go on by the same thread, were stopped by that.
func (w *worldReader) infer() {
	told := map[int32]bool{}
	for _, p := range w.pauses {
		told[p.pid] = true
	}
	last := map[int32]*pause{} // by process
	slices.SortStableFunc(w.waits, func(x, y stopWait) int { return cmp.Compare(x.begin, y.begin) })
	for i := range w.waits {
		s := &w.waits[i]
		if told[s.pid] || s.by == nil {
			continue
		}
		if p := last[s.pid]; p != nil && p.tid == s.by.TID && s.begin < p.end {
			p.end = max(p.end, s.by.Time)
			continue
		}
		p := &pause{pid: s.pid, tid: s.by.TID, begin: s.begin, end: s.by.Time, stack: s.by.Stack}
		last[s.pid] = p
		w.pauses = append(w.pauses, p)
	}
}

// worldKey is what a row is about.
type worldKey struct {
	pid, tid int32
	why      trace.WorldReason
	site     Site
}

// worldSum is a row in the making.
type worldSum struct {
	WorldRow
	ns      []int64
	threads map[int32]*WorldThread
}

type worldRows struct {
	tl   *Timeline
	rows map[worldKey]*worldSum
	of   map[*pause]*worldSum
}

func newWorldRows(tl *Timeline) worldRows {
	return worldRows{tl: tl, rows: map[worldKey]*worldSum{}, of: map[*pause]*worldSum{}}
}

func (w *worldRows) pause(p *pause) {
	key := worldKey{p.pid, p.tid, p.why, w.tl.userSite(p.stack)}
	s := w.rows[key]
	if s == nil {
		s = &worldSum{threads: map[int32]*WorldThread{}, WorldRow: WorldRow{PID: p.pid, Reason: p.why.String(),
			Requester: Party{TID: &p.tid, Name: w.tl.threadName(p.pid, p.tid), Site: key.site.siteRow()}}}
		w.rows[key] = s
	}
	w.of[p] = s
	ns := int64(p.end - p.begin)
	s.Pauses++
	s.PauseNS += ns
	s.ns = append(s.ns, ns)
	if p.open {
		s.Open++
	}
	if p.stopped != 0 {
		s.StopNS, s.StopMax = added(s.StopNS, s.StopMax, int64(p.stopped-p.begin))
	}
}

// added adds to a sum and a maximum that may not be known yet.
func added(sum, longest *int64, ns int64) (newSum, newLongest *int64) {
	if sum == nil {
		sum, longest = new(int64), new(int64)
	}
	*sum += ns
	*longest = max(*longest, ns)
	return sum, longest
}

func (w *worldRows) stopped(p *pause, wait *stopWait) {
	s := w.of[p]
	t := s.threads[wait.tid]
	if t == nil {
		t = &WorldThread{TID: wait.tid, Name: w.tl.threadName(wait.pid, wait.tid)}
		s.threads[wait.tid] = t
	}
	t.Stops++
	t.StoppedNS += int64(wait.end - wait.begin)
	if p.stopped != 0 && wait.begin <= p.stopped+stopsSoon {
		t.TookNS, t.TookMaxNS = added(t.TookNS, t.TookMaxNS, int64(min(wait.begin, p.stopped)-p.begin))
	}
}

func (w *worldRows) sorted() []WorldRow {
	list := []WorldRow{}
	for _, s := range w.rows {
		_, s.PauseP99, _ = spread(s.ns)
		s.PauseMax = s.ns[len(s.ns)-1]
		s.Threads = []WorldThread{}
		for _, t := range s.threads {
			s.Threads = append(s.Threads, *t)
		}
		slices.SortFunc(s.Threads, func(x, y WorldThread) int {
			return cmp.Or(cmp.Compare(y.StoppedNS, x.StoppedNS), cmp.Compare(x.TID, y.TID))
		})
		list = append(list, s.WorldRow)
	}
	slices.SortFunc(list, func(x, y WorldRow) int {
		return cmp.Or(cmp.Compare(y.PauseNS, x.PauseNS), cmp.Compare(x.PID, y.PID), cmp.Compare(*x.Requester.TID, *y.Requester.TID),
			cmp.Compare(x.Reason, y.Reason), cmp.Compare(textOf(x.Requester.Site), textOf(y.Requester.Site)))
	})
	return list
}
