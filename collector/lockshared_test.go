package collector

import (
	"testing"

	"gilscope/internal/cpython"
	"gilscope/internal/trace"
	"gilscope/probes"
)

// wakes is somebody who is not of the process.
func (b *lockBench) wakes(at trace.Time, woken uint32) {
	b.d.record(probes.Record{Rec: &probes.Rec{Ts: uint64(at * us), Kind: probes.KindWaking, Tgid: 11, Tid: 99, Peer: woken}})
}

// other is a thread of process 21 that gives a lock back to one of another process.
func (b *lockBench) other(at trace.Time, tid, woken uint32) {
	p := newProcess(21)
	p.stacks = newStacks(nil, b.d.w, nil)
	b.d.procs[21] = p
	b.d.record(probes.Record{Rec: &probes.Rec{Ts: uint64(at * us), Kind: probes.KindGave, Tgid: 21, Tid: tid, Peer: woken, Flags: probes.FlagPrev, Op: probes.LockAny}})
}

// TestSharedFromRecords: who gives back a lock that processes share may be of another one, or not recorded.
func TestSharedFromRecords(t *testing.T) {
	b := newLockBench(t)
	b.sleep(100, 11, 64, probes.LockCommon)
	b.wakes(290, 11)
	b.come(310, 11)
	b.sleep(315, 11, 64, probes.LockCommon)
	b.wakes(500, 11)
	b.other(501, 21, 11)
	b.come(510, 11)
	want := "100 11 waits 64; 290 11 gives 64; 501 21 gives 64; 510 11 taken by 21"
	if got := b.locks(1000); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestSharedNumbers: a lock has one number, wherever processes have it mapped, and it takes a bounded time and
// memory to find that.
func TestSharedNumbers(t *testing.T) {
	s := &sharedLocks{}
	at := func(start, inode uint64) *process {
		p := newProcess(int32(start))
		p.py = &cpython.Process{}
		p.locks = &lockObjects{maps: []cpython.Mapping{{Start: start, End: start + 4096, Dev: 1, Inode: inode}}, mapped: now()}
		return p
	}
	a, b, c := at(4096, 7), at(8192, 7), at(4096, 8)
	wait := func(address uint64) *lockWait { return &lockWait{address: address, common: true} }
	if n := s.number(a, wait(4096+64)); n == 0 || s.number(b, wait(8192+64)) != n || s.number(c, wait(4096+64)) == n || s.number(a, wait(4096)) == n {
		t.Errorf("%+v", s.numbers)
	}
	if n := s.number(a, &lockWait{address: 4096 + 64}); n != 0 {
		t.Errorf("a lock of one process is number %d", n)
	}
	s.second, s.spent = now()/1e9, mappingsPerSecond
	if s.mayRead(s.second*1e9) || !s.mayRead((s.second+1)*1e9) {
		t.Error("the time to read mappings is bounded by second")
	}
	last := s.last
	for i := range uint64(maxSharedLocks + 1) {
		s.number(at(4096, 100+i), wait(4096))
	}
	if len(s.numbers) > maxSharedLocks || s.last != last+maxSharedLocks+1 {
		t.Errorf("%d numbers are kept, the last is %d", len(s.numbers), s.last)
	}
}
