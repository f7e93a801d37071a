package probes

import (
	"testing"
	"unsafe"

	"github.com/cilium/ebpf/asm"

	"gilscope/internal/cpython"
)

// entry makes the bytes of a ring entry with room for n frames, aligned as the ring's are.
func entry(r Rec, n int) []byte {
	words := make([]uint64, (recSize+n*frameSize)/8)
	*(*Rec)(unsafe.Pointer(&words[0])) = r
	return unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), 8*len(words))
}

func frameOf(b []byte, i int) *Frame {
	return (*Frame)(unsafe.Pointer(&b[recSize+i*frameSize]))
}

// TestDecode takes a record apart: a stack with its frames, one that only names
// an earlier one, and native bytes.
func TestDecode(t *testing.T) {
	b := entry(Rec{Ts: 7, Kind: KindSwitch, Nframes: 3, Hframes: 1, Nstack: 16}, 5)
	*frameOf(b, 0) = Frame{Code: 0xabc, Lasti: stackTag}
	*frameOf(b, 1) = Frame{Code: 1, Lasti: 2, Ident: 3}
	*frameOf(b, 3) = Frame{Code: 0xdef, Lasti: stackTag}
	b[recSize+4*frameSize] = 42
	r, err := decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if r.Own.Hash != 0xabc || len(r.Own.Frames) != 2 || r.Own.Frames[0] != (Frame{Code: 1, Lasti: 2, Ident: 3}) {
		t.Errorf("own stack %+v", r.Own)
	}
	if r.Holder.Hash != 0xdef || len(r.Holder.Frames) != 0 {
		t.Errorf("holder's stack %+v", r.Holder)
	}
	if len(r.Stack) != 16 || r.Stack[0] != 42 || r.Ts != 7 {
		t.Errorf("record %+v", r)
	}
}

