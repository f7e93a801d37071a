package cpython

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxString bounds the characters taken of one str; longer ones are cut.
const maxString = 4096

// objectRead is one str or bytes object to read; err says why it failed.
type objectRead struct {
	addr  uint64
	bytes bool // bytes, else str

	class uint64 // ob_type
	kind  uint32 // of a str: bytes per character
	ascii bool
	body  []byte
	err   error
}

// readObjects reads objects in two steps, heads and contents. Only an error
// about the process as a whole is returned; the others stay in the objects.
func (p *Process) readObjects(objs []objectRead) error {
	l := &p.Layout
	// No str or bytes object is smaller than this.
	size := int(max(l.ObType+8, l.StrState+4, l.StrLength+8, l.BytesSize+8))
	heads, block := make([]span, len(objs)), make([]byte, size*len(objs))
	for i := range objs {
		heads[i] = span{addr: objs[i].addr, buf: block[i*size:][:size]}
	}
	if err := p.readSpans(heads); err != nil {
		return err
	}
	bodies, owner := make([]span, 0, len(objs)), make([]*objectRead, 0, len(objs))
	for i := range objs {
		o := &objs[i]
		if !heads[i].ok {
			o.err = fmt.Errorf("object at %#x: %w", o.addr, ErrUnmapped)
			continue
		}
		from := o.decodeHead(l, heads[i].buf)
		if o.err == nil && len(o.body) > 0 {
			bodies, owner = append(bodies, span{addr: o.addr + from, buf: o.body}), append(owner, o)
		}
	}
	if err := p.readSpans(bodies); err != nil {
		return err
	}
	for i := range bodies {
		if !bodies[i].ok {
			owner[i].err = fmt.Errorf("contents of the object at %#x: %w", owner[i].addr, ErrUnmapped)
		}
	}
	return nil
}

// decodeHead makes room for the content and returns where it begins.
func (o *objectRead) decodeHead(l *Layout, head []byte) (from uint64) {
	o.class = le64(head, l.ObType)
	if o.bytes {
		n := le64(head, l.BytesSize)
		if n > maxLineTable {
			o.err = fmt.Errorf("bytes of length %d at %#x: %w", n, o.addr, ErrMalformed)
			return 0
		}
		o.body = make([]byte, n)
		return uint64(l.BytesData)
	}
	n, state := le64(head, l.StrLength), le32(head, l.StrState)
	// struct state (unicodeobject.h): interned, kind 3 bits, compact 1, ascii 1.
	state >>= l.StrKindBit
	kind, compact, ascii := state&7, state>>3&1 != 0, state>>4&1 != 0
	if n >= 1<<40 || !compact || kind != 1 && kind != 2 && kind != 4 || ascii && kind != 1 {
		o.err = fmt.Errorf("no compact str at %#x: %w", o.addr, ErrMalformed)
		return 0
	}
	o.kind, o.ascii = kind, ascii
	o.body = make([]byte, min(n, maxString)*uint64(kind))
	if ascii {
		return uint64(l.ASCIIData)
	}
	return uint64(l.CompactData)
}

// str returns a str object's text as UTF-8.
func (o *objectRead) str() string {
	if o.err != nil {
		return ""
	}
	if o.ascii {
		return strings.ToValidUTF8(string(o.body), "\uFFFD")
	}
	return decodeString(o.kind, o.body)
}

// decodeString turns characters of kind bytes each into UTF-8.
func decodeString(kind uint32, body []byte) string {
	var b strings.Builder
	for i := uint32(0); int(i+kind) <= len(body); i += kind {
		r := rune(body[i])
		switch kind {
		case 2:
			r |= rune(body[i+1]) << 8
		case 4:
			r = rune(le32(body, i))
		}
		if !utf8.ValidRune(r) { // a lone surrogate: a file name that is no UTF-8
			r = utf8.RuneError
		}
		b.WriteRune(r)
	}
	return b.String()
}
