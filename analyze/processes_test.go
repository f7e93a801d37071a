package analyze

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"gilscope/internal/trace"
)

// family writes processes as their pids, in order, each with its parent.
func family(rows []Process) string {
	var list []string
	for _, p := range rows {
		parent := int32(0)
		if p.ParentPID != nil {
			parent = *p.ParentPID
		}
		list = append(list, fmt.Sprintf("%d<%d", p.PID, parent))
	}
	return strings.Join(list, " ")
}

func TestProcessOrder(t *testing.T) {
	type p struct {
		pid, parent int32
		started     int64 // 0: ran before
	}
	for _, c := range []struct {
		name string
		rows []p
		want string
	}{
		{"none", nil, ""},
		{"as attached", []p{{9, 1, 0}, {3, 1, 0}}, "9<1 3<1"},
		{"children after their parent, by start", []p{{1, 77, 0}, {5, 1, 30}, {4, 1, 10}, {8, 4, 40}, {7, 4, 20}}, "1<77 4<1 7<4 8<4 5<1"},
		{"a parent that was met after its child", []p{{5, 3, 20}, {3, 1, 10}}, "3<1 5<3"},
		{"its own parent", []p{{5, 5, 0}, {6, 5, 1}}, "5<5 6<5"},
		{"a circle", []p{{5, 6, 2}, {6, 7, 3}, {7, 5, 1}, {1, 0, 0}}, "1<0 7<5 6<7 5<6"},
	} {
		rows := make([]Process, len(c.rows))
		for i, x := range c.rows {
			rows[i] = Process{PID: x.pid, ParentPID: known(x.parent), StartedNS: known(x.started)}
		}
		if got := family(inFamilies(rows)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestProcessOrderIsTotal: whatever parents a file claims, every process comes once.
func TestProcessOrderIsTotal(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 3))
		rows := make([]Process, 1+r.IntN(12))
		for i := range rows {
			rows[i] = Process{PID: int32(r.IntN(10)), ParentPID: known(int32(r.IntN(12))), StartedNS: known(int64(r.IntN(4)))}
		}
		seen := map[int32]int{}
		for _, p := range rows {
			seen[p.PID]++
		}
		out := inFamilies(rows)
		for _, p := range out {
			seen[p.PID]--
		}
		for pid, n := range seen {
			if n != 0 || len(out) != len(rows) {
				t.Fatalf("seed %d: process %d is missing or doubled: %s", seed, pid, family(out))
			}
		}
	}
}

func target(version string, more ...trace.Arg) []trace.Arg {
	return append([]trace.Arg{{Key: "python", Text: version}, {Key: "libc", Text: "glibc 2.36"}}, more...)
}

