package analyze

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	"gilscope/internal/trace"
)

// randomTrace is events of all kinds in any order, true or not.
func randomTrace(r *rand.Rand, n int) *trace.Trace {
	m := newMaker([]string{"waits", "full"}[r.IntN(2)])
	var stacks []trace.StackID
	for _, s := range []string{"f a.py 1", "f a.py 2", "g b.py 1", "/lib/libc.so.6 usleep", "/usr/bin/python3.11 eval"} {
		stacks = append(stacks, m.stack(s), m.stack(s, "main a.py 1"))
	}
	stacks = append(stacks, 0)
	kinds := []trace.Kind{
		trace.SchedSwitch, trace.SchedWaking, trace.CPUSample, trace.GILWaitBegin, trace.GILWaitEnd, trace.GILHoldBegin,
		trace.GILHoldEnd, trace.GILHolder, trace.GILDropRequest, trace.GILHolderSeen, trace.ThreadStart, trace.ThreadExit,
	}
	var at trace.Time
	for range n {
		at += trace.Time(r.IntN(4)) * trace.Time(r.IntN(3_000_000)) // often 0: equal times
		m.pid = int32(1 + r.IntN(3))                                // which share their numbers of threads
		m.add(at, kinds[r.IntN(len(kinds))], int32(r.IntN(6)), trace.Event{
			Other: int32(r.IntN(6)), Stack: stacks[r.IntN(len(stacks))], CPU: uint16(r.IntN(3)),
			GIL: uint16(r.IntN(2)), Arg: int64(r.IntN(4)),
		})
	}
	return m.end(at + trace.Time(r.IntN(2)))
}

func TestSumsOnRandomTraces(t *testing.T) {
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 1))
		tl := Build(randomTrace(r, 300))
		checkLane(t, tl)
		checkLives(t, tl)
		report := tl.Report()
		threads := map[int32]int64{} // waited by process
		for _, th := range report.Threads {
			threads[th.PID] += th.GILWaitNS
		}
		for i := range report.GIL {
			g := &report.GIL[i]
			checkSums(t, g)
			threads[g.PID] -= g.WaitNS
		}
		for pid, ns := range threads {
			if ns != 0 {
				t.Fatalf("seed %d: waits of threads and of GILs of process %d differ by %d", seed, pid, ns)
			}
		}
	}
}

// checkSums: blame and causes sum to the wait.
func checkSums(t *testing.T, g *GILRow) {
	t.Helper()
	var blame int64
	for _, b := range g.Blame {
		if b.WaitNS <= 0 || b.Waits <= 0 || b.busyNS > b.WaitNS {
			t.Fatalf("row %+v", b)
		}
		blame += b.WaitNS
	}
	if c := g.Causes; blame != g.WaitNS || c.BeforeRequestNS+c.HolderBusyNS+c.HandoffNS != g.WaitNS {
		t.Fatalf("wait %d, blame %d, causes %+v", g.WaitNS, blame, c)
	}
	if *g.ContendedShare < 0 || *g.ContendedShare > 1 {
		t.Fatalf("contended %v", *g.ContendedShare)
	}
}

// checkLives: waits, holds and lanes of a process are of its own threads, and no
// number runs as two threads at one time.
func checkLives(t *testing.T, tl *Timeline) {
	t.Helper()
	for i := range tl.GILs {
		g := &tl.GILs[i]
		for _, w := range g.Waits {
			if th := tl.Threads[w.Thread]; th.PID != g.PID {
				t.Fatalf("a wait of process %d by %+v", g.PID, th)
			}
		}
		for _, s := range g.Lane {
			if s.Thread != none && (tl.Threads[s.Thread].PID != g.PID || tl.Threads[s.Thread].TID != s.TID) {
				t.Fatalf("%+v in the lane of process %d", tl.Threads[s.Thread], g.PID)
			}
		}
	}
	states := map[int32][]StateSpan{}
	for _, th := range tl.Threads {
		if th.Start > th.End {
			t.Fatalf("%+v ends before it starts", th)
		}
		states[th.TID] = append(states[th.TID], th.States...)
	}
	for tid, spans := range states {
		slices.SortFunc(spans, func(x, y StateSpan) int { return cmp.Compare(x.Start, y.Start) })
		for i := 1; i < len(spans); i++ {
			if spans[i].Start < spans[i-1].End {
				t.Fatalf("thread %d is in two states: %+v, %+v", tid, spans[i-1], spans[i])
			}
		}
	}
}

