package analyze

import (
	"math/rand/v2"
	"testing"

	"gilscope/internal/trace"
)

// TestBlame is one wait over everything that can be charged.
func TestBlame(t *testing.T) {
	m := newMaker("waits")
	m.thread(10, "io")
	m.thread(20, "cpu")
	waiter, first, second := m.stack("poll a.py 3"), m.stack("hot b.py 9"), m.stack("cold b.py 20")
	m.wait(100, 10, waiter) // lane unknown so far
	m.holder(200, 20)
	m.seen(250, 10, 20, first)
	m.request(300, 10, 20, second) // first answers up to 250, second from there; asked from 300
	m.holder(400, 0)
	m.holder(430, 10) // the waiter itself: chosen, not yet running
	m.taken(450, 10)
	r := Analyze(m.end(1000))
	g := r.GIL[0]
	if g.Causes != (Causes{BeforeRequestNS: 200, HolderBusyNS: 100, HandoffNS: 50}) {
		t.Errorf("causes %+v", g.Causes)
	}
	type row struct {
		holder, function string
		ns               int64
	}
	want := []row{{"cpu", "cold", 150}, {"unknown", "", 100}, {"cpu", "hot", 50}, {"handing over", "", 50}}
	for i, b := range g.Blame {
		got := row{b.Holder.Name, "", b.WaitNS}
		if b.Holder.Site != nil {
			got.function = *b.Holder.Site.Function
		}
		if i >= len(want) || got != want[i] {
			t.Errorf("row %d: %+v", i, got)
		}
		if *b.Waiter.TID != 10 || *b.Waiter.Site.Function != "poll" || b.Waits != 1 {
			t.Errorf("row %d: waiter %+v", i, b.Waiter)
		}
	}
	if *g.Blame[3].Holder.TID != 0 || g.Blame[1].Holder.TID != nil {
		t.Error("handing over is tid 0, unknown is null")
	}
	if s := g.Switching; *s.RequestToDropMaxNS != 100 || s.DropRequests != 1 {
		t.Errorf("switching %+v", s)
	}
}

// TestRequestToSomebodyElse: a request that names another thread than the lane
// does is counted, but proves nothing about the holder of the lane.
func TestRequestToSomebodyElse(t *testing.T) {
	for other, busy := range map[int32]int64{20: 60, 0: 60, 99: 0} {
		m := newMaker("waits")
		m.holder(0, 20)
		m.wait(100, 10, 0)
		m.request(140, 10, other, m.stack("f a.py 1"))
		m.holder(200, 10)
		m.taken(200, 10)
		g := Analyze(m.end(300)).GIL[0]
		if g.Causes.HolderBusyNS != busy || g.Switching.DropRequests != 1 {
			t.Errorf("asked %d: %+v", other, g.Causes)
		}
		if site := g.Blame[0].Holder.Site; (site != nil) != (other == 20) {
			t.Errorf("asked %d: holder's site %+v", other, site)
		}
	}
}

// TestChosenWaiter: the lane may name the waiter before it runs, and move on at
// the moment its wait ends.
func TestChosenWaiter(t *testing.T) {
	m := newMaker("waits")
	m.holder(0, 20)
	m.wait(100, 10, 0)
	m.holder(180, 10)
	m.taken(200, 10)
	m.holder(200, 20)
	if c := Analyze(m.end(300)).GIL[0].Causes; c.HandoffNS != 20 || c.BeforeRequestNS != 80 {
		t.Errorf("causes %+v", c)
	}
}

// TestWaiterAsHolder: a lane that names the waiter in the middle of its wait is
// a contradiction and blames nobody.
func TestWaiterAsHolder(t *testing.T) {
	m := newMaker("waits")
	m.holder(0, 10)
	m.wait(100, 10, 0)
	m.holder(150, 20)
	m.taken(200, 10)
	g := Analyze(m.end(300)).GIL[0]
	if len(g.Blame) != 2 || g.Blame[0].WaitNS != 50 || g.Blame[1].WaitNS != 50 {
		t.Fatalf("%+v", g.Blame)
	}
	for _, b := range g.Blame {
		if b.Holder.TID != nil && *b.Holder.TID == 10 {
			t.Error("the waiter is blamed for its own wait")
		}
	}
}

// TestPiecesSample holds the pieces against the definition, moment by moment.
func TestPiecesSample(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 2))
		m := newMaker("waits")
		stack := m.stack("f a.py 1")
		m.holder(0, 20)
		at := trace.Time(0)
		for range 8 {
			at += trace.Time(r.IntN(20))
			m.seen(at, 10, 20, stack)
		}
		g := &Build(m.end(at + 20)).GILs[0]
		from := trace.Time(r.IntN(30))
		next := from
		for p := range g.Pieces(from, at+20, 10) {
			if p.Start != next || p.End <= p.Start {
				t.Fatalf("seed %d: piece %+v after %d", seed, p, next)
			}
			next = p.End
			for x := p.Start; x < p.End; x++ {
				if want := answering(g.Samples, x); g.Samples[want].Time != g.Samples[p.Sample].Time {
					t.Fatalf("seed %d: at %d sample %d answers, not %d", seed, x, want, p.Sample)
				}
			}
		}
		if next != at+20 {
			t.Fatalf("seed %d: pieces end at %d", seed, next)
		}
	}
}

