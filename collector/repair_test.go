package collector

import (
	"testing"

	"gilscope/internal/trace"
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
