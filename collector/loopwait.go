package collector

import (
	"gilscope/internal/trace"
	"gilscope/probes"
)

// ownCode tells the wait of a loop from waits of what it runs, by addresses of code objects: runs is the loop
// itself, and calls what it has called to wait, 0 for no Python code.
type ownCode struct{ runs, calls uint64 }

// mayServeOthers says of a system call whether what a loop runs waits by it as well as the loop, and
// nothing in its arguments tells which.
func mayServeOthers(nr int32) bool { return probes.IsWait(nr) && !probes.IsEpoll(nr) }

// waitOf is the wait by which a loop was known, in a stack.
func waitOf(nr, fd int32, k known) probes.LoopWait {
	w := probes.LoopWait{NR: nr, FD: fd}
	if mayServeOthers(nr) {
		w.Runs, w.Calls = k.own.runs, k.own.calls
	}
	return w
}

// ownWait says of a stack of asyncio that what lies on top is the loop's own wait,
// not one within what it runs.
func (s *stacks) ownWait(k known) bool {
	above := s.above(k)
	return above < len(k.frames) && s.about[k.frames[above]].role&roleRunOnce != 0
}

// ownCode is the code by which the programs tell the wait of a loop of asyncio that a stack shows; 0: the
// stack shows none, or it is deeper than they look.
func (s *stacks) ownCode(frames []probes.Frame, k known) ownCode {
	if !s.ownWait(k) {
		return ownCode{}
	}
	at := s.above(k)
	if at >= min(len(frames), probes.WaitDepth) {
		return ownCode{}
	}
	c := ownCode{runs: frames[at].Code}
	if at > 0 {
		c.calls = frames[at-1].Code
	}
	return c
}

// maxAnew is how often a loop may come to wait in another way. From then on all such calls count as its
// waits: what it runs is not told from it.
const maxAnew = 8

// waitsAnew handles a loop that sleeps within an iteration: false if it is blocked there. Else that is its
// wait, which it makes in another way than when it was known (with another selector, or by another system
// call), and from now on.
func (d *dispatcher) waitsAnew(p *process, t *thread, r probes.Record, k known) bool {
	l, nr := t.loop, r.At.Call()
	if r.Flags&probes.FlagAsleep == 0 || !mayServeOthers(nr) || l.kind != loopAsyncio || !p.stacks.ownWait(k) {
		return false
	}
	if l.it.told && !l.it.over {
		l.it.ends(trace.Time(r.Ts), t.woken)
		d.block(p, t, trace.Time(r.Ts), 0, trace.BlockUnknown)
	}
	l.over()
	w := waitOf(nr, r.At.Fd, k)
	if l.anew++; l.anew > maxAnew {
		w.Runs, w.Calls = 0, 0
	}
	if st, ok := d.loops.state(t.tid); ok {
		d.loopCounters(p, t, &st.Told, trace.Time(r.Ts)) // the programs begin to count anew
	}
	if d.loops.watch(p, t, w) {
		l.nr, l.caller = nr, p.stacks.caller(k)
	}
	return true
}
