package cpython

import (
	"fmt"
	"path"
	"strings"
)

// What of a frame, a code object and a tuple is read here and nowhere else. That
// it is the same in all versions of a group was looked up in their headers
// (cpython/code.h, cpython/frameobject.h, pycore_frame.h) and is tested on live builds.
const (
	valueStack38    = 64      // PyFrameObject.f_valuestack (<= 3.10)
	blockCount38    = 8       // f_iblock, from f_lasti on
	blocks38        = 16      // f_blockstack, from there on
	blockSize38     = 12      // PyTryBlock: b_type, b_handler, b_level
	maxBlocks38     = 20      // CO_MAXBLOCKS
	names38         = 64      // PyCodeObject.co_names (<= 3.10)
	maxNames        = 1 << 12 // of one code object
	maxHandlerTable = 1 << 20 // bytes
)

// modern says that frames are those of 3.11 and later.
func (p *Process) modern() bool { return p.Layout.FrameOwner != None }

// localsAt is where the variables of a frame begin.
func (p *Process) localsAt() uint32 {
	switch {
	case !p.modern():
		return p.Layout.FrameInstr + blocks38 + maxBlocks38*blockSize38
	case p.objects.frameLocals != 0:
		return p.objects.frameLocals
	}
	return 72 // 3.11, 3.12
}

// Held are the locks that a thread which sleeps holds because it is in the body of
// a with statement. ok is false if its stack cannot be read as a whole.
//
// The body is entered with the method __exit__ of the lock among the values of the
// frame, below the depth to which the interpreter would unwind them there, and not
// before __enter__ is over. A lock that the body itself gives back for a while is none:
// a name with "release" or "acquire" in any function from that frame up leaves it out,
// and so does another with statement in between whose __exit__ has such a name. Locks that were taken by
// a call of acquire() are not seen.
func (p *Process) Held(ts ThreadState) (held []Lock, ok bool) {
	addr, err := p.topFrame(ts)
	quiet := true // no function so far gives a lock back
	depth := 0
	for n := 0; err == nil && addr != 0; n++ {
		if n == maxSleepingFrames {
			return nil, false
		}
		var f frameFields
		if f, err = p.readFrame(addr); err != nil {
			break
		}
		addr = f.back
		if p.modern() && f.owner > p.Layout.OwnerMaxValid {
			continue
		}
		quiet = quiet && p.silent(f.code)
		locks, still, err := p.heldIn(f, quiet)
		if err != nil {
			return nil, false
		}
		for i := range locks {
			locks[i].Depth = depth
		}
		held, quiet, depth = append(held, locks...), still, depth+1
	}
	return held, err == nil
}

// heldIn are the locks of the with statements that a frame is in, the innermost first.
// quiet says that nothing above gives a lock back; so does the result for what is below.
func (p *Process) heldIn(f frameFields, quiet bool) (locks []Lock, still bool, err error) {
	base, depth, err := p.liveValues(f)
	if err != nil || depth <= 0 {
		return nil, quiet, err
	}
	values := p.slots(base, min(depth, maxValues))
	if len(values) < depth {
		return nil, quiet, fmt.Errorf("values of frame %#x: %w", f.addr, ErrUnmapped)
	}
	for i := len(values) - 1; i >= 0; i-- {
		v := values[i]
		self, name := p.bound(v)
		if name != exitName {
			self = 0
		}
		if self == 0 && i+1 < len(values) && p.isExit(v) { // 3.14+: the function, then the object
			self = values[i+1]
		}
		if l, ok := p.lockObject(self); self != 0 && ok && quiet {
			locks = append(locks, l)
		}
		quiet = quiet && !p.mayReopen(v)
	}
	return locks, quiet, nil
}

// mayReopen says whether a value is a function __exit__ in Python which could take a lock
// that its __enter__ gave back. What a generator does is not looked into: it may.
func (p *Process) mayReopen(v uint64) bool {
	if v == 0 {
		return false
	}
	name := p.typeName(v)
	if name == "method" { // PyMethodObject.im_func
		var err error
		if v, err = p.word(v + p.header()); err != nil {
			return true
		}
		name = p.typeName(v)
	}
	if name != "function" {
		return false
	}
	at := p.header() // PyFunctionObject.func_code
	if p.modern() {
		at += 32 // behind globals, builtins, name, qualname
	}
	code, err := p.word(v + at)
	if err != nil {
		return true
	}
	fields, err := p.readCodeFields(code)
	if err != nil {
		return true
	}
	c, err := p.readCode(fields)
	if err != nil {
		return true
	}
	return strings.HasSuffix(c.Function, exitName) && (path.Base(c.File) == "contextlib.py" || !p.silent(code))
}

