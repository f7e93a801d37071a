package collector

import (
	"testing"

	"gilscope/internal/cpython"
)

// TestLookAtHeld: a line that waits for a lock is looked at some times only, and all together
// not too often; after a term, it counts as new.
func TestLookAtHeld(t *testing.T) {
	o := &lockOrders{}
	w := &lockWait{address: 64, stack: 3}
	for i := range looksAtWait + 1 {
		if o.may(w) != (i < looksAtWait) {
			t.Errorf("look %d", i)
		}
	}
	looks := looksAtWait
	for i := range 2 * ordersPerSecond {
		if o.may(&lockWait{address: uint64(1000 + i)}) {
			looks++
		}
	}
	if looks > 2*ordersPerSecond { // the second may change meanwhile
		t.Errorf("%d looks", looks)
	}
	th := &thread{tid: 7, lock: *w}
	held := []cpython.Lock{{Object: 32}}
	if !o.news(th, 3, nil, held) || o.news(th, 3, nil, held) || !o.news(th, 4, nil, held) {
		t.Error("what is new is told once")
	}
	o.since, o.all.second = o.since-ordersTerm-1, 0
	if !o.may(w) || !o.news(th, 3, nil, held) {
		t.Error("a new term begins")
	}
}
