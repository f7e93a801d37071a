package collector

import (
	"slices"

	"gilscope/internal/trace"
)

// late is how long after its time an event may still turn up: the end of a wait
// is known only when the thread is next seen, at the latest by a CPU sample.
const late = trace.Time(250e6)

// counterStep is the finest step of a counter in the trace; finer ones would
// outnumber the waits they count.
const counterStep = trace.Time(1e6)

// waiterCount turns begins and ends of waits, which come out of order, into a
// counter in order.
type waiterCount struct {
	changes []change
	value   int64
	told    int64
	last    trace.Time
	emit    func(at trace.Time, waiters int64)
}

type change struct {
	at    trace.Time
	delta int64
}

func (c *waiterCount) change(at trace.Time, delta int64) {
	c.changes = append(c.changes, change{at, delta})
}

// flush emits the counter up to a moment before which nothing will change.
func (c *waiterCount) flush(until trace.Time) {
	slices.SortStableFunc(c.changes, func(a, b change) int { return int(min(max(a.at-b.at, -1), 1)) })
	n := 0
	for _, ch := range c.changes {
		if ch.at > until {
			break
		}
		n++
		if ch.at-c.last >= counterStep {
			c.tell(c.last + counterStep)
		}
		c.value += ch.delta
		if ch.at-c.last >= counterStep {
			c.tell(ch.at)
		}
	}
	c.changes = append(c.changes[:0], c.changes[n:]...)
	if until-c.last >= counterStep {
		c.tell(c.last + counterStep)
	}
}

// tell emits the value if it differs from the one last told.
func (c *waiterCount) tell(at trace.Time) {
	if c.value == c.told {
		return
	}
	c.told, c.last = c.value, at
	c.emit(at, c.value)
}

// busyShare counts the time the GIL was held, by bucket.
type busyShare struct {
	start trace.Time
	held  []trace.Time // by bucket since start; a ring of what may still change
	told  int64        // the last value, of a counter that is told only when it changes
	emit  func(at trace.Time, percent int64)
}

// busyBucket is the width of one value of the busy counter.
const busyBucket = trace.Time(100e6)

// add notes that the GIL was held in [from, to).
func (b *busyShare) add(from, to trace.Time) {
	if b.start == 0 {
		b.start = from
	}
	from = max(from, b.start)
	for from < to {
		i := int((from - b.start) / busyBucket)
		end := min(to, b.start+trace.Time(i+1)*busyBucket)
		for len(b.held) <= i {
			b.held = append(b.held, 0)
		}
		b.held[i] += end - from
		from = end
	}
}

// flush emits the buckets that end before until.
func (b *busyShare) flush(until trace.Time) {
	for b.start != 0 && b.start+busyBucket <= until {
		var held trace.Time
		if len(b.held) > 0 {
			held = b.held[0]
			b.held = b.held[1:]
		}
		b.emit(b.start, int64((held*100+busyBucket/2)/busyBucket))
		b.start += busyBucket
	}
}
