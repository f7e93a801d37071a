package livetest

import (
	"fmt"
	"strings"
	"testing"

	"gilscope/internal/testpy"
)

// backNS is how long the result of a job may take until the pool has it: until then the job after it is
// taken for one that waits.
const backNS = 10_000_000

// TestQueueOfProcesses: how many jobs wait for worker processes, and for how long.
func TestQueueOfProcesses(t *testing.T) {
	for name, method := range map[string]string{"pyenv-3.8": "fork", "pyenv-3.12": "spawn", "debian-3.15": "forkserver"} {
		for _, in := range testpy.Some(t, name) {
			t.Run(in.Name, steady(func(t testing.TB) {
				p := startPools(t, in, "processqueue "+method)
				args := []string{"-d", "2500ms"}
				for _, pid := range strings.Fields(p.Line(t)) {
					args = append(args, "-p", pid)
				}
				r := endPools(t, p, startRecord(t, args...))
				r.checkBusy(t, &r.pools[0])
				r.checkProcessQueue(t, &r.pools[0])
				if !r.finds("executor.saturated", "ProcessPoolExecutor") {
					t.Errorf("no finding says that the pool is saturated: %+v", r.report.Findings)
				}
			}))
		}
	}
}

// checkProcessQueue holds the looks at the jobs of a pool to when they waited.
func (r *poolRecording) checkProcessQueue(t testing.TB, pool *poolTruth) {
	t.Helper()
	x := r.row(t, pool)
	w := r.watched(t, x)
	if x.QueueMax == nil || x.DelayMaxNS == nil || value64(x.MaxWorkers) != 2 {
		t.Fatalf("the pool was not looked into: %+v", x)
	}
	if *x.QueueMax != 6 {
		t.Errorf("%d jobs waited at most, want 6", *x.QueueMax)
	}
	var longest, whole int64
	for _, j := range pool.Jobs {
		if j[0] > w[0] && j[2] < w[1] {
			longest = max(longest, j[2]-j[0])
		}
		if j[0] > w[0]+poolSeekNS && j[3] < w[1]-seldomNS {
			whole = max(whole, j[2]-j[1])
		}
	}
	text := fmt.Sprintf("a job waited for at least %.3f ms, at most %.3f; the program says %.3f", ms(*x.DelayMaxNS), ms(value64(x.DelayAtMostNS)), ms(longest))
	if *x.DelayMaxNS > longest+backNS || *x.DelayMaxNS < whole-seldomNS-leastLooks*lookNS || x.DelayAtMostNS != nil && *x.DelayAtMostNS < whole-1e6 {
		t.Error(text)
	}
	t.Log(text)
}

// poolSeekNS is until a pool is known.
const poolSeekNS = 300_000_000
