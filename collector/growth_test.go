package collector

import (
	"fmt"
	"io"
	"runtime"
	"testing"
	"time"

	"gilscope/internal/cpython"
	"gilscope/internal/trace"
	"gilscope/probes"
)

// heapMB is what lives in memory.
func heapMB() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc >> 20)
}

// churn tells the life of one thread: it starts, waits for the GIL, takes it, and
// ends; of every tenth the last switch is lost.
func (b *pipeline) churn(pid, tid uint32, name string) {
	b.records = b.records[:0]
	held := probes.Rec{Flags: probes.FlagGIL | probes.FlagLocked, HolderTid: pid, Switches: tid}
	mine := probes.Rec{Flags: probes.FlagGIL | probes.FlagLocked, HolderTid: tid, Switches: tid + 1}
	own := func(r *probes.Record) *probes.Record { r.Tgid = pid; return r }
	own(b.add(probes.Rec{Arg: pid}, probes.KindFork, 0, pid, tid))
	own(b.add(probes.Rec{Flags: probes.FlagNext}, probes.KindSwitch, 0, 0, tid))
	held.Word, held.Op = wordCondLo, opWait
	own(b.leaves(held, 0, tid))
	own(b.add(probes.Rec{Flags: probes.FlagNext}, probes.KindSwitch, 0, 0, tid))
	own(b.leaves(mine, 0, tid))
	own(b.add(probes.Rec{}, probes.KindExit, 0, tid, 0))
	if tid%10 != 0 {
		own(b.leaves(probes.Rec{}, 0, tid))
	}
	for _, r := range b.records[:2] {
		b.s.d.record(r)
	}
	b.s.w.Thread(trace.Thread{PID: int32(pid), TID: int32(tid), Name: name})
	for _, r := range b.records[2:] {
		b.s.d.record(r)
	}
}

// TestThreadsLeaveNothing: of half a million threads nothing is left.
func TestThreadsLeaveNothing(t *testing.T) {
	const threads, mostMB = 500_000, 32
	b := newPipeline(t, probes.Waits)
	before, begun := heapMB(), time.Now()
	for i := range uint32(threads) {
		b.churn(benchPID, 10_000+i%4_000_000, fmt.Sprintf("request-%d", i))
		if i%1000 == 0 {
			b.at += 20e6 // they come 50,000 in a second
			b.s.d.flush()
			b.s.d.forget(time.Now())
		}
	}
	more := heapMB() - before
	p := b.s.d.procs[benchPID]
	t.Logf("%d threads in %v: %d MB more, %d kept", threads, time.Since(begun).Round(time.Millisecond), more, len(p.threads))
	if more > mostMB || len(p.threads) > 50_000 || len(b.s.d.tids) > 50_000 {
		t.Errorf("%d MB more than before, %d threads and %d numbers are kept", more, len(p.threads), len(b.s.d.tids))
	}
}

// TestProcessesLeaveNothing: of 100,000 processes, each the child of the one
// before it, nothing is left.
func TestProcessesLeaveNothing(t *testing.T) {
	const processes, mostMB = 100_000, 48
	b := newPipeline(t, probes.Waits)
	d, now := b.s.d, time.Now()
	ended := 0
	d.onExit = func(*process) { ended++ }
	before := heapMB()
	parent := d.procs[benchPID]
	for i := range uint32(processes) {
		pid := 100_000 + i
		c := newProcess(int32(pid))
		d.procs[c.pid] = c
		b.s.w.Process(trace.Process{PID: c.pid, PPID: benchPID, Name: "python3"})
		c.py, c.plan = &cpython.Process{}, probes.Plan{Detail: probes.Waits}
		c.stacks = newStacks(c.py, b.s.w, parent.stacks)
		c.stacks.unresolved = 1
		b.s.settle(c, []cpython.Interpreter{{Addr: 1, GIL: 1, Interval: 5 * time.Millisecond}})
		c.places[0].gil.words = true
		b.churn(pid, pid+10_000_000, "worker")
		d.record(probes.Record{Rec: &probes.Rec{Ts: b.at, Kind: probes.KindExit, Flags: probes.FlagLast, Tgid: pid, Tid: pid}})
		if parent = c; i%100 == 0 {
			now = now.Add(time.Second)
			d.forget(now)
		}
	}
	more := heapMB() - before
	t.Logf("%d processes: %d MB more, %d kept", processes, more, len(d.procs))
	if ended != processes || more > mostMB || len(d.procs) > 1000 || len(d.tids) > 1000 {
		t.Errorf("%d ended, %d MB more than before; %d processes and %d threads are kept", ended, more, len(d.procs), len(d.tids))
	}
	d.forget(now.Add(time.Hour))
	d.forget(now.Add(2 * time.Hour))
	if d.unresolved != processes || len(d.procs) != 1 {
		t.Errorf("%d unresolved stacks, want %d; %d processes", d.unresolved, processes, len(d.procs))
	}
}

