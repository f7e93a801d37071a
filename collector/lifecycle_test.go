package collector

import (
	"testing"

	"gilscope/internal/cpython"
	"gilscope/internal/trace"
	"gilscope/probes"
)

// TestThreadRecords: the record of a new thread names its creator and brings that one's
// stack, and the record of an end says whether all of the process ended.
func TestThreadRecords(t *testing.T) {
	b := newLockBench(t)
	b.p.stacks = newStacks(&cpython.Process{}, b.d.w, nil)
	creator := probes.Stack{Hash: 7, Frames: []probes.Frame{{Code: 0x1000, Ident: 1}}}
	fork := func(at trace.Time, tid uint32, own probes.Stack) {
		r := probes.Rec{Ts: uint64(at * us), Kind: probes.KindFork, Tgid: 11, Tid: 12, Peer: tid, Arg: 11}
		b.d.record(probes.Record{Rec: &r, Own: own})
	}
	exit := func(at trace.Time, tid uint32, flags uint8) {
		r := probes.Rec{Ts: uint64(at * us), Kind: probes.KindExit, Tgid: 11, Tid: tid, Flags: flags}
		b.d.record(probes.Record{Rec: &r})
	}
	fork(10, 20, creator)
	fork(20, 21, probes.Stack{Hash: 7}) // the same stack again: its hash alone
	fork(30, 22, probes.Stack{})        // it could not be read
	exit(40, 20, 0)
	exit(50, 21, probes.FlagWithAll)
	stacks := map[int32]bool{}
	ends := map[int32]trace.ThreadEnd{}
	tr := b.trace(100)
	for i := range tr.Events {
		switch e := &tr.Events[i]; e.Kind {
		case trace.ThreadStart:
			stacks[e.TID] = e.Stack != 0
			if e.Arg != 12 {
				t.Errorf("thread %d was made by %d, want 12", e.TID, e.Arg)
			}
		case trace.ThreadExit:
			ends[e.TID] = trace.ThreadEnd(e.Arg)
		}
	}
	if len(stacks) != 3 || !stacks[20] || !stacks[21] || stacks[22] {
		t.Errorf("threads made with a stack: %v", stacks)
	}
	if len(ends) != 2 || ends[20] != trace.EndedItself || ends[21] != trace.EndedWithProcess {
		t.Errorf("ends: %v", ends)
	}
}
