package cpython

import (
	"runtime"
)

// ParkedFor is what a thread of a free-threaded build waits for in the parking lot that
// is no object which Python code knows as a lock.
type ParkedFor uint8

// What a thread waits for.
const (
	ParkedUnknown     ParkedFor = iota
	ParkedList                  // the lock of a list, or of an object of a class derived from it
	ParkedDict                  // of a dict
	ParkedSet                   // of a set or frozenset
	ParkedType                  // of a type, or the one of all types
	ParkedObject                // of an object of another type
	ParkedInterpreter           // a lock inside the interpreter's own state
	ParkedStopping              // for the other threads to stop, or for a thread that has stopped them
)

// inside is where a build has what _Py_DebugOffsets does not tell.
type inside struct {
	series                  uint32
	arch                    string
	interpSize, runtimeSize uint32 // by which it is known
	world                   uint32 // PyInterpreterState.stoptheworld,
	worldOfAll              uint32 // _PyRuntime.stoptheworld,
	types                   uint32 // and PyInterpreterState.types.mutex
}

// insides are from the headers of the builds (Include/internal/pycore_interp.h,
// pycore_runtime.h). Where none fits, a lock there is ParkedInterpreter.
var insides = []inside{
	{series: 0x030d, arch: "amd64", interpSize: 215616, runtimeSize: 328384, world: 10744, worldOfAll: 10360, types: 196152},
}

// worldSize is that of struct _stoptheworld_state, whose first fields have waiters:
// mutex, and stop_event (pycore_interp.h).
const worldSize = 24

// InsideOf says what lock of the interpreter's own is at an address; interps are the addresses of
// the interpreters. It is ParkedUnknown elsewhere.
func (p *Process) InsideOf(address uint64, interps []uint64) ParkedFor {
	l := &p.objects
	var row inside
	for _, r := range insides {
		if r.series == uint32(p.Version.series()) && r.arch == runtime.GOARCH && r.interpSize == l.interpSize && r.runtimeSize == l.runtimeSize {
			row = r
		}
	}
	within := func(base uint64, off, size uint32) bool { return off != 0 && address-base-uint64(off) < uint64(size) }
	for _, interp := range interps {
		switch off := address - interp; {
		case interp == 0 || off >= uint64(l.interpSize):
		case within(interp, row.world, worldSize):
			return ParkedStopping
		case within(interp, row.types, 1):
			return ParkedType
		default:
			return ParkedInterpreter
		}
	}
	switch {
	case within(p.Runtime, row.worldOfAll, worldSize):
		return ParkedStopping
	case address-p.Runtime < uint64(l.runtimeSize):
		return ParkedInterpreter
	}
	return ParkedUnknown
}

// Flags of types (Include/object.h): what tells a class derived from one of these.
const (
	listSubclass = 1 << 25
	dictSubclass = 1 << 29
	typeSubclass = 1 << 31
)

// LockOfType says what the lock in an object of that type is; ParkedUnknown: there is no such type.
func (p *Process) LockOfType(class uint64) ParkedFor {
	if class%8 != 0 || class < 1<<16 || class >= 1<<47 || !p.isType(class) {
		return ParkedUnknown
	}
	flags, err := p.word(class + uint64(p.objects.typeFlags))
	if err != nil {
		return ParkedUnknown
	}
	name := p.nameOfType(class)
	switch {
	case flags&listSubclass != 0:
		return ParkedList
	case flags&dictSubclass != 0:
		return ParkedDict
	case flags&typeSubclass != 0:
		return ParkedType
	case name == "set" || name == "frozenset":
		return ParkedSet
	case name == "":
		return ParkedUnknown
	}
	return ParkedObject
}

// isType says whether there is a type at an address: its own type is one whose objects are types, and
// the chain of types of types ends in type, whose type is itself.
func (p *Process) isType(class uint64) bool {
	for n := range 4 {
		meta, err := p.word(class + uint64(p.Layout.ObType))
		if err != nil || meta%8 != 0 {
			return false
		}
		if meta == class {
			return p.nameOfType(class) == "type"
		}
		flags, err := p.word(meta + uint64(p.objects.typeFlags))
		if err != nil || n == 0 && flags&typeSubclass == 0 {
			return false
		}
		class = meta
	}
	return false
}

// What probes/bpf/parked.h knows of objects and thread states.
const (
	objectMutex = 10
	stateHead   = 64
)

// ParkedOn reads what the probes tell of a thread that goes to sleep: whether it waits until the
// world goes on, and else the type of the object whose lock is at the address; 0: none.
func (p *Process) ParkedOn(ts ThreadState, address uint64) (stopped bool, class uint64) {
	if !p.Build.FreeThreaded || address-ts.Addr < stateHead {
		return p.Build.FreeThreaded, 0
	}
	if address%8 == objectMutex%8 {
		class, _ = p.word(address - objectMutex + uint64(p.Layout.ObType))
	}
	return false, class
}
