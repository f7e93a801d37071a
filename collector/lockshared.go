package collector

import (
	"gilscope/internal/cpython"
	"gilscope/internal/trace"
)

// sharedLocks numbers the locks in memory that processes share: each process has such a
// lock at an address of its own, but all have the same part of the same file mapped there.
type sharedLocks struct {
	numbers map[cpython.SharedWord]int32
	last    int32
	second  trace.Time // the present one,
	spent   trace.Time // and how long mappings were read in it
}

// Limits of looking for where a lock lies.
const (
	// Mappings are read again after this, and when a word is not in them after the other.
	believeMappings = trace.Time(1e9)
	missesMappings  = trace.Time(50e6)
	// Reading them takes some 0.3 ms, and longer where there are very many: this bounds it to a twentieth of the time.
	mappingsPerSecond = trace.Time(50e6)
	maxSharedLocks    = 1 << 14
)

// number is that of the lock for which a thread sleeps; 0: it is none that processes
// share, or its place is not known.
func (s *sharedLocks) number(p *process, w *lockWait) int32 {
	if !w.common || w.parked || p.py == nil {
		return 0
	}
	word, ok := s.find(p, w)
	if !ok {
		return 0
	}
	n := s.numbers[word]
	if n == 0 {
		if len(s.numbers) >= maxSharedLocks || s.numbers == nil {
			s.numbers = map[cpython.SharedWord]int32{} // those that still exist get new numbers
		}
		s.last++
		n = s.last
		s.numbers[word] = n
	}
	return n
}

// find looks the lock up in the mappings of its process, which are read for many locks at once.
func (s *sharedLocks) find(p *process, w *lockWait) (cpython.SharedWord, bool) {
	o, at := p.lockObjects(), now()
	word, ok := cpython.FindShared(o.maps, w.address)
	old := o.mapped == 0 || at-o.mapped >= believeMappings || !ok && at-o.mapped >= missesMappings
	if !old || !s.mayRead(at) {
		return word, ok
	}
	maps, err := cpython.SharedMappings(int(p.pid))
	o.mapped = now()
	s.spent += o.mapped - at
	if err != nil { // it is gone: what was read of it before is still true
		return word, ok
	}
	o.maps = maps
	return cpython.FindShared(maps, w.address)
}

// mayRead says whether there is time left in this second.
func (s *sharedLocks) mayRead(at trace.Time) bool {
	if second := at / 1e9; second != s.second {
		s.second, s.spent = second, 0
	}
	return s.spent < mappingsPerSecond
}
