package analyze

import (
	"cmp"
	"slices"

	"gilscope/internal/trace"
)

var threadsAnalyzer = Analyzer{
	Name: "threads",
	Doc: "What each thread did with its time: on a CPU, ready but without a CPU (runnable), blocked, and how much of that " +
		"it waited for the GIL. Holds and drops are known only where every take was recorded (detail full). Of threads that began while recorded also who made " +
		"each and on which line, and when it was first seen with the GIL or a Python stack; of those that ended, who was seen to wait for that.",
	Run: runThreads,
}

func runThreads(tl *Timeline, r *Report) {
	rows, lives := make([]ThreadRow, len(tl.Threads)), tl.threadLives()
	for i := range tl.Threads {
		th := &tl.Threads[i]
		rows[i] = ThreadRow{PID: th.PID, TID: th.TID, Name: th.Name}
		rows[i].life(tl, th, &lives[i])
		rows[i].states(th.States)
		if tl.Full(th.PID) {
			zero := [4]int64{}
			rows[i].GILHoldNS, rows[i].GILHolds = &zero[0], &zero[1]
			rows[i].ForcedDrops, rows[i].VoluntaryDrops = &zero[2], &zero[3]
		}
	}
	for g := range tl.GILs {
		for _, w := range tl.GILs[g].Waits {
			row := &rows[w.Thread]
			row.GILWaitNS += w.NS()
			row.GILWaits++
			row.GILWaitMaxNS = max(row.GILWaitMaxNS, w.NS())
		}
		for _, h := range tl.GILs[g].Holds {
			rows[h.Thread].hold(h)
		}
	}
	slices.SortStableFunc(rows, func(x, y ThreadRow) int {
		return cmp.Or(cmp.Compare(x.PID, y.PID), cmp.Compare(x.TID, y.TID))
	})
	r.Threads = append(r.Threads, rows...)
}

// states sums the scheduler's states; they stay nil if none was seen.
func (row *ThreadRow) states(spans []StateSpan) {
	if len(spans) == 0 {
		return
	}
	var ns [Blocked + 1]int64
	for _, s := range spans {
		ns[s.State] += int64(s.End - s.Start)
	}
	row.OnCPUNS, row.RunnableNS, row.BlockedNS = &ns[Running], &ns[Runnable], &ns[Blocked]
}

func (row *ThreadRow) hold(h Hold) {
	if row.GILHolds == nil {
		return
	}
	*row.GILHolds++
	*row.GILHoldNS += int64(h.End - h.Start)
	switch h.Reason {
	case trace.DropForced:
		*row.ForcedDrops++
	case trace.DropVoluntary:
		*row.VoluntaryDrops++
	}
}
