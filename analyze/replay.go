package analyze

import "container/heap"

// quantum is how long a thread computes before the next one that is ready has its turn.
// Linux gives 3 ms or so; the end depends little on it.
const quantum = 4_000_000

// maxTurns bounds the turns of a replay: a file may claim any amount of computing.
const maxTurns = 1 << 22

// stage is a replay that goes on: the actors on a number of CPUs.
type stage struct {
	r       *replay
	free    int // CPUs
	now     int64
	turn    int64 // ns of one
	at      []int // by actor: its next step
	left    []int64
	ready   []int
	raised  []bool          // by signal
	waits   map[int32][]int // by signal: actors that wait for it
	todo    []int           // actors that go on at this moment
	events  eventHeap
	noLocks bool // waits for locks that threads hold are left out
	missing int  // actors that count and are not at their end
	first   int64
	last    int64
	seq     int64
}

// stageEvent is the end of a turn or of a pause.
type stageEvent struct {
	at, seq int64
	actor   int
	ran     int64 // 0: it was a pause
}

type eventHeap []stageEvent

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, k int) bool {
	return h[i].at < h[k].at || h[i].at == h[k].at && h[i].seq < h[k].seq
}
func (h eventHeap) Swap(i, k int) { h[i], h[k] = h[k], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(stageEvent)) }
func (h *eventHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// play plays the actors on so many CPUs without a GIL, and returns how long it takes from the
// first moment at which one that counts computes until all of them are at their ends. ok is
// false if they cannot get there: what was recorded contradicts itself.
func (r *replay) play(cpus int, noLocks bool) (ns int64, ok bool) {
	s := &stage{r: r, free: cpus, at: make([]int, len(r.actors)), left: make([]int64, len(r.actors)), raised: make([]bool, r.signals),
		waits: map[int32][]int{}, noLocks: noLocks, first: -1}
	var all float64 // a file may claim more than fits
	for i := range r.actors {
		for _, step := range r.actors[i].steps {
			if step.act == actRun {
				all += float64(step.ns)
			}
		}
		if r.actors[i].counts {
			s.missing++
		}
		s.todo = append(s.todo, i)
	}
	s.turn = max(quantum, int64(all/maxTurns))
	for {
		s.goOn()
		if s.missing == 0 {
			return s.last - max(s.first, 0), true
		}
		s.fill()
		if len(s.events) == 0 {
			return 0, false
		}
		s.next()
	}
}

// goOn takes all actors that can to their next step that takes time.
func (s *stage) goOn() {
	for len(s.todo) > 0 {
		i := s.todo[0]
		s.todo = s.todo[1:]
		s.steps(i)
	}
}

// steps takes one actor on.
func (s *stage) steps(i int) {
	a := &s.r.actors[i]
	for ; s.at[i] < len(a.steps); s.at[i]++ {
		switch step := &a.steps[s.at[i]]; step.act {
		case actRaise:
			s.raised[step.signal] = true
			s.todo = append(s.todo, s.waits[step.signal]...)
			delete(s.waits, step.signal)
		case actAwait:
			if !s.raised[step.signal] && !(s.noLocks && step.lock) {
				s.waits[step.signal] = append(s.waits[step.signal], i)
				return
			}
		case actPause:
			s.push(stageEvent{at: s.now + step.ns, actor: i})
			return
		case actRun:
			s.left[i] = step.ns
			s.ready = append(s.ready, i)
			return
		}
	}
	if a.counts {
		s.missing--
		s.last = s.now
	}
}

// fill gives free CPUs to those who are ready.
func (s *stage) fill() {
	for s.free > 0 && len(s.ready) > 0 {
		i := s.ready[0]
		s.ready = s.ready[1:]
		s.free--
		if s.first < 0 && s.r.actors[i].counts {
			s.first = s.now
		}
		ran := min(s.left[i], s.turn)
		s.push(stageEvent{at: s.now + ran, actor: i, ran: ran})
	}
}

func (s *stage) push(e stageEvent) {
	s.seq++
	e.seq = s.seq
	heap.Push(&s.events, e)
}

// next goes to the next end of a turn or of a pause.
func (s *stage) next() {
	e := heap.Pop(&s.events).(stageEvent)
	s.now = e.at
	if e.ran > 0 {
		s.free++
		if s.left[e.actor] -= e.ran; s.left[e.actor] > 0 {
			s.ready = append(s.ready, e.actor)
			return
		}
	}
	s.at[e.actor]++
	s.todo = append(s.todo, e.actor)
}
