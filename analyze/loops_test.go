package analyze

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"gilscope/internal/trace"
)

// block adds a block of the loop of thread 10, with its split in ms.
func (m *maker) block(from, to trace.Time, cause trace.BlockCause, depth int32, stack trace.StackID, cpu, gil, run, off trace.Time, more ...trace.Arg) {
	m.add(from, trace.LoopBlockBegin, 10, trace.Event{Arg: int64(cause), Other: depth, Stack: stack})
	m.add(to, trace.LoopBlockEnd, 10, trace.Event{})
	ns := func(key string, v trace.Time) trace.Arg { return trace.Arg{Key: key, Num: int64(v)} }
	m.note(to, m.pid, trace.NoteBlock, append([]trace.Arg{{Key: "tid", Num: 10}, ns("start_ns", from), ns("duration_ns", to-from), ns("on_cpu_ns", cpu*ms1),
		ns("gil_wait_ns", gil*ms1), ns("runnable_ns", run*ms1), ns("blocked_ns", off*ms1)}, more...)...)
}

func (m *maker) loopCounts(at, busy, idle trace.Time, iterations int64) {
	for kind, v := range map[trace.Kind]int64{trace.LoopBusy: int64(busy), trace.LoopIdle: int64(idle), trace.LoopIterations: iterations, trace.LoopEvents: 3} {
		m.add(at, kind, 10, trace.Event{Arg: v})
	}
}

func loopTrace() *trace.Trace {
	m := newMaker("waits")
	m.thread(10, "MainThread")
	m.thread(20, "hog")
	m.note(0, 1, trace.NoteLoop, trace.Arg{Key: "tid", Num: 10}, trace.Arg{Key: "kind", Text: "asyncio"})
	query := m.stack("recv /usr/lib/python3.12/socket.py 7", "fetch app.py 12", "handle app.py 3")
	keep := m.stack("/lib/libc.so.6 usleep", "checksum legacy.py 40")
	m.holder(0, 20)
	m.block(100*ms1, 300*ms1, trace.CauseSyscall, 1, query, 1, 0, 0, 199, trace.Arg{Key: "syscall", Num: 45}, trace.Arg{Key: "file", Text: "socket"},
		trace.Arg{Key: "task", Text: "job-7"}, trace.Arg{Key: "coroutine", Text: "handle"}, trace.Arg{Key: "gc_ns"})
	m.wait(400*ms1, 10, query)
	m.seen(401*ms1, 10, 20, keep)
	m.taken(520*ms1, 10)
	m.block(400*ms1, 520*ms1, trace.CauseGIL, 1, query, 0, 120, 0, 0)
	m.loopCounts(1000*ms1, 400*ms1, 600*ms1, 40)
	m.add(0, trace.LoopBusyShare, 10, trace.Event{Arg: 40})
	m.loopCounts(2000*ms1, 0, 1000*ms1, 2)
	trace.Sort(m.t.Events)
	slices.SortStableFunc(m.t.Notes, func(a, b trace.Note) int { return int(min(max(a.Time-b.Time, -1), 1)) })
	return m.end(2000 * ms1)
}

func TestLoops(t *testing.T) {
	r := Analyze(loopTrace())
	if len(r.Loops) != 1 {
		t.Fatalf("%d loops", len(r.Loops))
	}
	l := r.Loops[0]
	if l.Kind != "asyncio" || l.TID != 10 || l.Name != "MainThread" || l.Iterations != 42 || l.Events != 6 || l.BusyNS != 400e6 || l.IdleNS != 1600e6 ||
		*l.Utilization != 0.2 || *l.UtilizationMax != 0.4 || l.BlockedNS != 320e6 || l.LagMaxNS != nil {
		t.Errorf("%+v", l)
	}
	b := l.Blocks[0]
	if b.StartNS != 100e6 || b.DurationNS != 200e6 || b.Cause != "syscall" || *b.Syscall != "recvfrom" || *b.File != "socket" || *b.Task != "job-7" ||
		*b.Coroutine != "handle" || *b.Site.Function != "fetch" || *b.Site.Line != 12 || len(b.Stack) != 3 || b.Culprit != nil {
		t.Errorf("%+v", b)
	}
	if s := *b.Split; s.OnCPUNS+s.GILWaitNS+s.RunnableNS+s.BlockedNS != b.DurationNS || s.GCNS == nil || *s.GCNS != 0 {
		t.Errorf("split %+v", s)
	}
	b = l.Blocks[1]
	if b.Cause != "gil" || b.Culprit == nil || *b.Culprit.TID != 20 || *b.Culprit.Site.Function != "checksum" || *b.Culprit.Site.Native != "libc.so.6 usleep" ||
		b.Task != nil || b.Syscall != nil || b.Split.GCNS != nil {
		t.Errorf("%+v", b)
	}
}

