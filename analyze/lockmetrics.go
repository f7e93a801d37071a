package analyze

import "fmt"

// deadlocksMetric is the metric that every check holds, asked for or not.
const deadlocksMetric = "deadlocks"

// NoDeadlock is the budget that every recording has to keep.
var NoDeadlock = Budget{Metric: deadlocksMetric, Op: "<=", Limit: 0}

// lockMetrics are about locks that threads hold; that one waits for others to do
// something, as for a Condition, is no loss.
var lockMetrics = []Metric{
	{"lock.wait.p99", "99th percentile of the waits for locks other than the GIL", Duration, lockP99},
	{"lock.wait.max", "longest wait for such a lock", Duration, func(r *Report) reading {
		return eachLock(r, func(l *LockRow, v float64) float64 { return max(v, float64(l.WaitMaxNS)) })
	}},
	{"lock.wait.total", "sum of all waits for such locks", Duration, func(r *Report) reading {
		return eachLock(r, func(l *LockRow, v float64) float64 { return v + float64(l.WaitNS) })
	}},
	{deadlocksMetric, "deadlocks", Count, func(r *Report) reading { return reading{value: float64(len(r.Deadlocks))} }},
}

func eachLock(r *Report, fold func(*LockRow, float64) float64) (got reading) {
	for i := range r.Locks {
		if r.Locks[i].Held {
			got.value = fold(&r.Locks[i], got.value)
		}
	}
	return got
}

// lockP99 is the highest of the locks that have enough waits for one.
func lockP99(r *Report) (got reading) {
	var waits int64
	enough := false
	for i := range r.Locks {
		l := &r.Locks[i]
		if !l.Held {
			continue
		}
		waits += l.Waits
		if l.Waits >= minSamples {
			enough, got.value = true, max(got.value, float64(*l.WaitP99NS))
		}
	}
	if waits > 0 && !enough {
		got.why = fmt.Sprintf("a percentile needs %d waits for one lock, there are %d for all; record longer", minSamples, waits)
	}
	return got
}
