package analyze

import (
	"strings"
	"testing"

	"gilscope/internal/trace"
)

// turns plays two threads that alternate on one GIL: the waiter (tid 10, CPU 0)
// waits for the holder (tid 20, CPU 1), takes, works, and sleeps.
type turns struct {
	n           int
	wait, work  trace.Time // of the waiter, per turn
	sleep       trace.Time // between its work and its next wish
	asked       trace.Time // after this part of the wait it asks; 0: never
	holderSleep bool       // the holder is off-CPU while it holds
	holderReady bool       // the holder has no CPU while it holds
	native      bool
	unscheduled bool // without scheduling events
}

func (p turns) trace() *trace.Trace {
	m := newMaker("waits")
	m.thread(10, "io")
	m.thread(20, "cpu")
	frames := []string{"crunch b.py 9", "main b.py 1"}
	if p.native {
		frames = append([]string{"/lib/libc.so.6 usleep"}, frames...)
	}
	waiter, holder := m.stack("poll a.py 3"), m.stack(frames...)
	at := trace.Time(0)
	run := func(cpu uint16, tid int32, left int64) {
		if !p.unscheduled {
			m.run(at, cpu, tid, left)
		}
	}
	for range p.n {
		m.holder(at, 20)
		run(1, 20, 0)
		if p.holderSleep {
			run(1, 0, 1)
		} else if p.holderReady {
			run(1, trace.OtherTID, 0)
		}
		at += p.sleep
		m.wait(at, 10, waiter)
		run(0, 0, 1)
		if p.asked > 0 {
			at += p.asked
			m.request(at, 10, 20, holder)
		} else {
			m.seen(at, 10, 20, holder)
		}
		at += p.wait - p.asked
		m.holder(at, 10)
		m.taken(at, 10)
		run(0, 10, 0)
		at += p.work
		run(0, 0, 1)
	}
	m.holder(at, 20)
	return m.end(at + ms1)
}

func rules(r *Report) string {
	var names []string
	for _, f := range r.Findings {
		names = append(names, f.Rule)
	}
	return strings.Join(names, " ")
}

func TestConvoyAndHog(t *testing.T) {
	convoy := turns{n: 40, wait: 5050 * us, work: 100 * us, sleep: 900 * us, asked: 5 * ms1}
	with := func(change func(*turns)) turns { p := convoy; change(&p); return p }
	cases := []struct {
		name   string
		play   turns
		cycles int64 // 0: no convoy
		rules  string
	}{
		{"I/O thread behind a CPU-bound one", convoy, 40, "gil.convoy"},
		{"the same, scheduler not recorded", with(func(p *turns) { p.unscheduled, p.sleep = true, 0 }), 40, "gil.convoy"},
		{"scheduler not recorded, long pauses: sleep or work, nobody knows", with(func(p *turns) { p.unscheduled, p.sleep = true, 9*ms1 }), 0, ""},
		{"too few to be a pattern", with(func(p *turns) { p.n = 4 }), 0, ""},
		{"five are enough", with(func(p *turns) { p.n = 5 }), 5, "gil.convoy"},
		{"short waits", with(func(p *turns) { p.wait, p.asked = 2*ms1, 0 }), 0, ""},
		{"two CPU-bound threads", with(func(p *turns) { p.work, p.sleep = 5*ms1, 0 }), 0, "gil.cpu_threads"},
		{"a holder that sleeps with the GIL", with(func(p *turns) { p.holderSleep, p.native, p.wait = true, true, 50*ms1 }), 0, "gil.hog"},
		{"a native call that computes", with(func(p *turns) { p.native, p.wait = true, 50*ms1 }), 40, "gil.hog"},
		{"a holder without a CPU is no hog", with(func(p *turns) { p.holderReady, p.wait = true, 50*ms1 }), 0, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := Analyze(c.play.trace())
			var cycles int64
			for _, v := range r.GIL[0].Switching.Convoys {
				cycles += v.Cycles
				if v.VictimTID != 10 || v.HolderTID != 20 || v.CostNS <= 0 {
					t.Errorf("convoy %+v", v)
				}
			}
			if cycles != c.cycles || rules(r) != c.rules {
				t.Errorf("%d cycles, findings %q; want %d, %q", cycles, rules(r), c.cycles, c.rules)
			}
		})
	}
}