// answering is the first sample after the moment, or the last of all.
func answering(samples []Sample, at trace.Time) int {
	for k := range samples {
		if samples[k].Time > at {
			return k
		}
	}
	return len(samples) - 1
}

// TestDropAnswersForUnseenHold: where a thread dropped the GIL stands for holds
// of which nothing else is known, and for no others.
func TestDropAnswersForUnseenHold(t *testing.T) {
	m := newMaker("waits")
	seen, at := m.stack("work a.py 1"), m.stack("drop a.py 2")
	dropped := trace.Event{Other: 20, Stack: at, Arg: int64(trace.SeenDrop)}
	m.wait(0, 10, 0)
	m.holder(0, 20)
	m.add(99, trace.GILHolderSeen, 20, dropped)
	m.holder(100, 30)
	m.holder(200, 20)
	m.seen(210, 10, 20, seen)
	m.add(299, trace.GILHolderSeen, 20, dropped)
	m.holder(300, 10)
	m.taken(300, 10)
	got := map[string]int64{}
	for _, b := range Analyze(m.end(400)).GIL[0].Blame {
		if b.Holder.Site != nil && b.Holder.Site.Function != nil {
			got[*b.Holder.Site.Function] += b.WaitNS
		}
	}
	if got["drop"] != 100 || got["work"] != 100 {
		t.Errorf("blame %v", got)
	}
}

// TestBuiltinsAreNamed: a hold that leaves its drop request unanswered is in one
// C call, whose most frequent function is named, also for a waiter's samples.
func TestBuiltinsAreNamed(t *testing.T) {
	m := newMaker("waits")
	m.thread(20, "cpu")
	line := m.stack("match a.py 9")
	m.holder(0, 20)
	m.add(500_000, trace.CPUSample, 20, trace.Event{Stack: m.stack("/usr/lib/libpython3.11.so.1.0 PyLong_Add", "match a.py 9")}) // not asked yet
	m.wait(1_000_000, 10, 0)
	m.request(6_000_000, 10, 20, line)
	m.add(8_000_000, trace.CPUSample, 20, trace.Event{Stack: m.stack("/usr/lib/libpython3.11.so.1.0 sre_ucs1_match", "match a.py 9")})
	m.add(18_000_000, trace.CPUSample, 20, trace.Event{Stack: m.stack("/usr/lib/libpython3.11.so.1.0 sre_ucs1_match", "match a.py 9")})
	m.add(28_000_000, trace.CPUSample, 20, trace.Event{Stack: m.stack("/usr/lib/libpython3.11.so.1.0 _PyEval_EvalFrameDefault", "match a.py 9")})
	m.add(29_000_000, trace.CPUSample, 20, trace.Event{Stack: m.stack("/usr/lib/libpython3.11.so.1.0 sre_count", "match a.py 9")})
	m.request(31_000_000, 10, 20, line)
	m.holder(40_000_000, 10)
	m.taken(40_000_000, 10)
	b := Analyze(m.end(50_000_000)).GIL[0].Blame
	if len(b) != 2 || b[0].WaitNS != 34_000_000 || *b[0].Holder.Site.Native != "libpython3.11.so.1.0 sre_ucs1_match" {
		t.Errorf("blame %+v", b)
	}
	if len(b) == 2 && b[1].Holder.Site.Native != nil {
		t.Errorf("before the request: native %q", *b[1].Holder.Site.Native)
	}
}

// TestHandoffs: the time without a holder before a waiter takes the GIL, known
// only where takes and drops are seen.
func TestHandoffs(t *testing.T) {
	for _, detail := range []string{"full", "waits"} {
		m := newMaker(detail)
		m.holder(0, 20)
		m.wait(50, 10, 0)
		m.holder(100, 0)
		m.holder(107, 10)
		m.taken(107, 10)
		m.holder(200, 0)
		m.holder(300, 10) // took it again, without a wait
		s := Analyze(m.end(400)).GIL[0].Switching
		if detail == "waits" && s.HandoffP50NS != nil {
			t.Errorf("waits: hand-off latency %d", *s.HandoffP50NS)
		}
		if detail == "full" && (s.HandoffP50NS == nil || *s.HandoffP50NS != 7 || *s.HandoffMaxNS != 7) {
			t.Errorf("full: hand-off latency %v", s.HandoffP50NS)
		}
	}
}
