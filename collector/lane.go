package collector

import "gilscope/internal/trace"

// lane is the timeline of one GIL's holders. With takes and drops seen it
// steps with them; otherwise it is rebuilt from samples of the GIL's fields.
type lane struct {
	known    bool
	holder   int32      // 0: nobody
	last     int32      // who held last
	at       trace.Time // of the last step
	seen     trace.Time // of the last sample
	switches uint32     // switch number at the last sample
	step     func(at trace.Time, holder int32)
}

func (l *lane) start(s sample) {
	l.known, l.seen, l.switches = true, s.time, s.switches
	l.holder = -1
	l.set(s.time, s.heldBy())
}

// set moves the lane. Steps never go back in time.
func (l *lane) set(at trace.Time, holder int32) {
	at = max(at, l.at)
	if holder == l.holder {
		return
	}
	if l.holder, l.at = holder, at; holder != 0 {
		l.last = holder
	}
	l.step(at, holder)
}

// sampled rebuilds: a new switch number means a new holder, who took the GIL
// when it last got a CPU, or after the last sample with the old number,
// whichever is later. The number does not rise when the same thread takes the
// GIL again, but the locked flag shows that it had dropped it.
func (l *lane) sampled(s sample, holder *thread) {
	if !l.known {
		l.start(s)
		return
	}
	if holder == nil && s.locked {
		return // read while it changed, or a thread that is gone: says nothing
	}
	took := l.seen
	if holder != nil {
		took = max(took, holder.lastIn)
	}
	took = min(took, s.time)
	if s.switches != l.switches {
		l.set(took, s.holder)
	} else if s.locked {
		l.set(took, s.holder)
	}
	if !s.locked {
		l.set(s.time, 0)
	}
	l.seen, l.switches = s.time, s.switches
}

// ends notes that a thread is gone: it holds nothing.
func (l *lane) ends(tid int32, at trace.Time) {
	if l.known && l.holder == tid {
		l.set(at, 0)
	}
}
