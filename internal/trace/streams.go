package trace

import "unsafe"

// eventList is a growing list of events that is never copied while it grows.
type eventList struct {
	full   [][]Event
	cur    []Event
	budget *budget
}

// eventBytes is the size of an Event.
const eventBytes = int(unsafe.Sizeof(Event{}))

// slot is the place of the next event.
func (l *eventList) slot() *Event {
	if len(l.cur) == cap(l.cur) {
		l.grow()
	}
	l.cur = l.cur[:len(l.cur)+1]
	return &l.cur[len(l.cur)-1]
}

func (l *eventList) grow() {
	size := min(max(2*cap(l.cur), 32), 16<<10)
	if !l.budget.spend(size * eventBytes) {
		// The file is refused after this chunk: what it has more goes nowhere.
		if l.cur = l.cur[:0]; cap(l.cur) > 0 {
			return
		}
	}
	if len(l.cur) > 0 {
		l.full = append(l.full, l.cur)
	}
	l.cur = make([]Event, 0, size)
}

// stream ends the list and returns its events in canonical order.
func (l *eventList) stream() eventStream {
	if len(l.cur) > 0 {
		l.full = append(l.full, l.cur)
	}
	s := eventStream{parts: l.full}
	*l = eventList{}
	for _, p := range s.parts {
		s.len += len(p)
	}
	if !s.sorted() {
		all := make([]Event, 0, s.len)
		for i, p := range s.parts {
			all = append(all, p...)
			s.parts[i] = nil
		}
		Sort(all)
		s.parts = [][]Event{all}
	}
	return s
}

// eventStream is a sorted sequence of events, in parts that are not empty.
type eventStream struct {
	parts [][]Event
	len   int
}

func (s *eventStream) sorted() bool {
	for i, p := range s.parts {
		if i > 0 {
			if last := s.parts[i-1]; before(&p[0], &last[len(last)-1]) {
				return false
			}
		}
		for k := 1; k < len(p); k++ {
			if before(&p[k], &p[k-1]) {
				return false
			}
		}
	}
	return true
}

// head is the first event.
func (s *eventStream) head() *Event { return &s.parts[0][0] }

// mergeStreams merges sorted streams into one slice. Streams never tie: each
// CPU has its own and the others have none of its kinds.
func mergeStreams(streams []eventStream) []Event {
	n := 0
	heap := make([]eventStream, 0, len(streams))
	for _, s := range streams {
		if n += s.len; s.len > 0 {
			heap = append(heap, s)
		}
	}
	for i := len(heap)/2 - 1; i >= 0; i-- {
		sink(heap, i)
	}
	out := make([]Event, 0, n)
	for len(heap) > 1 {
		next := heap[1].head()
		if len(heap) > 2 && before(heap[2].head(), next) {
			next = heap[2].head()
		}
		out = heap[0].takeUntil(out, next)
		if len(heap[0].parts) == 0 {
			heap[0] = heap[len(heap)-1]
			heap = heap[:len(heap)-1]
		}
		sink(heap, 0)
	}
	for _, s := range heap {
		for _, p := range s.parts {
			out = append(out, p...)
		}
	}
	return out
}

// takeUntil moves the events that come before limit, of the first part at
// least one, to out.
func (s *eventStream) takeUntil(out []Event, limit *Event) []Event {
	p := s.parts[0]
	n := 1
	for n < len(p) && before(&p[n], limit) {
		n++
	}
	out = append(out, p[:n]...)
	if s.parts[0] = p[n:]; n == len(p) {
		s.parts[0] = nil
		s.parts = s.parts[1:]
	}
	return out
}

// sink restores the heap order, the earliest head first, below i.
func sink(heap []eventStream, i int) {
	for {
		child := 2*i + 1
		if child >= len(heap) {
			return
		}
		if child+1 < len(heap) && before(heap[child+1].head(), heap[child].head()) {
			child++
		}
		if !before(heap[child].head(), heap[i].head()) {
			return
		}
		heap[i], heap[child] = heap[child], heap[i]
		i = child
	}
}
