package analyze

import (
	"fmt"

	"gilscope/internal/trace"
)

var saturatedAnalyzer = Analyzer{
	Name: "executor.saturated",
	Doc: "All workers of an executor have a job and others wait. The cost is the time for which that was so. The advice depends on what the workers do: " +
		"more of them help those that wait for something else than the GIL.",
	Run: runSaturated,
}

var starvedAnalyzer = Analyzer{
	Name: "executor.dns",
	Doc: "All workers of an executor look up hosts at the same time. asyncio looks up hosts in its default executor, so a name server that does not answer " +
		"stops asyncio.to_thread, too. The cost is the time for which that was so.",
	Run: runStarved,
}

// label names an executor in a text.
func (x *ExecutorRow) label() string {
	switch {
	case x.Name != nil && *x.Name == "asyncio":
		return "asyncio's default executor"
	case x.Name != nil:
		return fmt.Sprintf("the %s %q", x.Kind, *x.Name)
	case x.Kind == "anyio":
		return "anyio's worker threads"
	}
	return "the " + x.Kind
}

func runSaturated(tl *Timeline, r *Report) {
	var found []Finding
	for i := range r.Executors {
		x := &r.Executors[i]
		full := x.MaxWorkers == nil || x.Workers >= *x.MaxWorkers
		if x.SaturatedNS == nil || !full || !tl.worth(*x.SaturatedNS) {
			continue
		}
		pid := x.PID
		f := Finding{
			Rule: "executor.saturated", Severity: tl.severity(*x.SaturatedNS), CostNS: *x.SaturatedNS, PID: &pid,
			Title:  fmt.Sprintf("all %d workers of %s are busy while up to %s wait, for %s in all", x.Workers, x.label(), jobs(*x.QueueMax), ms(*x.SaturatedNS)),
			Advice: tl.saturatedAdvice(x),
			Evidence: fmt.Sprintf("its workers had jobs for %.0f%% of their time; %s seen to wait, and then to begin", 100*shareOr(x.BusyShare),
				jobs(*x.WaitedJobs)),
		}
		if x.DelayMaxNS != nil {
			f.Evidence += ", the longest wait was at least " + ms(*x.DelayMaxNS)
		}
		found = append(found, f)
	}
	r.find(found)
}

// anyioLimit is how many threads anyio has at most, unless it is told otherwise
// (anyio/_backends/_asyncio.py, current_default_thread_limiter).
const anyioLimit = 40

var limitAnalyzer = Analyzer{
	Name: "executor.limit",
	Doc: "All 40 threads have a job, which is as many as anyio starts if it is not told otherwise: what else is given to it waits, such as requests for endpoints " +
		"of FastAPI and Starlette that are no coroutines. How many wait is not known. The cost is the time for which all had a job.",
	Run: runLimit,
}

func runLimit(tl *Timeline, r *Report) {
	for i := range r.Executors {
		x := &r.Executors[i]
		if x.Kind != "anyio" || x.Workers != anyioLimit || !tl.worth(x.AllBusyNS) {
			continue
		}
		pid := x.PID
		r.Findings = append(r.Findings, Finding{
			Rule: "executor.limit", Severity: tl.severity(x.AllBusyNS), CostNS: x.AllBusyNS, PID: &pid,
			Title: fmt.Sprintf("all %d of anyio's worker threads are busy, for %s in all", x.Workers, ms(x.AllBusyNS)),
			Advice: "That is anyio's usual limit; further calls of to_thread.run_sync, and requests for endpoints that are no coroutines, wait. Make the endpoints coroutines, or raise the limit: " +
				"anyio.to_thread.current_default_thread_limiter().total_tokens = 100.",
			Evidence: fmt.Sprintf("its workers had jobs for %.0f%% of their time", 100*shareOr(x.BusyShare)),
		})
	}
}

func jobs(n int64) string {
	if n == 1 {
		return "1 job"
	}
	return fmt.Sprintf("%d jobs", n)
}

func shareOr(v *float64) float64 {
	if v == nil {
		return 0
	}
	return *v
}

// saturatedAdvice says what helps, by what the workers do.
func (tl *Timeline) saturatedAdvice(x *ExecutorRow) string {
	if used := tl.usedByWorkers(x); x.BusyNS > 0 && used*2 >= x.BusyNS {
		return "Its jobs mostly compute, or wait for the GIL or a CPU: more threads do not make them faster. Use a ProcessPoolExecutor, or native code that releases the GIL; " +
			"or submit less at a time."
	}
	more := "Raise max_workers"
	if x.Name != nil && *x.Name == "asyncio" {
		more = "Give the loop an executor with more workers (loop.set_default_executor(ThreadPoolExecutor(max_workers=...)))"
	}
	return fmt.Sprintf("%s: %s waited at one time. Its jobs mostly wait for something outside of the program. If that is a single thing, such as a database with few connections, more workers "+
		"only move the queue there.", more, jobs(*x.QueueMax))
}

// usedByWorkers is how long workers were on a CPU, wanted one, or waited for the GIL.
func (tl *Timeline) usedByWorkers(x *ExecutorRow) (ns int64) {
	mine := map[threadID]bool{}
	for _, id := range x.tids {
		mine[id] = true
	}
	for i := range tl.Threads {
		t := &tl.Threads[i]
		if !mine[threadID{t.PID, t.TID}] {
			continue
		}
		for _, state := range [...]State{Running, Runnable} {
			in, _ := t.In(state, tl.Start, tl.End)
			ns += in
		}
	}
	for i := range tl.GILs {
		for _, w := range tl.GILs[i].Waits {
			if t := &tl.Threads[w.Thread]; mine[threadID{t.PID, t.TID}] {
				blocked, _ := t.In(Blocked, w.Start, w.End)
				ns += blocked
			}
		}
	}
	return ns
}

func runStarved(tl *Timeline, r *Report) {
	var found []Finding
	for i := range r.Executors {
		x := &r.Executors[i]
		if !tl.worth(x.AllInDNSNS) {
			continue
		}
		pid := x.PID
		f := Finding{
			Rule: "executor.dns", Severity: tl.severity(x.AllInDNSNS), CostNS: x.AllInDNSNS, PID: &pid,
			Title: fmt.Sprintf("all %d workers of %s look up hosts, for %s in all", x.Workers, x.label(), ms(x.AllInDNSNS)),
			Advice: "Nothing else that is given to this executor can begin meanwhile. Give lookups an executor of their own, keep their results, or use a resolver that is asynchronous; " +
				"and find out why the name server is slow (see the options timeout and attempts in resolv.conf).",
			Evidence: fmt.Sprintf("%d workers, all in getaddrinfo at one time", x.Workers),
		}
		if x.QueueMax != nil && *x.QueueMax > 0 {
			f.Evidence += fmt.Sprintf("; up to %s waited", jobs(*x.QueueMax))
		}
		found = append(found, f)
	}
	r.find(found)
}

// HasExecutors says whether a worker of an executor was recorded.
func (tl *Timeline) HasExecutors() bool {
	for i := range tl.Trace.Notes {
		if tl.Trace.Notes[i].Name == trace.NoteExecutor {
			return true
		}
	}
	return false
}