func TestLoopFindings(t *testing.T) {
	r := Analyze(loopTrace())
	var got []string
	for _, f := range r.Findings {
		got = append(got, f.Rule)
	}
	if fmt.Sprint(got) != "[loop.syscall loop.gil gil.hog]" && fmt.Sprint(got) != "[loop.syscall loop.gil]" {
		t.Fatalf("findings %v", got)
	}
	f := r.Findings[0]
	if f.CostNS != 200e6 || *f.Site.Line != 12 || !strings.Contains(f.Title, "fetch (app.py:12)") || !strings.Contains(f.Title, "recvfrom on a socket") {
		t.Errorf("%+v", f)
	}
	f = r.Findings[1]
	if f.CostNS != 120e6 || *f.Site.Function != "checksum" || !strings.Contains(f.Title, "innocent") || !strings.Contains(f.Title, "hog (tid 20)") {
		t.Errorf("%+v", f)
	}
}

// TestAdvice: each cause has words of its own.
func TestAdvice(t *testing.T) {
	seen := map[string]bool{}
	for cause, want := range map[trace.BlockCause]string{
		trace.CauseCPU: "ProcessPoolExecutor", trace.CauseSleep: "asyncio.sleep", trace.CauseSyscall: "asyncio.to_thread", trace.CauseDNS: "loop.getaddrinfo",
		trace.CauseFile: "asyncio.to_thread", trace.CauseLock: "asyncio.Lock", trace.CauseGIL: "process", trace.CauseGC: "gc.freeze", trace.CauseRunqueue: "more CPU",
		trace.CauseUnknown: "asyncio.to_thread",
	} {
		m := newMaker("waits")
		m.block(100*ms1, 300*ms1, cause, 0, m.stack("work app.py 9"), 200, 0, 0, 0)
		r := Analyze(m.end(1000 * ms1))
		f := r.Findings[0]
		if f.Rule != "loop."+cause.String() || !strings.Contains(f.Advice, want) {
			t.Errorf("%v: %+v", cause, f)
		}
		seen[f.Title] = true
	}
	if len(seen) != 9 { // a call that is not known is some call
		t.Errorf("%d titles: %v", len(seen), seen)
	}
}

// TestOverload: a loop without a long iteration, and without a rest.
func TestOverload(t *testing.T) {
	for _, c := range []struct {
		busy trace.Time
		want string
	}{{970, "loop.overload"}, {850, ""}} {
		m := newMaker("waits")
		m.note(0, 1, trace.NoteLoop, trace.Arg{Key: "tid", Num: 10}, trace.Arg{Key: "kind", Text: "uvloop"})
		m.loopCounts(1000*ms1, c.busy*ms1, (1000-c.busy)*ms1, 500)
		r := Analyze(m.end(1000 * ms1))
		if got := rules(r); got != c.want || r.Loops[0].Kind != "uvloop" {
			t.Errorf("busy %d %%: %q, kind %s", c.busy/10, got, r.Loops[0].Kind)
		}
	}
}

