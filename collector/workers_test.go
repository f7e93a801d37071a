package collector

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"gilscope/internal/cpython"
	"gilscope/internal/trace"
)

func TestWorkerRoles(t *testing.T) {
	const lib = "/usr/lib/python3.12/"
	code := func(file, function string) *cpython.Code { return &cpython.Code{File: file, Function: function} }
	worker := code(lib+"concurrent/futures/thread.py", "_worker")
	anyio := code("/srv/site-packages/anyio/_backends/_asyncio.py", "WorkerThread.run")
	process := code(lib+"concurrent/futures/process.py", "_process_worker")
	pool := code(lib+"multiprocessing/pool.py", "worker")
	get := code(lib+"multiprocessing/queues.py", "Queue.get")
	app := code("/srv/app.py", "job")
	for _, c := range []struct {
		name  string
		stack []*cpython.Code // leaf first
		kind  string
		state workerState
	}{
		{"waits for a job", []*cpython.Code{worker}, executorThreads, workerIdle},
		{"sleeps in a job", []*cpython.Code{app, code(lib+"concurrent/futures/thread.py", "_WorkItem.run"), worker}, executorThreads, workerBusy},
		{"waits in a job for a pool of its own", []*cpython.Code{worker, app, worker}, executorThreads, workerIdle}, // a stack that cannot be
		{"looks up a host", []*cpython.Code{code(lib+"socket.py", "getaddrinfo"), worker}, executorThreads, workerInDNS},
		{"a job gets from a queue", []*cpython.Code{code(lib+"queue.py", "Queue.get"), app, worker}, executorThreads, workerBusy},
		{"anyio waits", []*cpython.Code{code(lib+"threading.py", "Condition.wait"), code(lib+"queue.py", "Queue.get"), anyio}, executorAnyio, workerIdle},
		{"anyio works", []*cpython.Code{app, anyio}, executorAnyio, workerBusy},
		{"process waits", []*cpython.Code{code(lib+"multiprocessing/connection.py", "Connection._recv"), get, process}, executorProcesses, workerIdle},
		{"process works", []*cpython.Code{get, app, process}, executorProcesses, workerBusy},
		{"pool waits", []*cpython.Code{get, pool}, executorPool, workerIdle},
		{"pool itself", []*cpython.Code{pool}, executorPool, workerBusy},
		{"who calls anyio.run", []*cpython.Code{code(lib+"asyncio/base_events.py", "BaseEventLoop._run_once"), code("/srv/anyio/_backends/_asyncio.py", "run")}, "", workerBusy},
		{"a worker of another's", []*cpython.Code{code("/srv/app/thread.py", "_worker")}, "", workerBusy},
		{"nothing", nil, "", workerBusy},
	} {
		var all role
		var roles []role
		for _, f := range c.stack {
			roles = append(roles, aboutFrame(f).role)
			all |= roles[len(roles)-1]
		}
		if got := workerKind(all); got != c.kind {
			t.Errorf("%s: kind %q, want %q", c.name, got, c.kind)
		}
		if got := sleeperState(len(roles), func(i int) role { return roles[i] }, all); got != c.state {
			t.Errorf("%s: state %d, want %d", c.name, got, c.state)
		}
	}
}

// executorEvents runs a program of state changes and returns what the trace has of it.
func executorEvents(t *testing.T, run func(d *dispatcher, p *process)) string {
	t.Helper()
	var out bytes.Buffer
	d := newDispatcher(trace.NewWriter(&out, trace.WriterOptions{CPUs: 1}))
	d.w.Note(trace.Note{Time: 1, Name: trace.NoteRecording})
	d.workers.watch = func(int32, bool) bool { return true }
	p := newProcess(100)
	d.procs[100] = p
	run(d, p)
	d.w.Note(trace.Note{Time: 1 << 40, Name: trace.NoteEnd})
	if err := d.w.Close(); err != nil {
		t.Fatal(err)
	}
	tr, err := trace.Read(&out)
	if err != nil {
		t.Fatal(err)
	}
	if errs := tr.Validate(); len(errs) > 0 {
		t.Errorf("not valid: %v", errs)
	}
	var lines []string
	for _, e := range tr.Events {
		lines = append(lines, fmt.Sprintf("%d %s %d=%d", e.Time/msec, strings.TrimPrefix(e.Kind.String(), "executor."), e.GIL, e.Arg/max(1, scale(e.Kind))))
	}
	return strings.Join(lines, "; ")
}