// liveValues is where the values of a frame begin, and how many of them are sure
// to be live: those that stay when an exception is handled where the frame is.
func (p *Process) liveValues(f frameFields) (base uint64, depth int, err error) {
	l := &p.Layout
	if !p.modern() {
		return p.liveValues38(f)
	}
	var b [4]byte
	if err := p.Read(f.code+uint64(l.CodeFirstLine)+4, b[:]); err != nil { // co_nlocalsplus
		return 0, 0, err
	}
	table, err := p.handlers(f.code)
	if err != nil || f.copied {
		return 0, 0, err
	}
	base = f.addr + uint64(p.localsAt()) + 8*uint64(le32(b[:], 0))
	return base, handlerDepth(table, f.at/2), nil
}

// liveValues38 reads the stack of blocks of a frame up to 3.10.
func (p *Process) liveValues38(f frameFields) (base uint64, depth int, err error) {
	l := &p.Layout
	if base, err = p.word(f.addr + valueStack38); err != nil {
		return 0, 0, err
	}
	b := make([]byte, blocks38+maxBlocks38*blockSize38)
	if err = p.Read(f.addr+uint64(l.FrameInstr), b); err != nil {
		return 0, 0, err
	}
	n := le32(b, blockCount38)
	if n == 0 || n > maxBlocks38 {
		return base, 0, nil
	}
	return base, int(int32(le32(b, blocks38+(n-1)*blockSize38+8))), nil
}

// handlers reads co_exceptiontable (3.11+), which follows co_consts and co_names.
func (p *Process) handlers(code uint64) ([]byte, error) {
	table, err := p.word(code + p.header() + 8 + 16)
	if err != nil {
		return nil, err
	}
	obj := []objectRead{{addr: table, bytes: true}}
	if err := p.readObjects(obj); err != nil {
		return nil, err
	}
	if len(obj[0].body) > maxHandlerTable {
		return nil, ErrMalformed
	}
	return obj[0].body, obj[0].err
}

// handlerDepth is the depth of the handler of an instruction, 0 if there is none.
// An entry is begin, length, target, and depth<<1 | lasti, in numbers of 6 bits a
// byte, the highest first (CPython Objects/exception_handling_notes.txt).
func handlerDepth(table []byte, unit int64) int {
	i := 0
	number := func() (v int64) {
		for i < len(table) {
			b := table[i]
			i++
			if v = v<<6 | int64(b&63); b&64 == 0 || v > 1<<40 {
				return v
			}
		}
		return v
	}
	for i < len(table) {
		begin, length := number(), number()
		number()
		depth := number() >> 1
		if unit >= begin && unit < begin+length {
			return int(min(depth, maxValues+1))
		}
	}
	return 0
}

// silent says that a code object mentions neither the giving back of a lock nor the
// taking again, or that it is one of logging's, whose locks are its own.
func (p *Process) silent(code uint64) bool {
	if fields, err := p.readCodeFields(code); err == nil {
		file := []objectRead{{addr: fields.file}}
		if p.readObjects(file) == nil && strings.HasSuffix(file[0].str(), "/logging/__init__.py") {
			return true
		}
	}
	at := uint64(names38)
	if p.modern() {
		at = p.header() + 8 + 8
	}
	names, err := p.word(code + at)
	if err != nil {
		return false
	}
	n, err := p.word(names + p.header())
	if err != nil || n > maxNames {
		return false
	}
	if n == 0 {
		return true
	}
	b, objs := make([]byte, 8*n), make([]objectRead, n)
	if p.Read(names+p.objects.tupleItems(p), b) != nil {
		return false
	}
	for i := range objs {
		objs[i].addr = le64(b, uint32(8*i))
	}
	if p.readObjects(objs) != nil {
		return false
	}
	for i := range objs {
		if objs[i].err != nil || strings.Contains(objs[i].str(), "release") || strings.Contains(objs[i].str(), "acquire") {
			return false
		}
	}
	return true
}

// tupleItems is where the items of a tuple begin.
func (o *objectLayout) tupleItems(p *Process) uint64 {
	if o.tuple != 0 {
		return uint64(o.tuple)
	}
	return p.header() + 8
}