// TestProcessFacts: what a report says of processes that start others.
func TestProcessFacts(t *testing.T) {
	m := newMaker("waits")
	m.note(1, 1, trace.NoteTarget, target("3.12.1", trace.Arg{Key: "ns_pid", Num: 7}, trace.Arg{Key: "interval_ns", Num: 1_000_000})...)
	m.fork(10, 2, 1, "fork")
	m.holder(11, 2)
	m.note(20, 1, trace.NoteChild, trace.Arg{Key: "child", Num: 3})
	m.note(21, 1, trace.NoteChild, trace.Arg{Key: "child", Num: 4})
	m.fork(30, 5, 1, "fork", trace.Arg{Key: "role"})
	m.note(35, 5, trace.NoteExec)
	m.note(35, 5, trace.NoteStarted, trace.Arg{Key: "parent", Num: 1}, trace.Arg{Key: "method", Text: "subprocess"}, trace.Arg{Key: "role", Text: "resource tracker"})
	m.fork(40, 6, 1, "spawn")
	m.note(41, 6, trace.NoteTarget, target("3.13.0", trace.Arg{Key: "ns_pid", Num: 6}, trace.Arg{Key: "gil_enabled"}, trace.Arg{Key: "free_threaded", Num: 1})...)
	m.note(50, 6, trace.NoteExec)
	m.note(51, 6, trace.NoteTarget, target("3.14.0")...)
	m.note(60, 2, trace.NoteExit, trace.Arg{Key: "code", Num: 3}, trace.Arg{Key: "signal"})
	r := Analyze(m.end(100))
	type want struct {
		pid      int32
		method   string
		role     string
		started  int64
		version  string
		interval int64
	}
	for i, w := range []want{{1, "", "", 0, "3.12.1", 0}, {2, "fork", "", 10, "3.12.1", 0},
		{5, "subprocess", "resource tracker", 30, "", 0}, {6, "spawn", "", 40, "3.14.0", 0}} {
		p := r.Processes[i]
		got := want{pid: p.PID}
		if p.StartMethod != nil {
			got.method = *p.StartMethod
		}
		if p.Role != nil {
			got.role = *p.Role
		}
		if p.StartedNS != nil {
			got.started = *p.StartedNS
		}
		if p.Python != nil {
			got.version = p.Python.Version
		}
		if got != w || *p.Name != "python3" {
			t.Errorf("got %+v, want %+v", got, w)
		}
	}
	first, forked := r.Processes[0], r.Processes[1]
	if *first.NSPID != 7 || forked.NSPID != nil || first.ChildrenNotRecorded != 2 || *forked.Exit != (Exit{Code: 3}) || *forked.Python.Libc != "glibc 2.36" {
		t.Errorf("%+v, %+v", first, forked)
	}
	if *r.GIL[0].SwitchIntervalNS != 1_000_000 {
		t.Errorf("a forked child has the interval %d", *r.GIL[0].SwitchIntervalNS)
	}
}

// TestForkBeforeTarget: the parent's interpreter was found only after the fork.
func TestForkBeforeTarget(t *testing.T) {
	m := newMaker("waits")
	m.t.Notes = m.t.Notes[:1]
	m.fork(10, 2, 1, "forkserver")
	m.fork(20, 3, 2, "fork")
	m.note(30, 1, trace.NoteTarget, target("3.12.1")...)
	for _, p := range Analyze(m.end(100)).Processes {
		if p.Python == nil || p.Python.Version != "3.12.1" {
			t.Errorf("process %d: %+v", p.PID, p.Python)
		}
	}
}

// TestReusedPID: a process with the number of one that ended has nothing of it.
func TestReusedPID(t *testing.T) {
	m := newMaker("waits")
	m.fork(10, 2, 1, "spawn")
	m.note(11, 2, trace.NoteTarget, target("3.8.0")...)
	m.note(20, 2, trace.NoteExit, trace.Arg{Key: "code", Num: 1})
	m.note(30, 2, trace.NoteStarted, trace.Arg{Key: "parent", Num: 1}, trace.Arg{Key: "method", Text: "fork"})
	p := Analyze(m.end(100)).Processes[1]
	if p.Exit != nil || *p.StartedNS != 30 || *p.StartMethod != "fork" || p.Python.Version != "3.11.7" {
		t.Errorf("%+v, Python %+v", p, p.Python)
	}
}

// TestTotalsByInterpreter: what each interpreter counted, over all programs of a process.
func TestTotalsByInterpreter(t *testing.T) {
	m := newMaker("waits")
	for _, n := range [][2]int64{{0, 5}, {1, 70}, {0, 6}} {
		m.note(10, 1, trace.NoteGIL, trace.Arg{Key: "interpreter", Num: n[0]}, trace.Arg{Key: "switches", Num: n[1]})
	}
	m.holder(1, 10)
	m.add(1, trace.GILHolder, 10, trace.Event{GIL: 1})
	m.add(1, trace.GILHolder, 10, trace.Event{GIL: 2})
	g := Analyze(m.end(100)).GIL
	if *g[0].Switches != 11 || *g[1].Switches != 70 || g[2].Switches != nil {
		t.Errorf("%v %v %v", *g[0].Switches, *g[1].Switches, g[2].Switches)
	}
}