// checkLane: contiguous from start to end, samples inside, states in order.
func checkLane(t *testing.T, tl *Timeline) {
	t.Helper()
	for i := range tl.GILs {
		g := &tl.GILs[i]
		at, sample := tl.Start, int32(0)
		for _, s := range g.Lane {
			if s.Start != at || s.End < s.Start || s.firstSample < sample || s.endSample < s.firstSample {
				t.Fatalf("stretch %+v after %d", s, at)
			}
			if s.Asked != noTime && (s.Asked < s.Start || s.Asked > s.End) {
				t.Fatalf("asked outside: %+v", s)
			}
			for _, x := range g.Samples[s.firstSample:s.endSample] {
				if x.Time < s.Start || x.Time > s.End {
					t.Fatalf("sample at %d outside %+v", x.Time, s)
				}
			}
			at, sample = s.End, s.endSample
		}
		if at != tl.End {
			t.Fatalf("lane ends at %d, recording at %d", at, tl.End)
		}
	}
	for _, th := range tl.Threads {
		var at trace.Time
		for _, s := range th.States {
			if s.Start < at || s.End <= s.Start || s.State == NoState {
				t.Fatalf("state %+v after %d", s, at)
			}
			at = s.End
		}
	}
}

// FuzzAnalyze plays events and notes by bytes: whatever a file holds, the sums hold.
func FuzzAnalyze(f *testing.F) {
	f.Add([]byte("\x01\x01\x0a\x02\x01\x01\x00\x00\x04\x01\x0a\x00\x09\x00\x00\x00"))
	f.Add([]byte("full \x81\x01\x02\x03\x04\x01\x02\x03\x84\x01\x02\x03\x04\x02\x02\x03\x0d\x02\x02\x01\x0e\x02\x02\x01\x0d\x02\x02\x01"))
	f.Add([]byte("\x80\x02\x01\x00\x80\x03\x02\x00\x80\x01\x03\x00\x83\x02\x01\x00\x80\x02\x03\x00\x08\x02\x05\x03\x08\x01\x05\x03"))
	notes := []string{trace.NoteStarted, trace.NoteTarget, trace.NoteExec, trace.NoteExit, trace.NoteChild, trace.NoteGIL,
		trace.NoteInterval, trace.NoteInterpreter, trace.NoteDetail, trace.NoteLost, "unheard of"}
	f.Fuzz(func(t *testing.T, data []byte) {
		m := newMaker([]string{"waits", "full"}[len(data)%2])
		stacks := []trace.StackID{0, m.stack("f a.py 1"), m.stack("/lib/libc.so.6 usleep", "f a.py 1"), 77}
		at := trace.Time(0)
		for ; len(data) >= 4; data = data[4:] {
			what, pid, tid, more := data[0], int32(data[1]%5), int32(data[2]%9), data[3]
			at += trace.Time(more/16) * 300 * us
			if what >= 0x80 {
				m.t.Processes = append(m.t.Processes, trace.Process{PID: pid, PPID: tid})
				m.note(at, pid, notes[int(what)%len(notes)], trace.Arg{Key: "parent", Num: int64(tid)}, trace.Arg{Key: "method", Text: "fork"},
					trace.Arg{Key: "interpreter", Num: int64(more % 3)}, trace.Arg{Key: "interval_ns", Num: int64(more) * 1000})
				continue
			}
			m.pid = pid
			m.add(at, trace.Kind(what%17), tid, trace.Event{Other: int32(more % 9), Stack: stacks[more%4], CPU: uint16(more % 3),
				GIL: uint16(more % 2), Arg: int64(more % 5)})
		}
		tl := Build(m.end(at))
		checkLane(t, tl)
		r := tl.Report()
		if len(r.Processes) != len(m.t.Processes) {
			t.Fatalf("%d processes of %d", len(r.Processes), len(m.t.Processes))
		}
		var ns int64
		for i := range r.GIL {
			if tl.NS() > 0 {
				checkSums(t, &r.GIL[i])
			}
			ns += r.GIL[i].WaitNS
		}
		for _, th := range r.Threads {
			ns -= th.GILWaitNS
		}
		if ns != 0 {
			t.Fatalf("waits of threads and of GILs differ by %d", ns)
		}
	})
}
