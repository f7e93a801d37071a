package collector

import (
	"testing"
	"time"

	"gilscope/internal/cpython"
	"gilscope/internal/trace"
	"gilscope/probes"
)

// A thread whose switch-in was not reported cannot have had the CPU that it
// leaves before that was another's, however long ago it was woken.
func TestUnseenSwitchInIsOnAFreeCPU(t *testing.T) {
	b := newBench(false)
	b.leave(100, 12, 72, held(11, 7))
	waiter := b.p.thread(12)
	waiter.woken = 5100 * us
	if !b.g.leavesCPU(waiter, 10430*us, 10300*us) {
		t.Error("no switch was repaired")
	}
	b.g.sampled(sample{time: 10430 * us, holder: 12, switches: 8, locked: true})
	b.want(t, "100 holder 11", "100 wait 12 holder 11", "10300 end 12 outcome 0", "10300 holder 12")
}

// Whoever has dropped the GIL by itself before a waiter's slice expires was not
// asked to: when it loses its CPU later, it does not want the GIL.
func TestSliceThatExpiresAfterADropAsksNobody(t *testing.T) {
	for _, c := range []struct {
		holder   int32 // later
		switches uint32
		asked    bool
	}{{11, 7, true}, {12, 8, false}} {
		b := newBench(false)
		b.leave(100, 13, 72, held(11, 7))
		b.g.sampled(sample{time: 200 * us, holder: c.holder, switches: c.switches, locked: true})
		b.in(5150, 13)
		if got := b.p.thread(11).asked; got != c.asked {
			t.Errorf("then %d holds it: thread 11 was asked: %v", c.holder, got)
		}
	}
}

// One thread can take the GIL with several thread states, and each is a change
// to the interpreter; one that is freed can be another thread's next.
func TestChangesAreOfThreadStates(t *testing.T) {
	b := newBench(true)
	for i, tstate := range []uint64{0x10, 0x10, 0x20, 0x30, 0x30} {
		b.g.count(sample{time: trace.Time(i+1) * us, tstate: tstate})
	}
	if n := b.g.totals; n.takes != 5 || n.changes != 2 {
		t.Errorf("%d takes, %d changes; want 5 and 2", n.takes, n.changes)
	}
}

// A timer that fires while another thread is on its way to sleep on the GIL, or
// wakes somebody on another GIL, is no drop: the slice has expired.
func TestTimerWhileAnotherIsInAFutexCall(t *testing.T) {
	const slice = 5_100_000
	for _, c := range []struct {
		name  string
		op    uint8
		place uint8
		asked bool
	}{
		{"another goes to sleep", opWaitBitset, 0, true},
		{"a drop of another GIL", opWake, 1, true},
		{"the drop", opWake, 0, false},
	} {
		b := newPipeline(t, probes.Waits)
		p := b.s.d.procs[benchPID]
		b.s.settle(p, []cpython.Interpreter{{Addr: 1, GIL: 1, Interval: 5 * time.Millisecond}, {Addr: 2, GIL: 2, ID: 1, Interval: 5 * time.Millisecond}})
		p.places[0].gil.words, p.places[1].gil.words = true, true
		b.records, b.at = nil, benchBegin
		held := probes.Rec{Flags: probes.FlagGIL | probes.FlagLocked, HolderTid: benchPID, Switches: 7}
		b.comes(0, benchPID+1)
		b.blocks(held, 0, benchPID+1)
		b.at += slice
		fields := held
		fields.Place = c.place
		wake := b.add(fields, probes.KindWaking, 1, benchPID+2, benchPID+1)
		wake.Word, wake.Op, wake.Flags = wordCondLo, c.op, wake.Flags|probes.FlagPrev
		b.comes(0, benchPID+1)
		for _, r := range b.records {
			b.s.d.record(r)
		}
		if got := p.thread(benchPID).asked; got != c.asked {
			t.Errorf("%s: the holder was asked to drop: %v", c.name, got)
		}
	}
}

// Where the probes see drops, they tell who was asked.
func TestDropsTellWhoWasAsked(t *testing.T) {
	b := newBench(true)
	for _, c := range []struct {
		reason trace.DropReason
		before bool
		want   bool
	}{{trace.DropForced, false, true}, {trace.DropVoluntary, true, false}, {trace.DropUnknown, true, true}, {trace.DropUnknown, false, false}} {
		b.p.thread(11).asked = c.before
		b.g.drops(b.p.thread(11), sample{time: 100 * us, holder: 11, switches: 7}, c.reason)
		if got := b.p.thread(11).asked; got != c.want {
			t.Errorf("reason %d, asked %v before: asked %v after", c.reason, c.before, got)
		}
	}
}
