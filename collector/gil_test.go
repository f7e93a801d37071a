package collector

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"gilscope/internal/trace"
)

const us = trace.Time(1000)

// bench is a GIL with three threads and the events it emitted, as text.
type bench struct {
	g   *gil
	p   *process
	out []string
}

func newBench(full bool) *bench {
	b := &bench{p: newProcess(1)}
	for _, tid := range []int32{11, 12, 13} {
		b.p.join(tid)
	}
	emit := func(e trace.Event) {
		b.out = append(b.out, fmt.Sprintf("%d %s", e.Time/us, describe(e)))
	}
	b.g = newGIL(b.p, 0, 5000*us, full, true, emit)
	return b
}

func describe(e trace.Event) string {
	switch e.Kind {
	case trace.GILWaitBegin:
		return fmt.Sprintf("wait %d holder %d", e.TID, e.Other)
	case trace.GILWaitEnd:
		return fmt.Sprintf("end %d outcome %d", e.TID, e.Arg)
	case trace.GILDropRequest:
		return fmt.Sprintf("request %d to %d", e.TID, e.Other)
	case trace.GILHolder:
		return fmt.Sprintf("holder %d", e.TID)
	case trace.GILHoldBegin:
		return fmt.Sprintf("hold %d flow %d", e.TID, e.Flow&0xff)
	case trace.GILHoldEnd:
		return fmt.Sprintf("drop %d reason %d flow %d", e.TID, e.Arg, e.Flow&0xff)
	}
	return fmt.Sprintf("kind %d", e.Kind)
}

// in and out are a thread's switch-in and its switch-out with the GIL's fields.
func (b *bench) in(at trace.Time, tid int32) {
	t := b.p.thread(tid)
	b.g.getsCPU(t, at*us)
	t.lastIn = at * us
}

func (b *bench) leave(at trace.Time, tid int32, word uint16, s sample) bool {
	t := b.p.thread(tid)
	repaired := b.g.leavesCPU(t, at*us, 0)
	s.time = at * us
	b.g.sampled(s)
	b.g.sleeps(t, block{sample: s, waiting: word != 0, word: word})
	return repaired
}

func held(by int32, switches uint32) sample {
	return sample{holder: by, switches: switches, locked: true}
}
func free(last int32, switches uint32) sample {
	return sample{holder: last, switches: switches}
}