// TestConvoyBehindTwo: an I/O thread behind two CPU-bound ones that take turns
// waits for both; that is one convoy finding, and the two share one GIL.
func TestConvoyBehindTwo(t *testing.T) {
	m := newMaker("waits")
	at := trace.Time(0)
	m.run(at, 1, 20, 0)
	m.run(at, 2, 30, 0)
	m.holder(at, 20)
	for range 20 {
		m.wait(at, 30, 0)
		m.run(at, 2, 0, 1)
		m.wait(at+ms1, 10, 0)
		m.request(at+5*ms1, 30, 20, 0)
		m.holder(at+5*ms1+50*us, 30)
		m.taken(at+5*ms1+50*us, 30)
		m.run(at+5*ms1+50*us, 2, 30, 0)
		m.wait(at+5*ms1+60*us, 20, 0)
		m.run(at+5*ms1+60*us, 1, 0, 1)
		m.request(at+10*ms1, 10, 30, 0)
		m.holder(at+10*ms1+50*us, 10)
		m.taken(at+10*ms1+50*us, 10)
		m.run(at+10*ms1+50*us, 0, 10, 0)
		at += 10*ms1 + 100*us
		m.run(at, 0, 0, 1)
		m.holder(at, 20)
		m.taken(at, 20)
		m.run(at, 1, 20, 0)
	}
	r := Analyze(m.end(at))
	if n := len(r.GIL[0].Switching.Convoys); n != 2 || rules(r) != "gil.cpu_threads gil.convoy" && rules(r) != "gil.convoy gil.cpu_threads" {
		t.Errorf("%d convoys, findings %q: %+v", n, rules(r), r.GIL[0].Switching.Convoys)
	}
}

func TestHogNamesLineAndNative(t *testing.T) {
	p := turns{n: 20, wait: 50 * ms1, work: 100 * us, sleep: ms1, asked: 5 * ms1, native: true, holderSleep: true}
	f := Analyze(p.trace()).Findings[0]
	if f.CostNS != int64(20*45*ms1) || *f.TID != 20 || *f.Site.Line != 9 || *f.Site.Native != "libc.so.6 usleep" {
		t.Errorf("%+v", f)
	}
	for _, part := range []string{"crunch", "b.py:9", "libc.so.6 usleep"} {
		if !strings.Contains(f.Title, part) {
			t.Errorf("title %q lacks %q", f.Title, part)
		}
	}
}

func TestShortHolds(t *testing.T) {
	m := newMaker("waits")
	at := trace.Time(0)
	for i := range 2000 {
		a, b := int32(10+i%2), int32(10+(i+1)%2)
		m.holder(at, a)
		m.wait(at+us, b, 0)
		m.holder(at+10*us, 0)
		m.taken(at+30*us, b)
		at += 30 * us
	}
	if got := rules(Analyze(m.end(at))); got != "gil.short_holds" {
		t.Errorf("findings %q", got)
	}
}

func TestLostAndCut(t *testing.T) {
	m := newMaker("waits")
	m.note(5, 0, trace.NoteLost, trace.Arg{Key: "events", Num: 3}, trace.Arg{Key: "what", Text: "ring"})
	m.t.Complete = false
	r := Analyze(&m.t)
	if r.Recording.LostEvents != 3 || rules(r) != "recording.cut recording.lost" {
		t.Errorf("lost %d, findings %q", r.Recording.LostEvents, rules(r))
	}
	m.end(10, trace.Arg{Key: "lost", Num: 7})
	if r := Analyze(&m.t); r.Recording.LostEvents != 7 {
		t.Errorf("lost %d", r.Recording.LostEvents)
	}
}

func TestAnalyzersAreDocumented(t *testing.T) {
	seen := map[string]bool{}
	for _, a := range Analyzers {
		if a.Name == "" || len(a.Doc) < 40 || a.Run == nil || seen[a.Name] {
			t.Errorf("analyzer %q", a.Name)
		}
		seen[a.Name] = true
	}
}
