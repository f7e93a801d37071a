package cpython

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"gilscope/internal/testpy"
)

// processPools makes a pool of two workers that have nine jobs; tells where the jobs are that have not begun, and,
// asked for it, gives the pool up.
const processPools = `
import multiprocessing, os, sys, time
from concurrent.futures import ProcessPoolExecutor
with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
    list(pool.map(abs, range(4)))
    for n in range(9): pool.submit(time.sleep, 1)
    jobs = list(pool._pending_work_items.values())
    print("ready")
    print(id(pool), *map(id, jobs[2:]), flush=True)
    sys.stdin.readline()
    for p in pool._processes.values(): p.kill()
print("gone", flush=True)
sys.stdin.read()
os._exit(0)
`

// TestProcessPools reads the jobs that wait for worker processes, and sees that a pool is gone.
func TestProcessPools(t *testing.T) {
	each(t, func(t *testing.T, i testpy.Interpreter) {
		child := testpy.Start(t, i, processPools)
		words := strings.Fields(child.Line(t))
		p := open(t, child.PID)
		if err := p.Refresh(); err != nil {
			t.Fatal(err)
		}
		pools, err := p.ProcessPools()
		if err != nil || len(pools) != 1 || pools[0].Max != 2 || fmt.Sprint(pools[0].Addr) != words[0] {
			t.Fatalf("pools %+v, error %v; want that at %s", pools, err, words[0])
		}
		n, first, err := p.WaitingJobs(pools[0], 3)
		var got []string
		for _, job := range first {
			got = append(got, fmt.Sprint(job))
		}
		if err != nil || n != 7 || !slices.Equal(got, words[1:4]) {
			t.Errorf("%d jobs wait, the first %v, error %v; want 7, %v", n, got, err, words[1:4])
		}
		child.Send(t, "")
		child.Line(t)
		if pools, err := p.ProcessPools(); err != nil || len(pools) != 0 {
			t.Errorf("pools %+v, error %v; want none", pools, err)
		}
	})
}
