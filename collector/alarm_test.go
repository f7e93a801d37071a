package collector

import (
	"strings"
	"testing"
	"time"

	"gilscope/internal/trace"
)

func containsText(err error, text string) bool { return strings.Contains(err.Error(), text) }

// watched is a GIL whose events an alarm sees.
func watched(full bool, triggers ...Trigger) (*bench, *alarm, *dispatcher) {
	b, a := newBench(full), newAlarm(triggers)
	d := newDispatcher(nil)
	d.procs[1] = b.p
	emit := b.g.emit
	b.g.emit = func(e trace.Event) { a.ended(b.p, &e); emit(e) }
	return b, a, d
}

// An alarm fires once for a long wait: when it ends, or while it goes on.
func TestAlarmOnWaits(t *testing.T) {
	b, a, d := watched(false, Trigger{MetricWait, 5 * time.Millisecond}, Trigger{MetricWait, 7 * time.Millisecond})
	b.leave(100, 12, 72, held(11, 7))
	a.goingOn(d, 5000*us)
	b.in(5100, 12)
	b.g.wakes(b.p.thread(12), 5100*us, wordSwitchLo)
	if a.fired != "" {
		t.Errorf("%q after a wait of 5 ms", a.fired)
	}
	b.leave(6000, 12, 72, held(11, 9))
	a.goingOn(d, 11_500*us)
	if a.fired != "trigger gil.wait 5 ms" {
		t.Errorf("%q while a wait of 5.5 ms goes on", a.fired)
	}
	a.fired = ""
	a.goingOn(d, 12_000*us)
	b.in(13_000, 12)
	a.goingOn(d, 90_000*us) // it has the GIL perhaps
	b.g.wakes(b.p.thread(12), 13_000*us, wordSwitchLo)
	if a.fired != "" {
		t.Errorf("%q: a second time for one wait", a.fired)
	}
	b.leave(20_000, 12, 72, held(11, 11))
	b.in(29_000, 12)
	b.g.wakes(b.p.thread(12), 29_000*us, wordSwitchLo)
	if a.fired != "trigger gil.wait 9 ms" {
		t.Errorf("%q at the end of a wait of 9 ms", a.fired)
	}
}

// A hold counts as long as it lasts, however late its end is told.
func TestAlarmOnHolds(t *testing.T) {
	b, a, d := watched(true, Trigger{MetricHold, 50 * time.Millisecond})
	at := func(us_ trace.Time, s sample) sample { s.time = us_ * us; return s }
	t11 := b.p.thread(11)
	b.g.taken(t11, at(10, held(11, 1)))
	b.g.drops(t11, at(20, free(11, 1)), trace.DropVoluntary)
	a.goingOn(d, 900_000*us)
	b.g.taken(t11, at(900_000, held(11, 1)))
	if a.fired != "" {
		t.Errorf("%q after a hold of 10 us", a.fired)
	}
	b.g.drops(t11, at(960_000, free(11, 1)), trace.DropForced)
	b.g.flushHandOff()
	if a.fired != "trigger gil.hold 60 ms" {
		t.Errorf("%q after a hold of 60 ms", a.fired)
	}
	a.fired = ""
	b.g.taken(t11, at(970_000, held(11, 1)))
	if a.goingOn(d, 1_030_000*us); a.fired != "trigger gil.hold 60 ms" {
		t.Errorf("%q while a hold of 60 ms goes on", a.fired)
	}
}
