package collector

import (
	"encoding/binary"
	"errors"

	"gilscope/internal/cpython"
	"gilscope/internal/trace"
	"gilscope/probes"
)

// stacks turns what the probes saw of stacks into frames with names and lines.
// Code objects are read from the target the first time they are seen.
type stacks struct {
	py         *cpython.Process
	w          *trace.Writer
	codes      map[cpython.CodeKey]*cpython.Code // nil: could not be read
	frames     map[frameKey]trace.FrameID
	natives    map[nativeKey]trace.FrameID
	ids        []trace.FrameID
	unresolved int64 // frames whose code object could not be read any more
	truncated  int64 // stacks that are not complete
}

type frameKey struct {
	code  cpython.CodeKey
	lasti int32
}

// nativeKey stands for a chain of C calls: unwinding it at every sample would
// cost more than the sample, and from the same line of Python the same pc is
// reached through the same calls.
type nativeKey struct {
	pc, ret uint64
	leaf    frameKey
}

// maxKnown bounds each cache; a target that makes up code objects must not
// grow us. Beyond it, the caches start afresh.
const maxKnown = 1 << 18

func newStacks(py *cpython.Process, w *trace.Writer) *stacks {
	return &stacks{
		py: py, w: w,
		codes:   map[cpython.CodeKey]*cpython.Code{},
		frames:  map[frameKey]trace.FrameID{},
		natives: map[nativeKey]trace.FrameID{},
	}
}

// python returns the stack of Python frames, leaf first.
func (s *stacks) python(frames []probes.Frame) trace.StackID {
	return s.stack(0, frames)
}

// withNative returns the stack with the native function at its leaf.
func (s *stacks) withNative(r probes.Record) trace.StackID {
	return s.stack(s.native(r), r.Frames)
}

func (s *stacks) stack(native trace.FrameID, frames []probes.Frame) trace.StackID {
	if native == 0 && len(frames) == 0 {
		return 0
	}
	s.ids = s.ids[:0]
	if native != 0 {
		s.ids = append(s.ids, native)
	}
	for i := range frames {
		s.ids = append(s.ids, s.frame(&frames[i]))
	}
	return s.w.Stack(s.ids)
}

func keyOf(f *probes.Frame) frameKey {
	return frameKey{cpython.CodeKey{Addr: f.Code, Ident: f.Ident}, f.Lasti}
}

func (s *stacks) frame(f *probes.Frame) trace.FrameID {
	key := keyOf(f)
	if id, ok := s.frames[key]; ok {
		return id
	}
	if len(s.frames) >= maxKnown {
		clear(s.frames)
	}
	id := s.resolve(key)
	s.frames[key] = id
	return id
}

func (s *stacks) resolve(key frameKey) trace.FrameID {
	c := s.code(key.code)
	if c == nil {
		s.unresolved++
		return s.w.Frame(trace.Frame{Function: s.w.String("[code object gone]")})
	}
	return s.w.Frame(trace.Frame{
		Function: s.w.String(c.Function),
		File:     s.w.String(c.File),
		Line:     int32(c.Line(key.lasti)),
	})
}

func (s *stacks) code(key cpython.CodeKey) *cpython.Code {
	if c, ok := s.codes[key]; ok {
		return c
	}
	if len(s.codes) >= maxKnown {
		clear(s.codes)
	}
	c, err := s.py.Code(key)
	if err != nil {
		c = nil
		if errors.Is(err, cpython.ErrUnmapped) {
			return nil // a page that is not there now may be there later
		}
	}
	s.codes[key] = c
	return c
}

// native names the C function that the record's pc is in, as seen from Python:
// usleep and not the system call stub inside it.
func (s *stacks) native(r probes.Record) trace.FrameID {
	if r.Pc == 0 {
		return 0
	}
	key := nativeKey{pc: r.Pc}
	if len(r.Stack) >= 8 {
		key.ret = binary.LittleEndian.Uint64(r.Stack)
	}
	if len(r.Frames) > 0 {
		key.leaf = keyOf(&r.Frames[0])
	}
	if id, ok := s.natives[key]; ok {
		return id
	}
	if len(s.natives) >= maxKnown {
		clear(s.natives)
	}
	sym := s.py.NativeName(r.Pc, r.Sp, r.Stack)
	id := trace.FrameID(0)
	if sym.Module != "" {
		id = s.w.Frame(trace.Frame{Function: s.w.String(sym.Function), Module: s.w.String(sym.Module), RelPC: sym.Start})
	}
	s.natives[key] = id
	return id
}