func (b *bench) want(t *testing.T, want ...string) {
	t.Helper()
	got := slices.DeleteFunc(slices.Clone(b.out), func(s string) bool { return strings.Contains(s, "holder seen") })
	if !slices.Equal(got, want) {
		t.Errorf("events:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// A waiter whose slices expire asks the holder; one wait, from the first sleep
// to the switch-in after which the GIL shows it as its holder.
func TestWaitOfSeveralSlices(t *testing.T) {
	b := newBench(false)
	b.in(0, 11)
	b.in(50, 12)
	b.leave(100, 12, 72, held(11, 7))
	b.in(5150, 12)
	b.leave(5160, 12, 76, held(11, 7))
	b.in(7000, 12)
	b.g.sampled(sample{time: 9000 * us, holder: 12, switches: 8, locked: true})
	b.want(t, "100 holder 11", "100 wait 12 holder 11", "5150 request 12 to 11", "7000 end 12 outcome 0", "7000 holder 12")
}

// Being preempted on the way is part of the wait.
func TestPreemptedWaiterGoesOnWaiting(t *testing.T) {
	b := newBench(false)
	b.leave(100, 12, 72, held(11, 7))
	b.in(2000, 12)
	tw := b.p.thread(12)
	b.g.leavesCPU(tw, 2010*us, 0)
	b.g.preempted(tw, block{sample: held(11, 7)})
	b.in(4000, 12)
	b.leave(4020, 12, 72, held(11, 7))
	b.in(6000, 12)
	b.g.wakes(tw, 6020*us, wordSwitchLo)
	b.want(t, "100 holder 11", "100 wait 12 holder 11", "6020 end 12 outcome 0")
}

// A thread that takes the GIL, works and soon waits again has two waits.
func TestRetakeEndsTheWait(t *testing.T) {
	b := newBench(false)
	b.leave(100, 12, 72, held(11, 7))
	b.in(200, 12)
	b.g.wakes(b.p.thread(12), 230*us, wordCondLo)
	b.leave(240, 12, 72, held(11, 9))
	b.in(300, 12)
	b.g.ends(b.p.thread(12), 400*us, trace.WaitUnknown)
	b.want(t, "100 holder 11", "100 wait 12 holder 11", "200 end 12 outcome 0", "240 wait 12 holder 11", "400 end 12 outcome 2")
}

// The kernel does not report every switch: a sleeper that sleeps again was
// awake in between, since it was last woken.
func TestLostSwitchIsRepaired(t *testing.T) {
	b := newBench(false)
	b.leave(100, 12, 72, held(11, 7))
	b.p.thread(12).woken = 3000 * us
	if !b.leave(900_000, 12, 0, free(12, 8)) {
		t.Error("the switch was not noticed")
	}
	b.want(t, "100 holder 11", "100 wait 12 holder 11", "3000 end 12 outcome 0", "3000 holder 12", "900000 holder 0")
}

// A dropper that sleeps until another takes the GIL waits only if it was asked
// to drop; the holder's own mutex is no wait at all.
func TestSleepsOfTheDropper(t *testing.T) {
	b := newBench(false)
	b.leave(100, 11, 160, free(11, 7))
	b.in(150, 11)
	b.leave(160, 11, 80, held(11, 7))
	b.in(170, 11)
	b.want(t, "100 holder 0", "150 holder 11")
	b = newBench(false)
	b.p.thread(11).asked = true
	b.leave(100, 11, 160, free(11, 7))
	b.in(150, 11)
	b.leave(160, 11, 72, held(12, 8))
	b.in(900, 11)
	b.g.ends(b.p.thread(11), 950*us, trace.WaitExit)
	b.want(t, "100 holder 0", "100 holder 12", "100 wait 11 holder 12", "950 end 11 outcome 1")
}

// A forced dropper that gets the GIL back without sleeping for it again has
// waited all the same; one that goes to sleep elsewhere dropped for that.
func TestForcedDropperWaitsForTheTake(t *testing.T) {
	b := newBench(false)
	b.p.thread(11).asked = true
	b.leave(100, 11, 160, free(11, 7))
	b.in(150, 11)
	b.g.sampled(sample{time: 900 * us, holder: 11, switches: 9, locked: true})
	b.want(t, "100 holder 0", "100 wait 11 holder 0", "150 end 11 outcome 0", "150 holder 11")
	b = newBench(false)
	b.p.thread(11).asked = true
	b.leave(100, 11, 160, free(11, 7))
	b.in(150, 11)
	b.leave(160, 11, 0, free(12, 8))
	b.want(t, "100 holder 0", "100 holder 12", "160 holder 0")
}

// With takes and drops seen, holds are exact, and hand-offs are linked.
func TestTakesAndDrops(t *testing.T) {
	b := newBench(true)
	at := func(us_ trace.Time, s sample) sample { s.time = us_ * us; return s }
	t11, t12 := b.p.thread(11), b.p.thread(12)
	b.g.taken(t11, at(10, held(11, 1)))
	b.g.enters(t12, at(20, held(11, 1)))
	b.g.drops(t11, at(5020, free(11, 1)), trace.DropForced)
	b.g.taken(t12, at(5040, held(12, 2)))
	b.g.drops(t12, at(5050, free(12, 2)), trace.DropVoluntary)
	b.g.taken(t12, at(5060, held(12, 2)))
	b.g.taken(t11, at(6000, held(11, 3))) // the drop of 12 was lost
	b.g.ends(t11, 7000*us, trace.WaitExit)
	b.g.flushHandOff()
	b.want(t,
		"10 hold 11 flow 0", "10 holder 11",
		"5020 holder 0",
		"20 wait 12 holder 11", "5040 end 12 outcome 0",
		"5020 drop 11 reason 1 flow 1", "5040 hold 12 flow 1", "5040 holder 12",
		"5050 holder 0", "5050 drop 12 reason 2 flow 0", "5060 hold 12 flow 0", "5060 holder 12",
		"6000 drop 12 reason 0 flow 2", "6000 hold 11 flow 2", "6000 holder 11",
		"7000 holder 0", "7000 drop 11 reason 3 flow 0")
}

// The lane finds holds between samples by the switch number, and a retake by
// the locked flag, and never goes back in time.
func TestLane(t *testing.T) {
	var steps []string
	l := lane{step: func(at trace.Time, holder int32) { steps = append(steps, fmt.Sprintf("%d:%d", at, holder)) }}
	a, c := &thread{tid: 1, lastIn: 50}, &thread{tid: 2, lastIn: 130}
	l.sampled(sample{time: 100, holder: 1, switches: 1, locked: true}, a)
	l.sampled(sample{time: 120, holder: 1, switches: 1, locked: false}, a)
	l.sampled(sample{time: 150, holder: 2, switches: 2, locked: true}, c)
	l.sampled(sample{time: 160, holder: 9, switches: 3, locked: true}, nil)
	l.sampled(sample{time: 170, holder: 2, switches: 2, locked: false}, c)
	a.lastIn = 90
	l.sampled(sample{time: 180, holder: 1, switches: 4, locked: true}, a)
	l.ends(1, 200)
	want := "100:1 120:0 130:2 170:0 170:1 200:0"
	if got := strings.Join(steps, " "); got != want {
		t.Errorf("steps %s, want %s", got, want)
	}
}

// The counter follows changes that come out of order, and is not finer than a millisecond.
func TestWaiterCount(t *testing.T) {
	var got []string
	c := waiterCount{emit: func(at trace.Time, n int64) { got = append(got, fmt.Sprintf("%d=%d", at/us, n)) }}
	c.change(2000*us, +1)
	c.change(9000*us, -1)
	c.change(2100*us, +1)
	c.change(5000*us, -1)
	c.flush(6000 * us)
	c.flush(20000 * us)
	want := "2000=1 3000=2 5000=1 9000=0"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("counter %s, want %s", s, want)
	}
}

func TestBusyShare(t *testing.T) {
	var got []string
	b := busyShare{emit: func(at trace.Time, n int64) { got = append(got, fmt.Sprintf("%d=%d", at/busyBucket, n)) }}
	b.add(busyBucket, busyBucket+busyBucket/2)
	b.add(busyBucket*3/2+1, busyBucket*3)
	b.flush(busyBucket * 5)
	if s := strings.Join(got, " "); s != "1=100 2=100 3=0 4=0" {
		t.Errorf("counter %s", s)
	}
}
