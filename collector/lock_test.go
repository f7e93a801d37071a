package collector

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"gilscope/internal/cpython"
	"gilscope/internal/trace"
	"gilscope/probes"
)

// lockBench is a process with threads 11 and 12, and the trace that its records make.
type lockBench struct {
	t   *testing.T
	d   *dispatcher
	p   *process
	out bytes.Buffer
}

func newLockBench(t *testing.T) *lockBench {
	b := &lockBench{t: t}
	b.d = newDispatcher(trace.NewWriter(&b.out, trace.WriterOptions{CPUs: 1}))
	b.d.w.Note(trace.Note{Time: 1, Name: trace.NoteRecording})
	b.p = newProcess(11)
	b.p.stacks = newStacks(nil, b.d.w, nil)
	b.d.procs[11] = b.p
	for _, tid := range []uint32{11, 12} {
		b.d.join(b.p, tid)
	}
	return b
}

// sleep is a thread that goes to sleep for a lock, or (0) for something else.
func (b *lockBench) sleep(at trace.Time, tid uint32, lock uint64, op uint8) {
	r := probes.Rec{Ts: uint64(at * us), Kind: probes.KindSwitch, Tgid: 11, Tid: tid, Flags: probes.FlagPrev | probes.FlagAsleep, Arg: 1, Pc: lock}
	if lock != 0 {
		r.Op = probes.LockAny | op
	}
	b.d.record(probes.Record{Rec: &r})
}

func (b *lockBench) gives(at trace.Time, tid, woken uint32) {
	b.d.record(probes.Record{Rec: &probes.Rec{Ts: uint64(at * us), Kind: probes.KindWaking, Tgid: 11, Tid: tid, Peer: woken, Flags: probes.FlagPrev, Op: probes.LockAny}})
}

func (b *lockBench) come(at trace.Time, tid uint32) {
	b.d.record(probes.Record{Rec: &probes.Rec{Ts: uint64(at * us), Kind: probes.KindSwitch, Tgid: 11, Peer: tid, Flags: probes.FlagNext}})
}

// trace closes the trace and reads it.
func (b *lockBench) trace(at trace.Time) *trace.Trace {
	b.t.Helper()
	b.d.close(b.p, at*us, trace.WaitUnknown)
	b.d.w.Note(trace.Note{Time: at*us + 1, Name: trace.NoteEnd})
	if err := b.d.w.Close(); err != nil {
		b.t.Fatal(err)
	}
	tr, err := trace.Read(&b.out)
	if err != nil {
		b.t.Fatal(err)
	}
	if errs := tr.Validate(); len(errs) > 0 {
		b.t.Errorf("not valid: %v", errs)
	}
	return tr
}

// locks closes the trace and returns what it says of locks.
func (b *lockBench) locks(at trace.Time) string {
	b.t.Helper()
	tr := b.trace(at)
	names := []string{trace.WaitTaken: "taken", trace.WaitExit: "exit", trace.WaitUnknown: "unknown", trace.WaitTimeout: "timeout"}
	var lines []string
	for i := range tr.Events {
		switch e := &tr.Events[i]; e.Kind {
		case trace.LockWaitBegin:
			lines = append(lines, fmt.Sprintf("%d %d waits %d", e.Time/us, e.TID, e.Arg))
		case trace.LockWaitEnd:
			lines = append(lines, fmt.Sprintf("%d %d %s by %d", e.Time/us, e.TID, names[e.Arg], e.Other))
		case trace.LockRelease:
			lines = append(lines, fmt.Sprintf("%d %d gives %d", e.Time/us, e.TID, e.Arg))
		}
	}
	return strings.Join(lines, "; ")
}

