package analyze

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"gilscope/internal/trace"
)

func (m *maker) executor(number int64, args ...trace.Arg) {
	m.note(0, m.pid, trace.NoteExecutor, append([]trace.Arg{{Key: "executor", Num: number}, {Key: "kind", Text: "ThreadPoolExecutor"}}, args...)...)
}

// counts adds values of an executor's counters: at a time in ms, a kind, a value, and so on.
func (m *maker) counts(number uint16, values ...int64) {
	for i := 0; i+2 < len(values); i += 3 {
		m.add(trace.Time(values[i])*ms1, trace.Kind(values[i+1]), 0, trace.Event{GIL: number, Arg: values[i+2]})
	}
}

const (
	kWorkers, kBusy, kDNS = int64(trace.ExecutorWorkers), int64(trace.ExecutorBusy), int64(trace.ExecutorDNS)
	kBusyNS, kIdleNS      = int64(trace.ExecutorBusyNS), int64(trace.ExecutorIdleNS)
	kQueue, kLeft         = int64(trace.ExecutorQueue), int64(trace.ExecutorLeft)
	kWaited, kAtMost      = int64(trace.ExecutorWaited), int64(trace.ExecutorAtMost)
)

// executorsTrace has a saturated executor, one whose workers look up hosts, and one that does nothing.
func executorsTrace(computes bool) *trace.Trace {
	m := newMaker("waits")
	m.thread(10, "resize_0")
	m.thread(11, "resize_1")
	m.executor(1, trace.Arg{Key: "name", Text: "resize"}, trace.Arg{Key: "max_workers", Num: 2}, trace.Arg{Key: "queue", Num: 1})
	m.executor(2, trace.Arg{Key: "name", Text: "asyncio"}, trace.Arg{Key: "max_workers", Num: 8})
	m.executor(3, trace.Arg{Key: "queue", Num: 1})
	for tid := range int64(2) {
		m.note(0, m.pid, trace.NoteWorker, trace.Arg{Key: "executor", Num: 1}, trace.Arg{Key: "tid", Num: 10 + tid})
	}
	m.counts(1, 0, kWorkers, 2, 0, kQueue, 0, 100, kBusy, 2, 120, kQueue, 6, 300, kLeft, 2, 300, kWaited, 160e6, 300, kAtMost, 210e6, 300, kQueue, 4,
		600, kLeft, 4, 600, kWaited, 440e6, 600, kAtMost, 500e6, 600, kQueue, 0, 700, kBusy, 0, 1000, kBusyNS, 1200e6, 1000, kIdleNS, 800e6)
	m.counts(2, 0, kWorkers, 3, 0, kBusy, 3, 200, kDNS, 2, 300, kDNS, 3, 800, kDNS, 0, 1000, kBusyNS, 3000e6, 1000, kIdleNS, 0)
	m.counts(3, 0, kWorkers, 1, 0, kQueue, 0, 1000, kIdleNS, 1000e6, 1000, kBusyNS, 0)
	if computes {
		m.run(100*ms1, 0, 10, 0)
		m.run(700*ms1, 0, 0, 1)
		m.run(100*ms1, 1, 11, 0)
		m.run(600*ms1, 1, 0, 1)
	}
	trace.Sort(m.t.Events)
	return m.end(1000 * ms1)
}

