package collector

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"os"

	"golang.org/x/sys/unix"

	"gilscope/internal/cpython"
	"gilscope/probes"
)

// findSleepers finds the threads that sleep for a lock when the recording begins. In a
// process that hangs they never leave a CPU again, and the probes would not see them.
// Their waits begin with the recording.
func (s *session) findSleepers(p *process) {
	for _, t := range p.threads {
		at := now()
		w, ok := p.sleeper(t.tid)
		if !ok || t.lock.open {
			continue
		}
		ts, ok := p.state(t.tid, at)
		if !ok {
			continue
		}
		w.open, w.blocked, w.begin, w.sleep, w.end, w.in = true, true, at, at, at, at
		k := p.stacks.lookup(stackOf(p.py.Frames(ts)))
		w.stack, w.kind = k.id, p.asleepFor(t, &w, k, ts)
		s.d.tellWait(t, w)
	}
}

// What probes/bpf/lock.h reads of a thread that sleeps, as /proc has it.
const (
	futexPrivate = 128
	parkedWithin = 1024
)

// sleeper says for what lock a thread sleeps now, if it does.
func (p *process) sleeper(tid int32) (w lockWait, ok bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/syscall", p.pid, tid))
	if err != nil {
		return w, false
	}
	var nr, word, op, value, timeout, rest, sp uint64
	if n, _ := fmt.Sscanf(string(text), "%d 0x%x 0x%x 0x%x 0x%x 0x%x 0x%x 0x%x", &nr, &word, &op, &value, &timeout, &rest, &rest, &sp); n != 8 {
		return w, false // it runs, or is in no system call
	}
	if what := op & 0x7f; nr != unix.SYS_FUTEX || word&7 != 0 || uint32(value) != 0 || what != opWait && what != opWaitBitset {
		return w, false
	}
	var b [16]byte
	if p.py.Read(word, b[:]) != nil {
		return w, false
	}
	waiters, shared := binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint32(b[8:])
	if waiters == 0 || waiters > 0xffff || shared&^futexPrivate != 0 {
		return w, false
	}
	w = lockWait{address: word, timed: timeout != 0, common: op&futexPrivate == 0}
	if w.parked = word-sp < parkedWithin; w.parked {
		if p.py.Read(word-8, b[:8]) != nil {
			return w, false
		}
		w.address = binary.LittleEndian.Uint64(b[:])
	}
	return w, true
}

// sleepsOn is sleeper of a thread, if that is the lock for which it slept when it was last seen.
func (p *process) sleepsOn(t *thread) (w lockWait, ok bool) {
	w, ok = p.sleeper(t.tid)
	return w, ok && w.address == t.lock.address && w.parked == t.lock.parked
}

// stackOf is a stack as the probes would have sent it.
func stackOf(frames []cpython.FrameAt) probes.Stack {
	var st probes.Stack
	if len(frames) == 0 {
		return st
	}
	h := fnv.New64a()
	for _, f := range frames {
		st.Frames = append(st.Frames, probes.Frame{Code: f.Code.Addr, Ident: f.Code.Ident, Lasti: f.At})
		fmt.Fprintln(h, f.Code.Addr, f.Code.Ident, f.At)
	}
	st.Hash = h.Sum64()
	return st
}
