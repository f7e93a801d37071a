package cpython

import (
	"fmt"
	"strings"
)

// Lock is an object that threads wait for: threading.Lock, threading.RLock, or
// queue.SimpleQueue. The first two begin with the lock proper: a pointer to a
// semaphore (up to 3.13.0; RLock up to 3.13), or else a PyMutex of one byte, whose
// waiters park under its address.
type Lock struct {
	Object uint64
	Type   LockType
	Owner  uint64 // of an RLock: the pthread ident of who holds it, 0: nobody. The others do not know
	Depth  int    // of Held: of the frame with the with statement, 0 is the leaf
	word   uint64 // what its first field is
}

// LockType is the type of such an object.
type LockType string

// The types (tp_name).
const (
	TypeLock        LockType = "_thread.lock"
	TypeRLock       LockType = "_thread.RLock"
	TypeSimpleQueue LockType = "_queue.SimpleQueue"
	// Both are _multiprocessing.SemLock: one that a single thread has at a time, or a Semaphore.
	TypeSharedLock      LockType = "multiprocessing lock"
	TypeSharedSemaphore LockType = "multiprocessing semaphore"
)

// queueBytes is how much of a SimpleQueue there is at least; among that is its
// lock, or the place under which its waiters park.
const queueBytes = 72

// lockObject reads the object at addr; false: it is no lock.
func (p *Process) lockObject(addr uint64) (Lock, bool) {
	l := Lock{Object: addr, Type: LockType(p.typeName(addr))}
	if l.Type != TypeLock && l.Type != TypeRLock {
		return Lock{}, false
	}
	var err error
	if l.word, err = p.word(addr + p.header()); err != nil {
		return Lock{}, false
	}
	if l.Type == TypeRLock {
		// rlock_owner, or _PyRecursiveMutex.thread (Modules/_threadmodule.c, pycore_lock.h).
		if l.Owner, err = p.word(addr + p.header() + 8); err != nil {
			return Lock{}, false
		}
	}
	return l, true
}

// Parked is the lock under whose address threads are parked; false: that is no
// lock, but something else that has a PyMutex.
func (p *Process) Parked(address uint64) (Lock, bool) {
	if address%8 != 0 || address < p.header() {
		return Lock{}, false
	}
	if l, ok := p.lockObject(address - p.header()); ok {
		return l, true
	}
	for off := uint64(0); off < queueBytes; off += 8 {
		if o := address - p.header() - off; p.isQueue(o) {
			return Lock{Object: o, Type: TypeSimpleQueue}, true
		}
	}
	return Lock{}, false
}

// isQueue compares what fits into the buffer of typeName.
func (p *Process) isQueue(object uint64) bool {
	name := p.typeName(object)
	return len(name) > 8 && strings.HasPrefix(string(TypeSimpleQueue), name)
}

// StillIs says whether a lock that was found by its semaphore is there still, which
// is much less to read than looking for it.
func (p *Process) StillIs(l Lock) bool {
	if l.Object == 0 || l.word == 0 {
		return false
	}
	now, ok := p.lockObject(l.Object)
	if !ok {
		now, ok = p.sharedLock(l.Object)
	}
	return ok && now.Type == l.Type && now.word == l.word && p.refers(l.Object)
}

// hasWord says whether a SimpleQueue has that semaphore (up to 3.12).
func (p *Process) hasWord(object, semaphore uint64) bool {
	for _, v := range p.slots(object+p.header(), queueBytes/8) {
		if v == semaphore {
			return true
		}
	}
	return false
}

// Is says whether a thread that waits shows this lock: by the semaphore, or by
// the address that it parks under.
func (l Lock) Is(address uint64, parked bool, p *Process) bool {
	if parked {
		return l.Object+p.header() == address
	}
	return l.word == address
}

// WaitedAt is the address that a thread shows which waits for a lock that is held: a
// pointer to a semaphore is even, a PyMutex has its lowest bit set then (_Py_LOCKED,
// Include/cpython/lock.h), and its waiters park under its own address.
func (l Lock) WaitedAt(p *Process) uint64 {
	if l.word&1 != 0 {
		return l.Object + p.header()
	}
	return l.word
}

// maxValues bounds the variables and the values of one frame that are looked at.
const maxValues = 96