func TestExecutors(t *testing.T) {
	r := Analyze(executorsTrace(false))
	if len(r.Executors) != 3 {
		t.Fatalf("%d executors", len(r.Executors))
	}
	x := r.Executors[0]
	got := fmt.Sprintln(x.Kind, *x.Name, x.Workers, *x.MaxWorkers, x.BusyNS/1e6, x.IdleNS/1e6, *x.BusyShare, x.BusyMax, x.AllBusyNS/1e6, x.AllInDNSNS, *x.QueueMax,
		*x.SaturatedNS/1e6, *x.WaitedJobs, x.DelayP50NS, x.DelayP99NS, *x.DelayMaxNS/1e6, *x.DelayAtMostNS/1e6)
	if want := fmt.Sprintln("ThreadPoolExecutor", "resize", 2, 2, 1200, 800, 0.6, 2, 600, 0, 6, 480, 6, "<nil>", "<nil>", 440, 500); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if dns := r.Executors[1]; dns.AllInDNSNS != 500e6 || dns.QueueMax != nil || dns.SaturatedNS != nil || dns.WaitedJobs != nil || dns.AllBusyNS != 1000e6 {
		t.Errorf("%+v", dns)
	}
	if idle := r.Executors[2]; idle.Name != nil || idle.MaxWorkers != nil || idle.AllBusyNS != 0 || *idle.QueueMax != 0 || idle.DelayMaxNS != nil || *idle.BusyShare != 0 {
		t.Errorf("%+v", idle)
	}
	if slices.ContainsFunc(r.Skipped, func(s Skipped) bool { return s.What == "executors" }) {
		t.Error("executors are said to be skipped")
	}
	if r := Analyze(loopTrace()); len(r.Executors) != 0 || !slices.ContainsFunc(r.Skipped, func(s Skipped) bool { return s.What == "executors" }) {
		t.Errorf("%+v", r.Executors)
	}
}

func TestExecutorFindings(t *testing.T) {
	for _, c := range []struct {
		computes bool
		want     string
	}{{false, "Raise max_workers: 6 jobs"}, {true, "Use a ProcessPoolExecutor"}} {
		var rules []string
		for _, f := range Analyze(executorsTrace(c.computes)).Findings {
			if !strings.HasPrefix(f.Rule, "executor.") {
				continue
			}
			rules = append(rules, fmt.Sprintf("%s %d", f.Rule, f.CostNS/1e6))
			if f.Rule == "executor.saturated" && (!strings.Contains(f.Advice, c.want) || !strings.Contains(f.Title, `all 2 workers of the ThreadPoolExecutor "resize"`)) {
				t.Errorf("%s: %s", f.Title, f.Advice)
			}
			if f.Rule == "executor.dns" && !strings.Contains(f.Title, "asyncio's default executor") {
				t.Errorf("%s", f.Title)
			}
		}
		if want := []string{"executor.dns 500", "executor.saturated 480"}; !slices.Equal(rules, want) {
			t.Errorf("findings %v, want %v", rules, want)
		}
	}
}

// TestAnyioLimit: only as many threads as anyio has at most are its limit.
func TestAnyioLimit(t *testing.T) {
	for workers, want := range map[int64]bool{39: false, 40: true, 41: false} {
		m := newMaker("waits")
		m.note(0, m.pid, trace.NoteExecutor, trace.Arg{Key: "executor", Num: 1}, trace.Arg{Key: "kind", Text: "anyio"})
		m.counts(1, 0, kWorkers, workers, 100, kBusy, workers, 400, kBusy, 1)
		r := Analyze(m.end(1000 * ms1))
		found := slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Rule == "executor.limit" && f.CostNS == 300e6 })
		if found != want || r.Executors[0].BusyMax != workers {
			t.Errorf("%d workers: found %v", workers, found)
		}
	}
}

// TestExecutorsHostile: a damaged trace makes no wrong row and no panic.
func TestExecutorsHostile(t *testing.T) {
	m := newMaker("waits")
	m.note(0, m.pid, trace.NoteExecutor, trace.Arg{Key: "executor", Num: 1 << 40})
	m.note(0, m.pid, trace.NoteWorker, trace.Arg{Key: "executor", Num: 7}, trace.Arg{Key: "tid", Num: 1})
	m.executor(-1)
	m.executor(2, trace.Arg{Key: "max_workers", Num: -5})
	m.counts(9, 0, kWorkers, 3)
	m.counts(2, 0, kBusy, -3, 10, kQueue, 5, 20, kBusyNS, -1)
	if r := Analyze(m.end(1000 * ms1)); len(r.Executors) != 1 || r.Executors[0].BusyNS != 0 || r.Executors[0].QueueMax != nil {
		t.Errorf("%+v", r.Executors)
	}
}
