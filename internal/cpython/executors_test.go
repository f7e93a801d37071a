package cpython

import (
	"fmt"
	"strings"
	"testing"

	"gilscope/internal/testpy"
)

// pool has three workers that wait for one event, and queues as many jobs as it is
// told; it does ten of them when it is told to go on.
const pool = `
import sys, threading, _queue
from concurrent.futures import ThreadPoolExecutor
gate = threading.Semaphore(0)
began = threading.Semaphore(0)
def job():
    began.release()
    gate.acquire()
pool = ThreadPoolExecutor(3, thread_name_prefix="resize")
for _ in range(3): pool.submit(job)
for _ in range(3): began.acquire()
print("ready")
idents = [t.ident for t in threading.enumerate() if t is not threading.current_thread()]
print(len(idents), *idents)
for line in sys.stdin:
    word, n = line.split()
    for _ in range(int(n)):
        if word == "put": pool.submit(job)
        elif word == "end": pool.shutdown(wait=False)
        else:
            gate.release()
            began.acquire()
    print(pool._work_queue.qsize())
for _ in range(100000): gate.release()
`

// TestExecutors: the executor of a worker thread is found, and what waits in its queue,
// whatever has passed through that.
func TestExecutors(t *testing.T) {
	eachBuild(t, func(t *testing.T, i testpy.Interpreter) {
		proc := testpy.Start(t, i, pool)
		p := open(t, proc.PID)
		var n int
		var idents [3]uint64
		fmt.Sscan(proc.Line(t), &n, &idents[0], &idents[1], &idents[2])
		found, err := p.Executors(map[uint64]bool{idents[0]: true, idents[1]: true, idents[2]: true})
		if err != nil || n != 3 || len(found) != 3 {
			t.Fatalf("found %v, %v", found, err)
		}
		x := found[idents[0]]
		if x.Addr == 0 || x.Max != 3 || x.Prefix != "resize" || found[idents[1]] != x || found[idents[2]] != x {
			t.Fatalf("executors %+v", found)
		}
		for _, step := range []string{"put 0", "put 1", "put 40", "do 25", "put 30", "do 40", "put 5000", "do 3000", "do 2006", "put 3", "end 1"} {
			proc.Send(t, step)
			var want int
			fmt.Sscan(proc.Line(t), &want)
			if strings.HasPrefix(step, "end") {
				want-- // None
			}
			got, first, err := p.QueuedJobs(x.Queue, 100)
			if err != nil || got != want || len(first) != min(want, 100) {
				t.Errorf("after %s: %d jobs, %d of them read, %v; want %d", step, got, len(first), err, want)
			}
			for _, job := range first {
				if name := p.typeName(job); name != "_WorkItem" {
					t.Fatalf("after %s: a %q is in the queue", step, name)
				}
			}
		}
		if _, _, err := p.SimpleQueue(x.Addr, 100); err == nil {
			t.Error("the executor was read as a queue")
		}
	})
}