// WaitsFor finds the lock with that semaphore among the variables and values of
// the innermost frame of a thread that sleeps for it; false: it is not there.
func (p *Process) WaitsFor(ts ThreadState, semaphore uint64) (Lock, bool) {
	addr, err := p.topFrame(ts)
	if err != nil || addr == 0 {
		return Lock{}, false
	}
	for _, o := range p.slots(addr+uint64(p.localsAt()), maxValues) {
		if o == 0 {
			continue
		}
		if self, _ := p.bound(o); self != 0 {
			o = self
		}
		if l, ok := p.lockObject(o); ok && l.word == semaphore && p.refers(o) {
			return l, true
		}
		if l, ok := p.sharedLock(o); ok && l.word == semaphore && p.refers(o) {
			return l, true
		}
		if p.isQueue(o) && p.hasWord(o, semaphore) && p.refers(o) {
			return Lock{Object: o, Type: TypeSimpleQueue}, true
		}
	}
	return Lock{}, false
}

// refers says whether the object is alive: where one was freed, the reference
// count is 0 or has become a pointer to the next free block.
func (p *Process) refers(object uint64) bool {
	n, err := p.word(object)
	return err == nil && (p.Build.FreeThreaded || n > 0 && n < 1<<32)
}

// slots reads up to n pointers from addr on, as far as they can be objects.
func (p *Process) slots(addr uint64, n int) []uint64 {
	b := make([]byte, 8*n)
	for p.Read(addr, b) != nil { // the rest of the page may be the last that is mapped
		if b = b[:len(b)/2/8*8]; len(b) == 0 {
			return nil
		}
	}
	objects := make([]uint64, len(b)/8)
	for i := range objects {
		if v := le64(b, uint32(8*i)) & p.Layout.CodeMask; v%8 == 0 && v > 1<<16 && v < 1<<47 {
			objects[i] = v
		}
	}
	return objects
}

// bound is the object and the name of a bound method of C code, 0 if the object is
// none (PyCFunctionObject: m_ml, m_self; PyMethodDef: ml_name).
func (p *Process) bound(object uint64) (self uint64, name string) {
	if object == 0 {
		return 0, ""
	}
	if t := p.typeName(object); t != "builtin_method" && !strings.HasPrefix(t, "builtin_function") { // typeName may cut the end
		return 0, ""
	}
	def, err := p.word(object + p.header())
	if err != nil {
		return 0, ""
	}
	at, err := p.word(def)
	var b [len(exitName) + 1]byte
	if err == nil && p.Read(at, b[:]) == nil {
		name, _, _ = strings.Cut(string(b[:]), "\x00")
	}
	if self, err = p.word(object + p.header() + 8); err != nil {
		return 0, ""
	}
	return self, name
}

const exitName = "__exit__"

// isExit says whether the object is a method of C code that is called __exit__
// and is not bound (PyDescrObject: d_type, d_name).
func (p *Process) isExit(object uint64) bool {
	if object == 0 || !strings.HasPrefix(p.typeName(object), "method_descripto") {
		return false
	}
	name, err := p.word(object + p.header() + 8)
	if err != nil {
		return false
	}
	obj := []objectRead{{addr: name}}
	return p.readObjects(obj) == nil && obj[0].str() == exitName
}

// topFrame is the innermost frame of a thread.
func (p *Process) topFrame(ts ThreadState) (uint64, error) {
	addr, err := p.word(ts.Addr + uint64(p.Layout.ThreadFrame))
	if err == nil && addr != 0 && p.Layout.CFrameCurrent != None {
		addr, err = p.word(addr + uint64(p.Layout.CFrameCurrent))
	}
	return addr, err
}

// FrameAt is a frame as the probes see it.
type FrameAt struct {
	Code CodeKey
	At   int32 // bytes from the first instruction
}

// Frames reads the frames of a thread that sleeps, leaf first; of one that runs, it may
// read a part, or nothing.
func (p *Process) Frames(ts ThreadState) (frames []FrameAt) {
	addr, err := p.topFrame(ts)
	for n := 0; err == nil && addr != 0 && n < maxSleepingFrames; n++ {
		var f frameFields
		if f, err = p.readFrame(addr); err != nil {
			break
		}
		if addr = f.back; p.modern() && f.owner > p.Layout.OwnerMaxValid {
			continue
		}
		fields, err := p.readCodeFields(f.code)
		if err != nil {
			break
		}
		at := int32(f.at)
		if f.copied {
			at = -1 << 30 // no line
		}
		frames = append(frames, FrameAt{CodeKey{f.code, fields.ident}, at})
	}
	return frames
}

// Where says in words where a thread that sleeps is: function (file:line); "" if that
// cannot be read.
func (p *Process) Where(ts ThreadState) string {
	frames := p.Frames(ts)
	if len(frames) == 0 {
		return ""
	}
	code, err := p.Code(frames[0].Code)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%s (%s:%d)", code.Function, code.File, code.Line(frames[0].At))
}
