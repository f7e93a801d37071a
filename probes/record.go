package probes

import (
	"cmp"
	"fmt"
	"slices"
	"unsafe"
)

// Rec is the header of a record; bpf/wire.h explains its fields.
type Rec = bpfRec

// Frame is a Python frame as the probes see it: a code object and a position.
type Frame = bpfFrame

// Kinds of records, see enum rec_kind in bpf/wire.h.
const (
	KindSwitch  = uint8(bpfRecKindREC_SWITCH)
	KindWaking  = uint8(bpfRecKindREC_WAKING)
	KindSample  = uint8(bpfRecKindREC_SAMPLE)
	KindTake    = uint8(bpfRecKindREC_TAKE)
	KindDrop    = uint8(bpfRecKindREC_DROP)
	KindSlice   = uint8(bpfRecKindREC_SLICE)
	KindEnter   = uint8(bpfRecKindREC_ENTER)
	KindFork    = uint8(bpfRecKindREC_FORK)
	KindExec    = uint8(bpfRecKindREC_EXEC)
	KindBrake   = uint8(bpfRecKindREC_BRAKE)
	KindExit    = uint8(bpfRecKindREC_EXIT)
	KindLoop    = uint8(bpfRecKindREC_LOOP)
	KindBlock   = uint8(bpfRecKindREC_BLOCK)
	KindLag     = uint8(bpfRecKindREC_LAG)
	KindRare    = uint8(bpfRecKindREC_RARE)
	KindGave    = uint8(bpfRecKindREC_GAVE)
	KindRunning = uint8(bpfRecKindREC_RUNNING)
)

// Flags of records, see bpf/wire.h.
const (
	FlagGIL      = 1 << 0     // Holder, HolderTid, Switches, Place and FlagLocked are valid
	FlagAsleep   = 1 << 1     // switch: Tid does not want the CPU
	FlagPrev     = 1 << 2     // switch, waking: Tid is a thread of a target
	FlagNext     = 1 << 3     // switch: Peer is a thread of a target
	FlagLast     = 1 << 4     // exit: the process ended with this thread
	FlagKernel   = 1 << 5     // sample: the CPU was in the kernel
	FlagLocked   = 1 << 6     // somebody holds the GIL
	FlagLoop     = 1 << 7     // At is valid
	FlagFollowed = FlagNext   // fork: the child is a target too
	FlagWithAll  = FlagNext   // exit: Tid did not end by itself, all of its process ends
	FlagShared   = FlagAsleep // fork: the child runs in its parent's memory until it execs
)

const (
	recSize   = int(unsafe.Sizeof(Rec{}))
	frameSize = int(unsafe.Sizeof(Frame{}))
)

// What a record says in Op of a lock that is not the GIL, see bpf/wire.h. It does
// so where Word is 0.
const (
	LockAny     = 1 << iota // switch: Tid goes to sleep for the lock at Pc, of an object of the type Sp (0: not known); waking: Tid gave back that for which Peer sleeps
	LockParked              // in a parking lot; otherwise it is a semaphore
	LockTimed               // with a time limit
	LockCommon              // on a word that other processes may sleep on, too
	LockStopped             // it is no lock: Tid sleeps until the world goes on (free-threaded builds)
)

// AboutLock says that the record is about a lock that is not the GIL.
func (r Record) AboutLock() bool { return r.Word == 0 && r.Op&LockAny != 0 }

// Record is one decoded record. Its slices point into the batch it came from
// and are valid until the next call of Session.Read with that batch.
type Record struct {
	*Rec
	Own    Stack   // Python stack of Tid
	Holder Stack   // Python stack of the GIL's holder
	Stack  []byte  // native stack of Tid from Sp up; of KindLoop and KindLag, see Record.Told and Record.Lag
	At     *LoopAt // where in its iteration a loop is; nil: not of a loop
}

// Stack is a Python stack, leaf first. Without frames it is one that an earlier
// record had with them, of the same hash; the zero Stack is none.
type Stack struct {
	Hash   uint64
	Frames []Frame
	Cut    bool // it goes on towards the root
}

// stackTag marks the frame before a stack (STACK_TAG in bpf/wire.h).
const stackTag = -1 << 31

// decode makes a record of the bytes of one ring entry, which must be aligned
// to 8. It refuses what does not add up: the ring is shared memory.
func decode(b []byte) (Record, error) {
	if len(b) < recSize {
		return Record{}, fmt.Errorf("record of %d bytes: shorter than its header", len(b))
	}
	r := Record{Rec: (*Rec)(unsafe.Pointer(&b[0]))}
	own, holder, at := int(r.Nframes)*frameSize, int(r.Hframes)*frameSize, 0
	if r.Flags&FlagLoop != 0 {
		at = loopAtSize
	}
	if need := recSize + own + holder + int(r.Nstack) + at; need > len(b) {
		return Record{}, fmt.Errorf("record of kind %d has %d bytes, its header says %d", r.Kind, len(b), need)
	}
	r.Own = stack(b[recSize : recSize+own])
	r.Holder = stack(b[recSize+own : recSize+own+holder])
	r.Stack = b[recSize+own+holder : recSize+own+holder+int(r.Nstack)]
	if at != 0 {
		r.At = (*LoopAt)(unsafe.Pointer(&b[recSize+own+holder+int(r.Nstack)]))
	}
	return r, nil
}