// TestDecodeLoop: where a loop is stands behind the native stack, and what it did in
// place of that.
func TestDecodeLoop(t *testing.T) {
	b := entry(Rec{Kind: KindSample, Nframes: 1, Nstack: 16, Flags: FlagLoop}, 1+1+(loopAtSize+frameSize-1)/frameSize)
	*(*LoopAt)(unsafe.Pointer(&b[recSize+2*frameSize])) = LoopAt{Begin: 7, Nr: -1}
	r, err := decode(b)
	if err != nil || r.At == nil || r.At.Begin != 7 || r.At.Nr != -1 || r.Told() != nil {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := decode(b[:recSize+2*frameSize+loopAtSize-8]); err == nil {
		t.Error("a record without all of its loop was taken")
	}
	b = entry(Rec{Kind: KindLoop, Nstack: uint16(loopToldSize)}, (loopToldSize+frameSize-1)/frameSize)
	(*LoopTold)(unsafe.Pointer(&b[recSize])).Iterations = 9
	if r, err = decode(b); err != nil || r.Told() == nil || r.Told().Iterations != 9 || r.At != nil {
		t.Errorf("%+v, %v", r, err)
	}
	r.Stack = r.Stack[:loopToldSize-1]
	if r.Told() != nil {
		t.Error("half of what a loop did was taken")
	}
	b = entry(Rec{Kind: KindLag, Nstack: uint16(lagToldSize)}, (lagToldSize+frameSize-1)/frameSize)
	(*LagTold)(unsafe.Pointer(&b[recSize])).Reads = 9
	if r, err = decode(b); err != nil || r.Lag() == nil || r.Lag().Reads != 9 || r.Told() != nil {
		t.Errorf("%+v, %v", r, err)
	}
	r.Stack = r.Stack[:lagToldSize-1]
	if r.Lag() != nil {
		t.Error("half of how long data waited was taken")
	}
}

// TestUrgent: the reader does not sleep on the question whether a thread is a loop.
func TestUrgent(t *testing.T) {
	for _, c := range []struct {
		begin uint64
		want  bool
	}{{0, true}, {7, false}} {
		raw := entry(Rec{Kind: KindSwitch, Flags: FlagLoop, Ts: 5}, (loopAtSize+frameSize-1)/frameSize)
		*(*LoopAt)(unsafe.Pointer(&raw[recSize])) = LoopAt{Begin: c.begin}
		var b Batch
		b.begin()
		b.add(raw)
		b.sort()
		if got := b.Urgent(); got != c.want {
			t.Errorf("begin %d: urgent %v", c.begin, got)
		}
	}
}

// TestDecodeRefuses what claims more than it has, and stacks without a tag.
func TestDecodeRefuses(t *testing.T) {
	if _, err := decode(entry(Rec{Nframes: 2}, 1)); err == nil {
		t.Error("a record with fewer frames than it says was taken")
	}
	if _, err := decode(entry(Rec{}, 0)[:recSize-1]); err == nil {
		t.Error("half a header was taken")
	}
	if r, err := decode(entry(Rec{Nframes: 1}, 1)); err != nil || r.Own.Hash != 0 || r.Own.Frames != nil {
		t.Errorf("a stack without a tag: %+v, %v", r.Own, err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(entry(Rec{Nframes: 2, Hframes: 1}, 3))
	f.Add(entry(Rec{Nstack: 8}, 1))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var b Batch
		b.begin()
		b.add(raw)
		b.sort()
		r, ok := b.Next(true)
		if ok && (len(r.Own.Frames)+len(r.Holder.Frames))*frameSize+len(r.Stack)+recSize > len(raw) {
			t.Errorf("%d bytes became %d and %d frames and %d bytes of stack", len(raw), len(r.Own.Frames), len(r.Holder.Frames), len(r.Stack))
		}
	})
}

// TestBatchOrder: records come out in time order, young ones only after the next
// read, and none is lost between reads.
func TestBatchOrder(t *testing.T) {
	var b Batch
	read := func(times ...uint64) (got []uint64) {
		b.begin()
		for _, ts := range times {
			b.add(entry(Rec{Ts: ts}, 0))
		}
		b.sort()
		for r, ok := b.Next(false); ok; r, ok = b.Next(false) {
			got = append(got, r.Ts)
		}
		return got
	}
	const young = 10 * settle
	if got := read(30, 10, young, 20); len(got) != 3 || got[0] != 10 || got[2] != 30 || b.Len() != 1 {
		t.Errorf("first read %v, %d held back", got, b.Len())
	}
	if got := read(young-1, 3*young); len(got) != 2 || got[0] != young-1 || got[1] != young {
		t.Errorf("second read %v", got)
	}
	b.begin()
	if r, ok := b.Next(true); !ok || r.Ts != 3*young {
		t.Error("the last record is missing")
	}
}

// TestBatchBraked: a brake is told with the read that brings it, once, though its
// record has to wait for its turn.
func TestBatchBraked(t *testing.T) {
	var b Batch
	b.begin()
	b.add(entry(Rec{Ts: 1, Kind: KindTake, Tgid: 7}, 0))
	b.add(entry(Rec{Ts: 10 * settle, Kind: KindBrake, Tgid: 9}, 0))
	b.sort()
	if got := b.Braked(); len(got) != 1 || got[0] != 9 {
		t.Errorf("braked %v, want process 9", got)
	}
	for r, ok := b.Next(false); ok; r, ok = b.Next(false) {
		if r.Kind == KindBrake {
			t.Error("the brake came before its turn")
		}
	}
	b.begin()
	if r, ok := b.Next(true); len(b.Braked()) != 0 || !ok || r.Kind != KindBrake || r.Tgid != 9 {
		t.Errorf("after the next read: braked %v, next record %v", b.Braked(), ok)
	}
}

// TestNoHelperChangesTheTarget: gilscope promises to change nothing, so its
// programs must not even contain the calls that could.
func TestNoHelperChangesTheTarget(t *testing.T) {
	forbidden := map[asm.BuiltinFunc]bool{
		asm.FnProbeWriteUser: true, asm.FnOverrideReturn: true, asm.FnSendSignal: true, asm.FnSendSignalThread: true,
	}
	spec, err := loadBpf()
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	for name, p := range spec.Programs {
		for _, ins := range p.Instructions {
			if !ins.IsBuiltinCall() {
				continue
			}
			calls++
			if forbidden[asm.BuiltinFunc(ins.Constant)] {
				t.Errorf("%s calls %v", name, asm.BuiltinFunc(ins.Constant))
			}
		}
	}
	if calls == 0 {
		t.Error("no helper call was found at all: the scan is broken")
	}
}

// TestPlanCost: the dearest site counts, and a single-stepped one is refused.
func TestPlanCost(t *testing.T) {
	site := func(c cpython.Cost) Hook { return Hook{Site: cpython.Site{Name: "f", Insn: "mov", Cost: c}} }
	none := Plan{Backend: Futex}
	cheap := Plan{Backend: Condvar, Hooks: []Hook{site(cpython.NOP5), site(cpython.Emulated)}}
	dear := Plan{Backend: TakeGIL, Hooks: []Hook{site(cpython.Emulated), site(cpython.SingleStepped)}}
	if cheap.Cost() != cpython.Emulated.String() {
		t.Errorf("cost of a nop and a push: %q", cheap.Cost())
	}
	if none.Cost() != "none" || none.refuseDear() != nil || cheap.refuseDear() != nil {
		t.Errorf("plans without dear sites: %q, %v, %v", none.Cost(), none.refuseDear(), cheap.refuseDear())
	}
	if dear.Cost() != cpython.SingleStepped.String() || dear.refuseDear() == nil {
		t.Errorf("a single-stepped site: cost %q, %v", dear.Cost(), dear.refuseDear())
	}
	if _, err := NewPlan(&cpython.Process{}, Full, Futex); err == nil {
		t.Error("backend futex was planned for detail full")
	}
	if _, err := NewPlan(&cpython.Process{}, Waits, "other"); err == nil {
		t.Error("an unknown backend was planned")
	}
}