// TestLocksFromRecords: what switches and wake-ups make of waits for locks.
func TestLocksFromRecords(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*lockBench)
		want string
	}{
		{"taken", func(b *lockBench) {
			b.sleep(100, 11, 64, 0)
			b.gives(300, 12, 11)
			b.come(310, 11)
		}, "100 11 waits 64; 300 12 gives 64; 310 11 taken by 12"},
		{"woken, and another was quicker", func(b *lockBench) {
			b.sleep(100, 11, 64, 0)
			b.gives(300, 12, 11)
			b.come(310, 11)
			b.sleep(315, 11, 64, 0)
			b.gives(500, 12, 11)
			b.come(510, 11)
		}, "100 11 waits 64; 300 12 gives 64; 500 12 gives 64; 510 11 taken by 12"},
		{"taken, and soon wanted again", func(b *lockBench) {
			b.sleep(100, 11, 64, 0)
			b.gives(300, 12, 11)
			b.come(310, 11)
			b.sleep(360, 11, 64, 0)
		}, "100 11 waits 64; 300 12 gives 64; 310 11 taken by 12; 360 11 waits 64; 1000 11 unknown by 0"},
		{"another lock", func(b *lockBench) {
			b.sleep(100, 11, 64, 0)
			b.come(310, 11)
			b.sleep(312, 11, 128, probes.LockParked)
			b.gives(400, 12, 11)
			b.come(401, 11)
			b.sleep(402, 11, 0, 0)
		}, "100 11 waits 64; 310 11 unknown by 0; 312 11 waits 128; 400 12 gives 128; 401 11 taken by 12"},
		{"time limit", func(b *lockBench) {
			b.sleep(100, 11, 64, probes.LockTimed)
			b.come(310, 11)
		}, "100 11 waits 64; 310 11 timeout by 0"},
		{"shared with other processes", func(b *lockBench) {
			b.sleep(100, 11, 64, probes.LockTimed|probes.LockCommon)
			b.come(310, 11)
		}, "100 11 waits 64; 310 11 taken by 0"},
		{"switched in unseen", func(b *lockBench) {
			b.sleep(100, 11, 64, 0)
			b.gives(300, 12, 11)
			b.sleep(900, 11, 0, 0)
		}, "100 11 waits 64; 300 12 gives 64; 300 11 taken by 12"},
		{"records lost", func(b *lockBench) {
			b.sleep(100, 11, 64, 0)
			b.d.interrupted(200 * us)
			b.come(310, 11)
		}, "100 11 waits 64; 200 11 unknown by 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newLockBench(t)
			c.do(b)
			if got := b.locks(1000); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestWaitKind: the innermost frames tell what a thread waits for that sleeps for a lock.
func TestWaitKind(t *testing.T) {
	for _, c := range []struct {
		frames string // function file, leaf first
		want   trace.LockKind
	}{
		{"f app.py", trace.LockUnknown},
		{"wait threading.py, f app.py", trace.LockCondition},
		{"Condition.wait threading.py, Queue.get queue.py, f app.py", trace.LockQueue},
		{"Condition.wait threading.py, Event.wait threading.py, f app.py", trace.LockEvent},
		{"Condition.wait threading.py, Semaphore.acquire threading.py", trace.LockSemaphore},
		{"Condition.wait threading.py, Condition.wait_for threading.py, Barrier._wait threading.py", trace.LockBarrier},
		{"Condition.wait threading.py, Condition.wait_for threading.py, f app.py", trace.LockCondition},
		{"Condition.wait threading.py, Future.result /x/concurrent/futures/_base.py", trace.LockFuture},
		{"Thread._wait_for_tstate_lock threading.py, Thread.join threading.py", trace.LockJoin},
		{"Handler.acquire /x/logging/__init__.py", trace.LockLogging},
		{"_ModuleLock.acquire <frozen importlib._bootstrap>", trace.LockImport},
		{"_worker /x/concurrent/futures/thread.py", trace.LockQueue},
		{"wait /home/me/mythreading.py", trace.LockUnknown},
		{"SemLock.__enter__ /x/multiprocessing/synchronize.py, f app.py", trace.LockShared},
		{"Condition.wait /x/multiprocessing/synchronize.py, f app.py", trace.LockCondition},
		{"Condition.notify /x/multiprocessing/synchronize.py, f app.py", trace.LockCondition},
		{"Condition.wait /x/multiprocessing/synchronize.py, Event.wait /x/multiprocessing/synchronize.py", trace.LockEvent},
		{"SemLock.__enter__ /x/multiprocessing/synchronize.py, Condition.__enter__ /x/multiprocessing/synchronize.py, Event.wait /x/multiprocessing/synchronize.py", trace.LockShared},
		{"wait /x/multiprocessing/synchronize.py, wait_for /x/multiprocessing/synchronize.py, _wait threading.py", trace.LockBarrier},
		{"wait /x/multiprocessing/synchronize.py, wait_for /x/multiprocessing/synchronize.py, f app.py", trace.LockCondition},
		{"Queue.put /x/multiprocessing/queues.py, f app.py", trace.LockQueue},
		{"__enter__ /x/multiprocessing/synchronize.py, Queue.get /x/multiprocessing/queues.py", trace.LockQueue},
		{"Queue._feed /x/multiprocessing/queues.py", trace.LockShared},
		{"wait threading.py, Queue._feed /x/multiprocessing/queues.py", trace.LockQueue},
	} {
		var frames []pythonFrame
		for f := range strings.SplitSeq(c.frames, ", ") {
			function, file, _ := strings.Cut(f, " ")
			frames = append(frames, newFrame(function, file))
		}
		if got := waitKind(frames); got != c.want {
			t.Errorf("%s: %v, want %v", c.frames, got, c.want)
		}
	}
}

// TestStacksOfNoUse: a stack that came with a record which says nothing new is known,
// for the next record of the thread has its hash alone.
func TestStacksOfNoUse(t *testing.T) {
	b := newLockBench(t)
	b.p.stacks = newStacks(&cpython.Process{}, b.d.w, nil)
	stack := probes.Stack{Hash: 7, Frames: []probes.Frame{{Code: 0x1000, Ident: 1}}}
	rec := probes.Rec{Ts: uint64(5 * us), Kind: probes.KindWaking, Tgid: 11, Tid: 11, Peer: 12, Flags: probes.FlagPrev, Op: probes.LockAny}
	b.d.record(probes.Record{Rec: &rec, Own: stack}) // 12 waits for no lock
	if k := b.p.stacks.peek(probes.Stack{Hash: 7}); len(k.frames) != 1 {
		t.Errorf("the stack has %d frames, want 1", len(k.frames))
	}
}
