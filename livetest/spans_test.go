package livetest

import (
	"slices"

	"gilscope/internal/trace"
	"gilscope/oracle"
)

// spans are sorted, disjoint stretches of time.
type spans []oracle.Interval

// normal sorts and merges.
func normal(all []oracle.Interval) spans {
	s := slices.Clone(all)
	slices.SortFunc(s, func(a, b oracle.Interval) int { return int(min(max(a[0]-b[0], -1), 1)) })
	var out spans
	for _, i := range s {
		if n := len(out); n > 0 && i[0] <= out[n-1][1] {
			out[n-1][1] = max(out[n-1][1], i[1])
			continue
		}
		out = append(out, i)
	}
	return out
}

// within returns the parts between from and to.
func (s spans) within(from, to int64) spans {
	var out spans
	for _, i := range s {
		if b, e := max(i[0], from), min(i[1], to); b < e {
			out = append(out, oracle.Interval{b, e})
		}
	}
	return out
}

func (s spans) total() (ns int64) {
	for _, i := range s {
		ns += i[1] - i[0]
	}
	return ns
}

// common returns the length of what two have in common.
func (s spans) common(t spans) (ns int64) {
	for i, j := 0, 0; i < len(s) && j < len(t); {
		if b, e := max(s[i][0], t[j][0]), min(s[i][1], t[j][1]); b < e {
			ns += e - b
		}
		if s[i][1] < t[j][1] {
			i++
		} else {
			j++
		}
	}
	return ns
}

// pairsOf returns the spans between a begin and an end event of a thread.
func pairsOf(tr *trace.Trace, tid int32, begin, end trace.Kind) spans {
	var out []oracle.Interval
	open := trace.Time(-1)
	for i := range tr.Events {
		e := &tr.Events[i]
		if e.TID != tid {
			continue
		}
		switch e.Kind {
		case begin:
			open = e.Time
		case end:
			if open >= 0 {
				out = append(out, oracle.Interval{int64(open), int64(e.Time)})
			}
			open = -1
		}
	}
	return normal(out)
}

// runnableOf returns when a thread wanted a CPU and had none.
func runnableOf(tr *trace.Trace, tid int32) spans {
	var out []oracle.Interval
	on := map[uint16]int32{}
	since := int64(-1)
	for i := range tr.Events {
		e := &tr.Events[i]
		switch {
		case e.Kind == trace.SchedSwitch:
			if on[e.CPU] == tid && e.TID != tid && (e.Arg == 0 || e.Arg == 0x100) {
				since = int64(e.Time)
			}
			if e.TID == tid && since >= 0 {
				out = append(out, oracle.Interval{since, int64(e.Time)})
				since = -1
			}
			on[e.CPU] = e.TID
		case e.Kind == trace.SchedWaking && e.TID == tid && since < 0:
			since = int64(e.Time)
		}
	}
	return normal(out)
}

// runningOf returns when a thread had a CPU.
func runningOf(tr *trace.Trace, tid int32) []oracle.Interval {
	var out []oracle.Interval
	since := map[uint16]int64{}
	for i := range tr.Events {
		e := &tr.Events[i]
		if e.Kind != trace.SchedSwitch {
			continue
		}
		if from, ok := since[e.CPU]; ok && e.TID != tid {
			out = append(out, oracle.Interval{from, int64(e.Time)})
			delete(since, e.CPU)
		}
		if e.TID == tid {
			since[e.CPU] = int64(e.Time)
		}
	}
	return out
}