func scale(k trace.Kind) int64 {
	if k == trace.ExecutorBusyNS || k == trace.ExecutorIdleNS {
		return int64(msec)
	}
	return 1
}

func TestExecutorCounts(t *testing.T) {
	is := cpython.Executor{Addr: 1, Queue: 2, Max: 2, Prefix: "p"}
	got := executorEvents(t, func(d *dispatcher, p *process) {
		a, b := d.join(p, 101), d.join(p, 102)
		a.born = 10 * msec
		d.mayBeWorker(p, a, roleThreadWorker, workerBusy, 50*msec) // busy since it began
		d.assign(p, a, is, p)
		a.worker.becomes(100*msec, workerIdle)
		d.mayBeWorker(p, b, roleThreadWorker, workerIdle, 120*msec)
		b.worker.becomes(140*msec, workerInDNS) // before its executor is known
		b.worker.comes(150*msec, 145*msec)
		d.assign(p, b, is, p)
		if e := p.executors[0]; e.full != 0 {
			t.Errorf("full since %d", e.full)
		}
		a.worker.comes(160*msec, 155*msec)
		if e := p.executors[0]; len(p.executors) != 1 || e.full != 155*msec {
			t.Errorf("%d executors, full since %d", len(p.executors), e.full)
		}
		d.workerEnds(p, a, 200*msec)
		d.workerEnds(p, b, 210*msec)
		if len(p.executors) != 0 {
			t.Error("an executor without workers is left")
		}
	})
	for _, want := range []string{"10 workers 1=1", "10 busy 1=1", "100 busy 1=0", "120 workers 1=2", "140 busy 1=1", "140 dns 1=1", "145 dns 1=0", "155 busy 1=2",
		"200 workers 1=1", "200 busy 1=1", "210 workers 1=0", "210 busy 1=0", "210 busy_time 1=205", "210 idle_time 1=75"} {
		if !slices.Contains(strings.Split(got, "; "), want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
}

// TestManyExecutors: of a program that makes executors without end, only the first ones are told apart.
func TestManyExecutors(t *testing.T) {
	executorEvents(t, func(d *dispatcher, p *process) {
		for i := range uint32(1000) {
			th := d.join(p, 101+i)
			d.mayBeWorker(p, th, roleThreadWorker, workerBusy, trace.Time(i+1)*msec)
			d.assign(p, th, cpython.Executor{Addr: 1, Queue: uint64(i + 1), Max: 1}, p)
			d.workerEnds(p, th, trace.Time(i+2)*msec)
		}
		if p.made != maxExecutors+1 || len(p.executors) != 1 {
			t.Errorf("%d executors, %d are left", p.made, len(p.executors))
		}
		d.close(p, 2000*msec, trace.WaitExit)
	})
}

// TestUnknownExecutors: workers whose executors are not known, also of many, make one row; a process
// that ends ends its executors, but for those that have worker processes left.
func TestUnknownExecutors(t *testing.T) {
	got := executorEvents(t, func(d *dispatcher, p *process) {
		for i := range uint32(3) {
			th := d.join(p, 101+i)
			d.mayBeWorker(p, th, roleThreadWorker, workerBusy, trace.Time(10+i)*10*msec)
			d.workerEnds(p, th, trace.Time(10+i)*10*msec+5*msec)
		}
		child := newProcess(200)
		child.parent, d.procs[200] = 100, child
		w := d.join(child, 200)
		d.mayBeWorker(child, w, roleProcessWorker, workerBusy, 200*msec)
		if len(p.executors) != 2 || len(child.executors) != 0 {
			t.Errorf("%d and %d executors", len(p.executors), len(child.executors))
		}
		d.close(p, 300*msec, trace.WaitExit)
		if len(p.executors) != 1 {
			t.Errorf("%d executors are left", len(p.executors))
		}
		d.close(child, 310*msec, trace.WaitExit)
		if len(p.executors) != 0 {
			t.Error("the executor of the child is left")
		}
	})
	for _, want := range []string{"300 busy_time 1=15", "310 busy_time 2=110"} {
		if !slices.Contains(strings.Split(got, "; "), want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
}
