package cpython

import (
	"cmp"
	"fmt"
)

// errOtherLoop: it cannot be told which thread runs a loop.
var errOtherLoop = fmt.Errorf("a loop is of a class that is not known: %w", ErrUnsupported)

// loopObject is how much of uvloop's struct is searched. It has 250 KB, nearly all of them
// buffers for what is received; in 0.23 the number of the thread is 64 bytes from its begin.
const loopObject = 4096

// LoopThreads tells which threads run which of the loops, by the loops' addresses.
// A loop that does not run has none. An error: of some loop it cannot be told.
func (p *Process) LoopThreads(t Tasks, loops []uint64) (map[uint64]int32, error) {
	states, err := p.ThreadStates()
	if err != nil {
		return nil, err
	}
	threads := map[uint64]int32{}
	if t.task.linked {
		for _, ts := range states {
			if loop, err := p.word(ts.Addr + uint64(t.task.runningLoop)); err == nil && loop != 0 {
				threads[loop] = ts.TID
			}
		}
		return threads, nil
	}
	idents := map[uint64]int32{}
	for _, ts := range states {
		idents[ts.Ident] = ts.TID
	}
	for _, loop := range loops {
		if _, ok := threads[loop]; ok {
			continue
		}
		tid, err := p.threadOfLoop(loop, idents)
		if err != nil {
			return nil, err
		}
		if tid != 0 {
			threads[loop] = tid
		}
	}
	return threads, nil
}

// threadOfLoop reads which thread runs a loop, 0: none does. Loops of asyncio
// (Lib/asyncio/base_events.py) and of uvloop have it as _thread_id, the latter in
// a C struct: there, it is the one word that is the number of a thread.
func (p *Process) threadOfLoop(loop uint64, idents map[uint64]int32) (int32, error) {
	class, err := p.word(loop + uint64(p.Layout.ObType))
	for n := 0; err == nil && class != 0 && n < maxBases; n++ {
		switch p.nameOfType(class) {
		case "BaseEventLoop":
			id, err := p.instanceAttribute(loop, "_thread_id", map[uint64]uint64{})
			if err != nil || id == 0 {
				return 0, cmp.Or(err, errOtherLoop)
			}
			if ident, ok := p.readInt(id); ok && p.typeName(id) == "int" {
				return idents[ident], nil
			}
			return 0, nil // None
		case "uvloop.loop.Loop":
			return p.threadInside(loop, class, idents)
		}
		class, err = p.word(class + typeBase)
	}
	if err == nil {
		err = errOtherLoop
	}
	return 0, err
}

// threadInside looks for the number of a thread in a loop's struct.
func (p *Process) threadInside(loop, class uint64, idents map[uint64]int32) (int32, error) {
	size, err := p.word(class + typeSize)
	if err != nil || size < loopObject {
		return 0, cmp.Or(err, errOtherLoop)
	}
	b := make([]byte, loopObject)
	if err := p.Read(loop, b); err != nil {
		return 0, err
	}
	found := int32(0)
	for at := uint32(16); at+8 <= loopObject; at += 8 {
		tid, ok := idents[le64(b, at)]
		if !ok {
			continue
		}
		if found != 0 && found != tid {
			return 0, errOtherLoop
		}
		found = tid
	}
	return found, nil
}
