package trace

import "sort"

// Sort puts events in canonical order: by time, and at one time by the Rank of
// their kinds, then by CPU, process, interpreter and thread. Ends thereby come
// before begins, so that what takes no time at all cannot be told from two
// slices in the wrong order: a slice lasts at least 1 ns. Events of one lane
// (a CPU, a GIL's holder, a counter, a thread) keep the order they have.
//
// A recording consists of a few sorted stretches, or is out of order only
// over short distances; for those the sort takes about linear time.
func Sort(events []Event) {
	runs := sortedRuns(events)
	if len(runs) > 2 {
		m := merger{events: events, runs: runs}
		m.sort(0, len(runs)-1)
	}
}

// minRun is the length up to which a run is made by insertion.
const minRun = 16

// sortedRuns finds the ascending runs, sorts short ones until they have minRun
// events, and returns where each begins, and the end.
func sortedRuns(events []Event) []int {
	var runs []int
	for i := 0; i < len(events); {
		start := i
		for i++; i < len(events) && !before(&events[i], &events[i-1]); i++ {
		}
		if end := min(start+minRun, len(events)); i < end {
			insertionSort(events[start:end], i-start)
			i = end
		}
		runs = append(runs, start)
	}
	return append(runs, len(events))
}

// insertionSort sorts events of which the first sorted ones are in order.
func insertionSort(events []Event, sorted int) {
	for i := sorted; i < len(events); i++ {
		e := events[i]
		j := i
		for ; j > 0 && before(&e, &events[j-1]); j-- {
			events[j] = events[j-1]
		}
		events[j] = e
	}
}

// merger merges runs; side takes what is overwritten.
type merger struct {
	events, side []Event
	runs         []int
}

// sort merges the runs from number lo up to but not including hi.
func (m *merger) sort(lo, hi int) {
	if hi-lo < 2 {
		return
	}
	mid := lo + (hi-lo)/2
	m.sort(lo, mid)
	m.sort(mid, hi)
	m.merge(m.runs[lo], m.runs[mid], m.runs[hi])
}

// merge merges two neighbouring sorted stretches, of which it only touches
// where they overlap.
func (m *merger) merge(lo, mid, hi int) {
	ev := m.events
	if !before(&ev[mid], &ev[mid-1]) {
		return
	}
	lo += sort.Search(mid-lo, func(i int) bool { return before(&ev[mid], &ev[lo+i]) })
	last := &ev[mid-1]
	hi = mid + sort.Search(hi-mid, func(i int) bool { return !before(&ev[mid+i], last) })
	m.side = append(m.side[:0], ev[lo:mid]...)
	left, out := m.side, ev[lo:hi]
	right := ev[mid:hi]
	k := 0
	for len(left) > 0 && len(right) > 0 {
		if before(&right[0], &left[0]) {
			out[k] = right[0]
			right = right[1:]
		} else {
			out[k] = left[0]
			left = left[1:]
		}
		k++
	}
	copy(out[k:], left)
}

// before is the canonical order of two events.
func before(a, b *Event) bool {
	if a.Time != b.Time {
		return a.Time < b.Time
	}
	return tieBefore(a, b)
}

// tieBefore is the order of two events of one time.
func tieBefore(a, b *Event) bool {
	if ra, rb := rank(a.Kind), rank(b.Kind); ra != rb {
		return ra < rb
	}
	switch {
	case a.CPU != b.CPU:
		return a.CPU < b.CPU
	case a.PID != b.PID:
		return a.PID < b.PID
	case a.GIL != b.GIL:
		return a.GIL < b.GIL
	}
	if a.Kind == SchedSwitch || a.Kind == SchedWaking || a.Kind == GILHolder {
		return false // the thread is the value, the lane is the CPU or the GIL
	}
	return a.TID < b.TID
}

func rank(k Kind) uint8 {
	if k >= numKinds {
		return numRanks
	}
	return Specs[k].Rank
}

// numRanks is above every Rank.
const numRanks = 255
