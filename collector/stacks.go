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
	parent     *stacks // of the process that forked this one: its memory had the same, and may be there longer
	w          *trace.Writer
	paths      paths
	codes      map[cpython.CodeKey]*cpython.Code // nil: could not be read
	frames     map[frameKey]trace.FrameID
	about      map[trace.FrameID]frameAbout
	natives    map[nativeKey]trace.FrameID
	known      map[uint64]known
	ids        []trace.FrameID
	unresolved int64 // frames whose code object could not be read any more, and stacks whose frames were lost
}

type frameKey struct {
	code  cpython.CodeKey
	lasti int32
}

// nativeKey stands for a chain of C calls: unwinding it at every sample would
// cost more than the sample, and from the same Python stack the same pc is
// reached through the same calls.
type nativeKey struct {
	pc, ret, stack uint64
}

// known is a stack that the probes have sent with its frames.
type known struct {
	frames []trace.FrameID
	roles  role // of all frames
	site   int  // depth of the frame that a block of a loop is named by
	id     trace.StackID
	ident  uint32         // of its code objects: the hash knows only their addresses
	waits  trace.LockKind // what a thread waits for that sleeps for a lock here
	own    ownCode        // of the loop whose wait it is
}

// maxKnown bounds each cache; a target that makes up code objects must not
// grow us. Beyond it, the caches start afresh.
const maxKnown = 1 << 18

// maxAncestors is how many generations of forks are asked for a code object. Who
// forks and ends, again and again, must not leave a chain that has no end.
const maxAncestors = 8

func newStacks(py *cpython.Process, w *trace.Writer, parent *stacks) *stacks {
	for n, s := 1, parent; s != nil; n, s = n+1, s.parent {
		if n == maxAncestors {
			s.parent = nil
		}
	}
	return &stacks{
		py: py, w: w, parent: parent,
		codes:   map[cpython.CodeKey]*cpython.Code{},
		frames:  map[frameKey]trace.FrameID{},
		about:   map[trace.FrameID]frameAbout{},
		natives: map[nativeKey]trace.FrameID{},
		known:   map[uint64]known{},
	}
}

// learn takes in a stack that comes with its frames, whatever the record is about and
// whether it matters or not: the next records of the thread may have its hash alone.
func (s *stacks) learn(st probes.Stack) {
	if s != nil && len(st.Frames) > 0 {
		s.lookup(st)
	}
}

// python returns the stack of Python frames, leaf first.
func (s *stacks) python(st probes.Stack) trace.StackID {
	return s.lookup(st).id
}

// withNative returns the stack with the native function at its leaf.
func (s *stacks) withNative(r probes.Record) trace.StackID {
	k, native := s.lookup(r.Own), s.native(r)
	if native == 0 {
		return k.id
	}
	s.ids = append(append(s.ids[:0], native), k.frames...)
	return s.w.Stack(s.ids)
}

// lookup returns a stack by its hash, and learns it if it has frames.
func (s *stacks) lookup(st probes.Stack) known {
	if st.Hash == 0 {
		return known{}
	}
	k, ok := s.known[st.Hash]
	if ok && (len(st.Frames) == 0 || k.ident == identOf(st.Frames)) {
		return k
	}
	if len(st.Frames) == 0 && s.parent != nil {
		if k, ok := s.parent.known[st.Hash]; ok {
			return k
		}
	}
	if len(st.Frames) == 0 {
		s.unresolved++ // the record that had the frames was lost
		return known{}
	}
	if len(s.known) >= maxKnown {
		clear(s.known)
	}
	k.ident = identOf(st.Frames)
	k.frames = make([]trace.FrameID, len(st.Frames))
	for i := range st.Frames {
		k.frames[i] = s.frame(&st.Frames[i])
		k.roles |= s.about[k.frames[i]].role
	}
	if st.Cut {
		k.roles |= roleCut
		k.frames = append(k.frames, s.w.Frame(trace.Frame{Function: s.w.String("[truncated]")}))
	}
	k.id, k.waits = s.w.Stack(k.frames), s.waitKind(st.Frames)
	k.site, k.own = s.site(k), s.ownCode(st.Frames, k)
	s.known[st.Hash] = k
	return k
}

// waitKind tells what a thread waits for that sleeps for a lock in these frames.
func (s *stacks) waitKind(frames []probes.Frame) trace.LockKind {
	var named [kindDepth]pythonFrame
	n := min(len(frames), kindDepth)
	for i := range n {
		if c := s.code(keyOf(&frames[i]).code); c != nil {
			named[i] = newFrame(c.Function, c.File)
		}
	}
	return waitKind(named[:n])
}

// identOf tells stacks of different code objects at the same addresses apart.
func identOf(frames []probes.Frame) uint32 {
	h := uint32(len(frames))
	for i := range frames {
		h = h*0x9E3779B1 ^ frames[i].Ident
	}
	return h
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
	id := s.w.Frame(trace.Frame{
		Function: s.w.String(c.Function),
		File:     s.w.String(s.paths.shown(c.File)),
		Line:     int32(c.Line(key.lasti)),
	})
	if len(s.about) >= maxKnown {
		clear(s.about)
	}
	s.about[id] = aboutFrame(c)
	return id
}

func (s *stacks) code(key cpython.CodeKey) *cpython.Code {
	if c, ok := s.codes[key]; ok {
		return c
	}
	if len(s.codes) >= maxKnown {
		clear(s.codes)
	}
	c, err := s.py.Code(key)
	if err != nil && s.parent != nil {
		c = s.parent.code(key)
	}
	if c == nil && errors.Is(err, cpython.ErrUnmapped) {
		return nil // a page that is not there now may be there later
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
	key := nativeKey{pc: r.Pc, stack: r.Own.Hash}
	if len(r.Stack) >= 8 {
		key.ret = binary.LittleEndian.Uint64(r.Stack)
	}
	if id, ok := s.natives[key]; ok {
		return id
	}
	if len(s.natives) >= maxKnown {
		clear(s.natives)
	}
	sym := s.py.NativeName(r.Pc, r.Sp, r.Stack)
	if sym.Module == "" {
		return 0 // a library that was just loaded is found later
	}
	id := s.w.Frame(trace.Frame{Function: s.w.String(sym.Function), Module: s.w.String(s.paths.shown(sym.Module)), RelPC: sym.Start})
	s.natives[key] = id
	return id
}