func TestLoopMetrics(t *testing.T) {
	r := Analyze(loopTrace())
	for s, want := range map[string]Status{
		"loop.block.max<150ms": Breach, "loop.block.max<250ms": Pass, "loop.block.count<=1": Breach, "loop.block.count<=2": Pass,
		"loop.utilization<50%": Pass, "loop.utilization<10%": Breach,
	} {
		b, err := ParseBudget(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := b.Check(r).Status; got != want {
			t.Errorf("%s: %s, want %s", s, got, want)
		}
		if got := b.Check(newComplete()); got.Status != Inconclusive || got.Why == "" {
			t.Errorf("%s without a loop: %+v", s, got)
		}
	}
}

// TestStrangeLoops: what contradicts itself is passed over, and harms nothing.
func TestStrangeLoops(t *testing.T) {
	m := newMaker("waits")
	m.add(1, trace.LoopBlockEnd, 10, trace.Event{})
	m.add(2, trace.LoopBlockBegin, 10, trace.Event{Arg: 99, Other: -4, Stack: 1 << 30})
	m.add(3, trace.LoopBlockEnd, 10, trace.Event{Arg: 7})
	m.add(4, trace.LoopBusy, 10, trace.Event{Arg: -5})
	m.add(5, trace.LoopBlockBegin, 10, trace.Event{})
	m.note(3, 1, trace.NoteBlock, trace.Arg{Key: "tid", Num: 10}, trace.Arg{Key: "syscall", Num: -1 << 60})
	m.note(3, 1, trace.NoteBlock, trace.Arg{Key: "tid", Num: 11})
	r := Analyze(m.end(9))
	if len(r.Loops) != 1 || len(r.Loops[0].Blocks) != 1 || r.Loops[0].Blocks[0].Cause != "unknown" || r.Loops[0].Blocks[0].Site != nil || r.Loops[0].Utilization != nil {
		t.Errorf("%+v", r.Loops)
	}
}

// tasksTrace is a loop with tasks that were counted twice.
func tasksTrace(begin, end []trace.Arg, places ...int64) *trace.Trace {
	m := newMaker("waits")
	m.thread(10, "MainThread")
	poll := m.stack("sleep /usr/lib/python3.12/asyncio/tasks.py 665", "poll app.py 31", "main app.py 7")
	get := m.stack("get /usr/lib/python3.12/asyncio/queues.py 158", "poll app.py 31", "main app.py 7")
	m.note(0, 1, trace.NoteLoop, trace.Arg{Key: "tid", Num: 10}, trace.Arg{Key: "kind", Text: "asyncio"})
	m.loopCounts(1000*ms1, 400*ms1, 600*ms1, 40)
	tid := trace.Arg{Key: "tid", Num: 10}
	if begin != nil {
		m.note(1*ms1, 1, trace.NoteTasks, append([]trace.Arg{tid, {Key: "at", Text: "begin"}}, begin...)...)
		m.add(1*ms1, trace.LoopTasks, 10, trace.Event{Arg: 1, Other: 1, Stack: poll})
	}
	m.note(1900*ms1, 1, trace.NoteTasks, append([]trace.Arg{tid, {Key: "at", Text: "end"}}, end...)...)
	for i, n := range places {
		m.add(1900*ms1, trace.LoopTasks, 10, trace.Event{Arg: n, Other: 1, Stack: [...]trace.StackID{poll, get}[i]})
	}
	trace.Sort(m.t.Events)
	return m.end(2000 * ms1)
}

func counted(pending, running, ready int64, more ...trace.Arg) []trace.Arg {
	return append([]trace.Arg{{Key: "pending", Num: pending}, {Key: "running", Num: running}, {Key: "ready", Num: ready}}, more...)
}

// TestLoopTasks: the tasks at the end, and what is said of them.
func TestLoopTasks(t *testing.T) {
	for _, test := range []struct {
		name       string
		begin, end []trace.Arg
		places     []int64
		want       string // pending, waiting, elsewhere, at the begin
		titles     []string
	}{
		{"many at one line, below it in two places", counted(3, 0, 0), counted(20, 1, 0), []int64{4, 8}, "20 19 7 3", []string{"12 tasks wait at poll (app.py:31)"}},
		{"some of them ready", nil, counted(12, 0, 2), []int64{12}, "12 10 0 -1", []string{"12 tasks stand at poll (app.py:31)"}},
		{"few", counted(3, 0, 0), counted(9, 0, 0), []int64{9}, "9 9 0 3", nil},
		{"more and more", counted(100, 0, 0), counted(300, 0, 0), nil, "300 300 300 100",
			[]string{"the tasks of the asyncio loop that are not done rose from 100 to 300"}},
		{"many, but not more", counted(300, 0, 0), counted(400, 0, 0), nil, "400 400 400 300", nil},
		{"unknown at the begin", []trace.Arg{{Key: "unknown", Text: "why"}}, counted(300, 0, 0), nil, "300 300 300 -1", nil},
		{"unknown at the end", counted(3, 0, 0), []trace.Arg{{Key: "unknown", Text: "why"}}, nil, "-1 -1 -1 3", nil},
		{"half a note", nil, []trace.Arg{{Key: "pending", Num: 300}}, []int64{30}, "300 -1 -1 -1", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := Analyze(tasksTrace(test.begin, test.end, test.places...))
			if len(r.Loops) != 1 || r.Loops[0].Tasks == nil {
				t.Fatalf("loops %+v", r.Loops)
			}
			got := r.Loops[0].Tasks
			text := ""
			for _, n := range []*int64{got.Pending, got.Waiting, got.Elsewhere, got.PendingBegin} {
				v := int64(-1)
				if n != nil {
					v = *n
				}
				text += fmt.Sprint(v, " ")
			}
			if text != test.want+" " || (got.Unknown == nil) != (got.Pending != nil) {
				t.Errorf("%s, want %s: %+v", text, test.want, got)
			}
			var titles []string
			for _, f := range r.Findings {
				titles = append(titles, f.Title)
			}
			if !slices.Equal(titles, test.titles) {
				t.Errorf("findings %q, want %q", titles, test.titles)
			}
		})
	}
	place := Analyze(tasksTrace(nil, counted(4, 0, 0), 4)).Loops[0].Tasks.Places[0]
	if place.Tasks != 4 || *place.Coroutine != "main" || *place.Site.Function != "poll" || len(place.Awaits) != 3 || *place.Awaits[2].Function != "sleep" {
		t.Errorf("%+v", place)
	}
}
