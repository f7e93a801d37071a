package livetest

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gilscope/analyze"
	"gilscope/internal/testpy"
	"gilscope/internal/trace"
	"gilscope/oracle"
)

// poolTruth is what a program of testdata/executors measured of one of its pools.
type poolTruth struct {
	Name    *string   `json:"name"`
	Kind    string    `json:"kind"`
	Workers int64     `json:"workers"`
	Jobs    []jobTime `json:"jobs"`
}

// jobTime is between when a job was submitted, when it began, and when it ended.
type jobTime [4]int64

// queued is when the job surely waited to begin.
func (j jobTime) queued() oracle.Interval { return oracle.Interval{j[1], max(j[1], j[2])} }

// poolRecording is a recorded program and what it says of its pools.
type poolRecording struct {
	recording
	pools []poolTruth
}

// recordPools runs a program of testdata/executors and records it for a while.
func recordPools(t testing.TB, in testpy.Interpreter, program, duration string, env ...string) poolRecording {
	t.Helper()
	p := startPools(t, in, program, env...)
	r := startRecord(t, "-p", fmt.Sprint(p.PID), "-d", duration)
	return endPools(t, p, r)
}

func startPools(t testing.TB, in testpy.Interpreter, program string, env ...string) *testpy.Proc {
	t.Helper()
	name, args, _ := strings.Cut(program, " ")
	script, err := filepath.Abs(filepath.Join("..", "testdata", "executors", name+".py"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := in.Command(append([]string{"-u", script}, strings.Fields(args)...)...)
	cmd.Env = append(cmd.Environ(), env...)
	return testpy.StartCommand(t, cmd)
}

// endPools waits for the recording, and ends the program.
func endPools(t testing.TB, p *testpy.Proc, r *recorder) poolRecording {
	t.Helper()
	r.wait(t)
	if err := p.Stop(); err != nil {
		t.Fatalf("the program was harmed: %v", err)
	}
	var truth struct {
		Schema string      `json:"schema"`
		Pools  []poolTruth `json:"pools"`
	}
	if err := json.Unmarshal([]byte(p.Last), &truth); err != nil || truth.Schema != "gilscope.executors/v1" {
		t.Fatalf("read the truth: %v: %q", err, p.Last)
	}
	return poolRecording{open(t, r, nil), truth.Pools}
}

// row is what the report has of a pool; there must be one such row.
func (r *poolRecording) row(t testing.TB, pool *poolTruth) *analyze.ExecutorRow {
	t.Helper()
	var found *analyze.ExecutorRow
	for i := range r.report.Executors {
		if x := &r.report.Executors[i]; x.Kind == pool.Kind && value(x.Name) == value(pool.Name) {
			if found != nil {
				t.Errorf("several executors %s %s", x.Kind, value(x.Name))
			}
			found = x
		}
	}
	if found == nil {
		t.Fatalf("the executor %s %s is not in the report: %+v", pool.Kind, value(pool.Name), r.report.Executors)
	}
	return found
}

// watched is from when to when an executor was.
func (r *poolRecording) watched(t testing.TB, x *analyze.ExecutorRow) oracle.Interval {
	t.Helper()
	var w oracle.Interval
	for i := range r.trace.Events {
		e := &r.trace.Events[i]
		if e.PID != x.PID || int32(e.GIL) != x.Executor {
			continue
		}
		switch e.Kind {
		case trace.ExecutorWorkers:
			if w[0] == 0 {
				w[0] = int64(e.Time)
			}
		case trace.ExecutorBusyNS:
			w[1] = max(w[1], int64(e.Time))
		}
	}
	return w
}

// checkBusy holds the time for which workers had jobs to that which the jobs took. A worker has
// a job from when it is woken for it until it sleeps again, so a little longer, and longer by what
// it then has to wait for a CPU and for the GIL.
func (r *poolRecording) checkBusy(t testing.TB, pool *poolTruth) {
	t.Helper()
	x := r.row(t, pool)
	w := r.watched(t, x)
	var truth, n int64
	for _, j := range pool.Jobs {
		if ns := min(j[3], w[1]) - max(j[2], w[0]); ns > 0 {
			truth += ns
			n++
		}
	}
	waited := n * 1_000_000
	for _, th := range r.report.Threads {
		waited += value64(th.RunnableNS) + th.GILWaitNS
	}
	if off := x.BusyNS - truth; off < -max(truth/100, 2e6) || off > truth/50+waited {
		t.Errorf("%s %s: workers had %d jobs for %.3f ms, the jobs took %.3f ms", x.Kind, value(x.Name), n, ms(x.BusyNS), ms(truth))
	}
	all := pool.Workers * (w[1] - w[0])
	if off := x.BusyNS + x.IdleNS - all; x.Workers != pool.Workers || off < -all/20 || off > all/50 {
		t.Errorf("%s %s: %d workers were busy and idle for %.3f ms, want %d for %.3f", x.Kind, value(x.Name), x.Workers, ms(x.BusyNS+x.IdleNS), pool.Workers, ms(all))
	}
	t.Logf("%s %s: %d jobs, busy %.3f ms, the program says %.3f", x.Kind, value(x.Name), n, ms(x.BusyNS), ms(truth))
}

const (
	lookNS     = 20_000_000  // between two looks at a queue while all workers are busy,
	seldomNS   = 50_000_000  // and else
	newNS      = 100_000_000 // until a new executor is known
	leastLooks = 3
)

// checkQueue holds what looks at the queue told to when its jobs waited; unseen is for how long
// they may do so before that is seen.
func (r *poolRecording) checkQueue(t testing.TB, pool *poolTruth, deepest, unseen int64) {
	t.Helper()
	x := r.row(t, pool)
	w := r.watched(t, x)
	if x.QueueMax == nil || x.DelayMaxNS == nil || x.SaturatedNS == nil {
		t.Fatalf("%s: the queue was not looked into: %+v", value(x.Name), x)
	}
	// All jobs are in the queue until the workers that were woken for the first ones get the GIL.
	least := deepest
	if unseen > seldomNS {
		least -= pool.Workers // they may have got their second jobs before that
	}
	if *x.QueueMax < least || *x.QueueMax > deepest+pool.Workers || value64(x.MaxWorkers) != pool.Workers {
		t.Errorf("%s: the queue was %d deep at most, want %d or a little more; %d workers may be", value(x.Name), *x.QueueMax, deepest, value64(x.MaxWorkers))
	}
	var longest, began int64
	var waiting []oracle.Interval
	for _, j := range pool.Jobs {
		if q := j.queued(); q[0] > w[0] && q[1] < w[1] {
			longest = max(longest, j[2]-j[0])
			if q[1] < w[1]-seldomNS {
				began = max(began, j[2]-j[1])
			}
		}
		if q := (oracle.Interval{max(j[1], w[0]), min(j[2], w[1])}); q[1] > q[0] {
			waiting = append(waiting, q)
		}
	}
	if *x.DelayMaxNS > longest+1e6 || *x.DelayMaxNS < longest-unseen-leastLooks*lookNS {
		t.Errorf("%s: a job waited for at least %.3f ms; %.3f is the longest", value(x.Name), ms(*x.DelayMaxNS), ms(longest))
	}
	if x.DelayAtMostNS != nil && *x.DelayAtMostNS < began-1e6 {
		t.Errorf("%s: no job waited for more than %.3f ms; one did for %.3f", value(x.Name), ms(*x.DelayAtMostNS), ms(began))
	}
	merged := normal(waiting)
	truth, bursts := merged.total(), int64(len(merged))
	if off := *x.SaturatedNS - truth; off < -bursts*(unseen+lookNS) || off > bursts*2*lookNS {
		t.Errorf("%s: saturated for %.3f ms; the program says %.3f in %d bursts", value(x.Name), ms(*x.SaturatedNS), ms(truth), bursts)
	}
	t.Logf("%s: delay at least %.3f ms, the program says %.3f; saturated %.3f, %.3f in %d bursts", value(x.Name), ms(*x.DelayMaxNS), ms(longest), ms(*x.SaturatedNS), ms(truth), bursts)
}

func value64(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

// finds says whether a finding of a rule names a pool.
func (r *poolRecording) finds(rule, name string) bool {
	return slices.ContainsFunc(r.report.Findings, func(f analyze.Finding) bool { return f.Rule == rule && strings.Contains(f.Title, name) })
}

// TestSaturatedExecutor: workers that have too much to do, and others that have nothing.
func TestSaturatedExecutor(t *testing.T) {
	for _, in := range append(loopInterpreters(t), testpy.FreeThreaded(t)...) {
		t.Run(in.Name, steady(func(t testing.TB) {
			r := recordPools(t, in, "saturated", "4s")
			for i := range r.pools {
				r.checkBusy(t, &r.pools[i])
			}
			r.checkQueue(t, &r.pools[0], 6, seldomNS)
			if !r.finds("executor.saturated", "resize") {
				t.Error("no finding says that the executor is saturated")
			}
			// A job of it may be seen before the worker that was woken for it has taken it.
			if x := r.row(t, &r.pools[1]); *x.QueueMax > 1 || r.finds("executor", "idle") {
				t.Errorf("the idle executor: %+v", x)
			}
		}))
	}
}

// TestExecutorsComeAndGo: executors that are made while the recording goes on are known from
// their first job on.
func TestExecutorsComeAndGo(t *testing.T) {
	for _, in := range testpy.Some(t, "pyenv-3.8", "pyenv-3.12", "debian-3.15") {
		t.Run(in.Name, steady(func(t testing.TB) {
			r := recordPools(t, in, "late", "4s")
			n := 0
			for i := range r.pools {
				p := &r.pools[i]
				if len(p.Jobs) == 9 && p.Jobs[0][0] > r.from && p.Jobs[8][3] < r.to-seldomNS {
					r.checkBusy(t, p)
					r.checkQueue(t, p, 6, newNS)
					n++
				}
			}
			if n < 3 {
				t.Errorf("%d executors came and went", n)
			}
		}))
	}
}

// TestStarvedDefaultExecutor: all workers of asyncio's default executor wait for a name server.
func TestStarvedDefaultExecutor(t *testing.T) {
	for _, in := range loopInterpreters(t) {
		t.Run(in.Name, steady(func(t testing.TB) {
			r := recordPools(t, in, "starved", "4s")
			p := &r.pools[0]
			x := r.row(t, p)
			w := r.watched(t, x)
			var truth int64
			for i := 0; i+3 <= len(p.Jobs); i += 4 { // three lookups, then another job
				from, to := w[0], w[1]
				for _, j := range p.Jobs[i : i+3] {
					from, to = max(from, j[2]), min(to, j[3])
				}
				truth += max(to-from, 0)
			}
			if off := x.AllInDNSNS - truth; truth < 1e9 || off < -truth/20 || off > truth/50 {
				t.Errorf("all workers looked up hosts for %.3f ms, the program says %.3f", ms(x.AllInDNSNS), ms(truth))
			}
			t.Logf("all in DNS for %.3f ms, the program says %.3f", ms(x.AllInDNSNS), ms(truth))
			if *x.QueueMax < 1 || *x.QueueMax > 4 || !r.finds("executor.dns", "asyncio") {
				t.Errorf("%+v", x)
			}
		}))
	}
}

// TestAnyioThreads: the threads of anyio's to_thread, also more jobs than it has threads for.
func TestAnyioThreads(t *testing.T) {
	for tasks, limited := range map[int]bool{3: false, 50: true} {
		t.Run(fmt.Sprint(tasks), steady(func(t testing.TB) {
			r := recordPools(t, testpy.Need(t, "3.12"), fmt.Sprint("anyiothreads ", tasks), "3s", "PYTHONPATH="+testpy.AsyncServers(t))
			r.checkBusy(t, &r.pools[0])
			if x := r.row(t, &r.pools[0]); x.QueueMax != nil || r.finds("executor.limit", "anyio") != limited {
				t.Errorf("%+v: %+v", x, r.report.Findings)
			}
		}))
	}
}

// TestWorkerProcesses: worker processes are idle when they wait for a job.
func TestWorkerProcesses(t *testing.T) {
	for _, method := range []string{"fork", "spawn", "forkserver"} {
		for _, in := range testpy.Some(t, "pyenv-3.8", "debian-3.14") {
			t.Run(method+"/"+in.Name, steady(func(t testing.TB) {
				p := startPools(t, in, "processes "+method)
				args := []string{"-d", "3s"}
				for _, pid := range strings.Fields(p.Line(t)) {
					args = append(args, "-p", pid)
				}
				r := endPools(t, p, startRecord(t, args...))
				for i := range r.pools {
					r.checkBusy(t, &r.pools[i])
				}
			}))
		}
	}
}

// TestExecutorsInDump: the dump of a flight recorder knows executors that were described long before.
func TestExecutorsInDump(t *testing.T) {
	p := startPools(t, testpy.One(t, "3.12"), "saturated")
	r := startRecord(t, "-p", fmt.Sprint(p.PID), "--keep", "1s", "-d", "4s")
	r.wait(t)
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	rec := poolRecording{recording: dumpOf(t, r, 1, nil)}
	name := "resize"
	x := rec.row(t, &poolTruth{Name: &name, Kind: "ThreadPoolExecutor"})
	if x.Workers != 2 || value64(x.MaxWorkers) != 2 || x.AllBusyNS == 0 || x.BusyShare == nil || *x.BusyShare < 0.4 || *x.BusyShare > 0.9 {
		t.Errorf("%+v", x)
	}
}

// TestPerfettoShowsExecutors: the real Perfetto has the counters of an executor, with the values of the report.
func TestPerfettoShowsExecutors(t *testing.T) {
	r := recordPools(t, testpy.One(t, "3.13"), "saturated", "2s")
	x := r.row(t, &r.pools[0])
	oracle.Check(t, r.path)
	most := map[string]int64{}
	for _, row := range oracle.Query(t, r.path, `select t.name as name, cast(max(c.value) as int) as most from counter c join counter_track t on c.track_id = t.id
		where t.name like 'executor %' group by t.name`) {
		name, _ := row["name"].(string)
		most[name], _ = row["most"].(int64)
	}
	for name, want := range map[string]int64{"queue": *x.QueueMax, "busy workers": x.BusyMax, "workers": x.Workers, "job waited ns at least": *x.DelayMaxNS} {
		if name = fmt.Sprintf("executor %s %d", name, x.Executor); most[name] != want {
			t.Errorf("%s is %d at most, want %d, of %v", name, most[name], want, most)
		}
	}
}
