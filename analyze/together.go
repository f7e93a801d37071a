package analyze

import (
	"slices"

	"gilscope/internal/trace"
)

// Together is the time that threads of a process computed at once. What they share
// (reference counts, cache lines, memory) makes such time longer and leaves no wait. How
// much longer, one recording cannot tell: `gilscope scale` measures it.
type Together struct {
	OnCPUNS    int64 `json:"on_cpu_ns"`    // thread time on CPUs while another thread of the process ran, too
	LockWaitNS int64 `json:"lock_wait_ns"` // for which threads waited meanwhile, for locks that threads hold
	// on_cpu_ns by the innermost line of the program itself, by CPU samples; empty: there are none.
	Lines []LineTime `json:"lines"`
}

// runPart is a time in which two or more threads ran.
type runPart struct{ from, to trace.Time }

// together adds a time to those in which two or more threads ran.
func (s *sweep) together(from, to trace.Time) {
	if n := len(s.many); n > 0 && s.many[n-1].to == from {
		s.many[n-1].to = to
		return
	}
	s.many = append(s.many, runPart{from, to})
}

// togetherOf sums up what a process computed while two or more of its threads ran.
func (tl *Timeline) togetherOf(row *ScalingRow, many []runPart) *Together {
	t := Together{Lines: []LineTime{}}
	for _, l := range row.Levels {
		if l.Running >= 2 {
			t.OnCPUNS += l.Running * l.NS
			t.LockWaitNS += l.LockWaitNS
		}
	}
	during := func(e *trace.Event) bool {
		i, _ := slices.BinarySearchFunc(many, e.Time, func(p runPart, at trace.Time) int { return int(min(max(p.to-at, -1), 1)) })
		return e.PID == row.PID && i < len(many) && many[i].from <= e.Time
	}
	t.Lines = tl.cpuLines(t.OnCPUNS, during)
	return &t
}

// CPULines is the time that all threads of a report were on a CPU, by the innermost line of
// the program itself, as CPU samples divide it. Time at no known line is in none.
func (tl *Timeline) CPULines(r *Report) []LineTime {
	var ns int64
	for i := range r.Threads {
		if r.Threads[i].OnCPUNS != nil {
			ns += *r.Threads[i].OnCPUNS
		}
	}
	return tl.cpuLines(ns, func(*trace.Event) bool { return true })
}

// cpuLines divides a time by those CPU samples that count.
func (tl *Timeline) cpuLines(ns int64, counts func(*trace.Event) bool) []LineTime {
	sums, all := programSums{tl: tl}, int64(0)
	for i := range tl.Trace.Events {
		if e := &tl.Trace.Events[i]; e.Kind == trace.CPUSample && counts(e) {
			sums.add(e.Stack, 1)
			all++
		}
	}
	list := sums.lines()
	for i := range list {
		list[i].NS = int64(float64(list[i].NS) / float64(all) * float64(ns))
	}
	return list
}

// Grown is by how much each line takes longer than in an earlier list, the most first. Lines that do not are left out.
func Grown(before, after []LineTime) []LineTime {
	was := map[Site]int64{}
	for _, l := range before {
		was[plainSite(l.Site)] += l.NS
	}
	list := []LineTime{}
	for _, l := range after {
		if more := l.NS - was[plainSite(l.Site)]; more > 0 {
			list = append(list, LineTime{l.Site, more})
		}
	}
	slices.SortStableFunc(list, func(x, y LineTime) int { return int(min(max(y.NS-x.NS, -1), 1)) })
	return list
}