// TestFlightMemory: what a flight recorder takes at 100,000 events a second and
// 10 s to keep, by the heap; livetest measures the whole program.
func TestFlightMemory(t *testing.T) {
	const rate, keep, mostMB = 100_000, 10 * time.Second, 40
	b := newPipeline(t, probes.Waits)
	flight := trace.NewFlight(trace.WriterOptions{Level: 1, CPUs: 2, SampleHz: 99}, trace.Time(b.at), trace.Time(keep), 256<<20)
	events := 0
	copyTo := flight.Writer()
	copyTo.Process(trace.Process{PID: benchPID, Name: "python3"})
	copyTo.Note(trace.Note{Time: trace.Time(b.at), Name: trace.NoteRecording})
	before := heapMB()
	most := int64(0)
	for i := range 3 * rate * int64(keep/time.Second) {
		at := trace.Time(benchBegin + i*int64(time.Second)/rate)
		tid := int32(benchPID + i/4%7)
		kind := [...]trace.Kind{trace.GILWaitBegin, trace.SchedSwitch, trace.SchedWaking, trace.GILWaitEnd}[i%4]
		copyTo.Event(&trace.Event{Time: at, Kind: kind, PID: benchPID, TID: tid, CPU: uint16(i % 2)})
		events++
		if i%1000 == 0 && flight.Due(at) {
			if err := flight.Advance(at, nil); err != nil {
				t.Fatal(err)
			}
			if i%(rate/2) == 0 {
				most = max(most, heapMB()-before)
			}
		}
		if i == 2*rate*int64(keep/time.Second) {
			dump, err := flight.Dump(at, nil)
			if err != nil {
				t.Fatal(err)
			}
			info, err := dump.Write(io.Discard, [3]trace.Time{at, at, at}, "test", nil)
			t.Logf("dump: %+v, %v", info, err)
		}
	}
	size, short := flight.Size()
	t.Logf("%d events: %.1f MB are kept, the heap has at most %d MB more", events, float64(size)/1e6, max(most, heapMB()-before))
	if short || most > mostMB {
		t.Errorf("the heap has %d MB more, want %d at most (short: %v)", most, mostMB, short)
	}
	if err := flight.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestParseTrigger(t *testing.T) {
	for _, c := range []struct {
		in, want string
		is       Trigger
	}{
		{"gil.wait>500ms", "", Trigger{MetricWait, 500 * time.Millisecond}},
		{" gil.hold > 1s ", "", Trigger{MetricHold, time.Second}},
		{"gil.wait", "METRIC>DURATION", Trigger{}},
		{"loop.block>1s", "", Trigger{MetricBlock, time.Second}},
		{"loop.lag>1s", "use gil.wait, gil.hold or loop.block", Trigger{}},
		{"gil.wait>0s", "above 0", Trigger{}},
		{"gil.wait>-1s", "above 0", Trigger{}},
		{"gil.wait>=5ms", "such as 500ms", Trigger{}},
	} {
		got, err := ParseTrigger(c.in)
		if c.want == "" && (err != nil || got != c.is) || c.want != "" && (err == nil || !containsText(err, c.want)) {
			t.Errorf("%q: %v, %v; want %v, %q", c.in, got, err, c.is, c.want)
		}
	}
}
