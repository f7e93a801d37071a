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

	table  []byte
	format lineFormat
}

// CodeIdent is the hash in a CodeKey. The probe (gil.bpf.c) computes the same;
// name is co_qualname where the build has it, else co_name.
func CodeIdent(firstLine uint32, filename, name, lineTable uint64) uint32 {
	x := (filename>>4)*0x9E3779B97F4A7C15 ^ (name>>4)*0xC2B2AE3D27D4EB4F ^
		(lineTable>>4)*0x165667B19E3779F9 ^ uint64(firstLine)*0x27D4EB2F165667C5
	return uint32(x ^ x>>32)
}

// Code reads the code object of key. ErrStale: something else is there by now.
func (p *Process) Code(key CodeKey) (*Code, error) {
	l := &p.Layout
	nameOff := l.CodeName
	if l.CodeQualname != None {
		nameOff = l.CodeQualname
	}
	b := make([]byte, max(l.CodeFirstLine+4, l.CodeFilename+8, nameOff+8, l.CodeLineTable+8, l.ObType+8))
	if err := p.Read(key.Addr, b); err != nil {
		return nil, fmt.Errorf("read code object %#x: %w", key.Addr, err)
	}
	firstLine := le32(b, l.CodeFirstLine)
	file, name, table := le64(b, l.CodeFilename), le64(b, nameOff), le64(b, l.CodeLineTable)
	if p.CodeType != 0 && le64(b, l.ObType) != p.CodeType || CodeIdent(firstLine, file, name, table) != key.Ident {
		return nil, fmt.Errorf("code object %#x of process %d: %w", key.Addr, p.PID, ErrStale)
	}
	c := &Code{FirstLine: int(int32(firstLine)), format: lineFormatOf(p.Version)}
	objs := []objectRead{{addr: file}, {addr: name}, {addr: table, bytes: true}}
	if err := p.readObjects(objs); err != nil {
		return nil, fmt.Errorf("read code object %#x: %w", key.Addr, err)
	}
	if err := cmp.Or(objs[0].err, objs[1].err, objs[2].err); err != nil {
		return nil, fmt.Errorf("read code object %#x: %w", key.Addr, err)
	}
	c.File, c.Function, c.table = objs[0].str(), objs[1].str(), objs[2].body
	return c, nil
}

// Line returns the line of the instruction lasti bytes after the first one;
// FirstLine if lasti is negative (the function has not begun), and 0 if the
// compiler gave that instruction no line.
func (c *Code) Line(lasti int32) int {
	if lasti < 0 {
		return c.FirstLine
	}
	return c.format.line(c.table, c.FirstLine, lasti)
}
