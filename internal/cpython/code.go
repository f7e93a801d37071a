package cpython

import (
	"cmp"
	"fmt"
)

// maxLineTable bounds one line table; a 100,000-line module has about 1 MB.
const maxLineTable = 2 << 20

// CodeKey names a code object as an event does: its address, and the hash of
// its fields that the probe computed, for addresses are used again.
type CodeKey struct {
	Addr  uint64
	Ident uint32
}

// Code is what is needed of a code object to name a line.
type Code struct {
	Function  string // qualified name (3.11+), else the plain name
	File      string
	FirstLine int
	Coroutine bool // an async function or generator, or a generator that is used as one: a task may run it

	table  []byte
	format lineFormat
	length uint64 // bytes of instructions
	typed  bool   // the table is of another type than file and name
}

// CodeIdent is the hash in a CodeKey. The probe (walk.h) computes the same;
// name is co_qualname where the build has it, else co_name.
func CodeIdent(firstLine uint32, filename, name, lineTable uint64) uint32 {
	x := (filename>>4)*0x9E3779B97F4A7C15 ^ (name>>4)*0xC2B2AE3D27D4EB4F ^
		(lineTable>>4)*0x165667B19E3779F9 ^ uint64(firstLine)*0x27D4EB2F165667C5
	return uint32(x ^ x>>32)
}

// codeFields are the fields of a code object that name it.
type codeFields struct {
	ident             uint32
	firstLine         int
	flags             uint32
	file, name, table uint64
	length            uint64 // bytes of instructions (3.11+)
	bytes             uint64 // the bytes object with them (<= 3.10)
}

// Code reads the code object of key. ErrStale: something else is there by now.
func (p *Process) Code(key CodeKey) (*Code, error) {
	f, err := p.readCodeFields(key.Addr)
	if err != nil {
		return nil, err
	}
	if f.ident != key.Ident {
		return nil, fmt.Errorf("code object %#x of process %d: %w", key.Addr, p.PID, ErrStale)
	}
	c, err := p.readCode(f)
	if err != nil {
		return nil, fmt.Errorf("read code object %#x: %w", key.Addr, err)
	}
	return c, nil
}

// readCodeFields reads the code object at addr; ErrStale: there is none.
func (p *Process) readCodeFields(addr uint64) (f codeFields, err error) {
	l := &p.Layout
	nameOff, length := l.CodeName, l.CodeBytes
	if l.CodeQualname != None {
		nameOff = l.CodeQualname
	}
	if l.CodeUnits != None {
		length = l.CodeUnits
	}
	b := make([]byte, max(l.CodeFirstLine+4, l.CodeFilename+8, nameOff+8, l.CodeLineTable+8, l.ObType+8, length+8))
	if err := p.Read(addr, b); err != nil {
		return f, fmt.Errorf("read code object %#x: %w", addr, err)
	}
	if p.CodeType != 0 && le64(b, l.ObType) != p.CodeType {
		return f, fmt.Errorf("no code object at %#x of process %d: %w", addr, p.PID, ErrStale)
	}
	firstLine := le32(b, l.CodeFirstLine)
	f = codeFields{firstLine: int(int32(firstLine)), flags: le32(b, l.codeFlags()), file: le64(b, l.CodeFilename), name: le64(b, nameOff), table: le64(b, l.CodeLineTable)}
	f.ident = CodeIdent(firstLine, f.file, f.name, f.table)
	if l.CodeUnits != None {
		f.length = 2 * le64(b, length)
	} else {
		f.bytes = le64(b, length)
	}
	return f, nil
}

// coroutineFlags are CO_COROUTINE, CO_ITERABLE_COROUTINE and CO_ASYNC_GENERATOR (Include/cpython/code.h).
const coroutineFlags = 0x80 | 0x100 | 0x200

// codeFlags is where co_flags lies. It is not in _Py_DebugOffsets, but stands a
// fixed way before co_firstlineno: checked with DWARF on 3.8-3.13.
func (l *Layout) codeFlags() uint32 {
	switch {
	case l.CodeQualname == None:
		return l.CodeFirstLine - 4
	case l.CodeFirstLine == 72: // 3.11 has co_warmup in between
		return l.CodeFirstLine - 24
	}
	return l.CodeFirstLine - min(20, l.CodeFirstLine)
}

// readCode reads what the fields point to.
func (p *Process) readCode(f codeFields) (*Code, error) {
	c := &Code{FirstLine: f.firstLine, Coroutine: f.flags&coroutineFlags != 0, format: lineFormatOf(p.Version), length: f.length}
	if f.bytes != 0 {
		var err error
		if c.length, err = p.word(f.bytes + uint64(p.Layout.BytesSize)); err != nil {
			return nil, err
		}
	}
	objs := []objectRead{{addr: f.file}, {addr: f.name}, {addr: f.table, bytes: true}}
	if err := p.readObjects(objs); err != nil {
		return nil, err
	}
	if err := cmp.Or(objs[0].err, objs[1].err, objs[2].err); err != nil {
		return nil, err
	}
	c.File, c.Function, c.table = objs[0].str(), objs[1].str(), objs[2].body
	c.typed = objs[2].class != objs[0].class && objs[2].class != objs[1].class
	return c, nil
}

// Line returns the line of the instruction lasti bytes after the first one;
// FirstLine if lasti is -1 or -2 (the function has not begun), and 0 if the
// compiler gave that instruction no line or the code has no such instruction:
// the frame was read while it changed, or runs a copy (see TLBCSize).
func (c *Code) Line(lasti int32) int {
	switch {
	case lasti < -2 || int64(lasti) >= int64(min(c.length, 1<<31)):
		return 0
	case lasti < 0:
		return c.FirstLine
	}
	return c.format.line(c.table, c.FirstLine, lasti)
}