func stack(b []byte) Stack {
	if len(b) == 0 {
		return Stack{}
	}
	frames := unsafe.Slice((*Frame)(unsafe.Pointer(&b[0])), len(b)/frameSize)
	if frames[0].Lasti != stackTag {
		return Stack{}
	}
	return Stack{frames[0].Code, frames[1:], frames[0].Ident != 0}
}

// Batch holds the records of one read, in time order. Its memory is reused.
type Batch struct {
	arena []byte
	refs  []ref
	next  int
	read  uint64 // when the ring was last read
	empty bool   // and that it held no more then

	braked []uint32 // processes with a record of KindBrake in the last read
}

type ref struct {
	ts  uint64
	off uint32
	len uint32
}

// settle is how far records of different CPUs may stand out of order in the
// ring: time passes between taking a timestamp and reserving space. What is
// younger than the newest record or the last read less this waits for the next.
const settle = 2e6 // ns

// add copies the bytes of one ring entry into the batch.
func (b *Batch) add(entry []byte) {
	if len(entry) < recSize {
		return
	}
	off := len(b.arena)
	b.arena = append(b.arena, entry...)
	for len(b.arena)%8 != 0 {
		b.arena = append(b.arena, 0)
	}
	r := (*Rec)(unsafe.Pointer(&b.arena[off]))
	if r.Kind == KindBrake {
		b.braked = append(b.braked, r.Tgid)
	}
	b.refs = append(b.refs, ref{r.Ts, uint32(off), uint32(len(entry))})
}

// begin drops what was consumed and keeps the records that were held back.
func (b *Batch) begin() {
	b.braked = b.braked[:0]
	rest := b.refs[b.next:]
	if len(rest) == 0 {
		b.arena, b.refs, b.next = b.arena[:0], b.refs[:0], 0
		return
	}
	old := make([]byte, 0, 4096)
	for i := range rest {
		off := uint32(len(old))
		old = append(old, b.arena[rest[i].off:rest[i].off+(rest[i].len+7)&^7]...)
		rest[i].off = off
	}
	b.arena = append(b.arena[:0], old...)
	b.refs = append(b.refs[:0], rest...)
	b.next = 0
}

// sort brings the records into time order; they nearly are.
func (b *Batch) sort() {
	slices.SortFunc(b.refs, func(x, y ref) int { return cmp.Compare(x.ts, y.ts) })
}

// Next returns the next record that is old enough to be in order, or false.
// With all set, it returns every record: nothing more will come.
func (b *Batch) Next(all bool) (Record, bool) {
	for b.next < len(b.refs) {
		r := b.refs[b.next]
		if !all && r.ts+settle > max(b.refs[len(b.refs)-1].ts, b.read) {
			return Record{}, false
		}
		b.next++
		if rec, err := decode(b.arena[r.off : r.off+r.len]); err == nil {
			return rec, true
		}
	}
	return Record{}, false
}

// Urgent says that a record which was held back tells of a process that began,
// became another program, or ended, or asks whether a thread is a loop: the reader
// should not sleep on it.
func (b *Batch) Urgent() bool {
	for _, r := range b.refs[b.next:] {
		h := (*Rec)(unsafe.Pointer(&b.arena[r.off]))
		if h.Kind == KindExec || h.Kind == KindBrake || h.Kind == KindFork && h.Arg != h.Tgid || h.Kind == KindExit && h.Flags&FlagLast != 0 || b.asks(r) {
			return true
		}
	}
	return false
}

// Full says that the last read stopped at its limit: the ring may hold more.
func (b *Batch) Full() bool { return len(b.arena) >= maxBatch }

// Until is the moment up to which all records have been in a batch, 0 if the ring
// still holds others.
func (b *Batch) Until() uint64 {
	if !b.empty {
		return 0
	}
	return b.read - settle
}

// Braked are the processes whose KindBrake was read just now, before it is its
// turn: until their probes are off, each hit costs and tells nothing.
func (b *Batch) Braked() []uint32 { return b.braked }

// asks says of a record whether it asks about a thread that may be a loop.
func (b *Batch) asks(r ref) bool {
	h := (*Rec)(unsafe.Pointer(&b.arena[r.off]))
	if h.Kind != KindSwitch || h.Flags&FlagLoop == 0 {
		return false
	}
	rec, err := decode(b.arena[r.off : r.off+r.len])
	return err == nil && rec.At.Begin == 0
}

// Len is how many records the batch holds that were not consumed.
func (b *Batch) Len() int { return len(b.refs) - b.next }
