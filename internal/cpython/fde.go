package cpython

import (
	"encoding/binary"
)

// maxCIEs bounds the cached common entries of one file; a file has a few.
const maxCIEs = 1024

// cie is what many FDEs share (DWARF 5, section 6.4.1; the augmentations are
// those of the Linux Standard Base).
type cie struct {
	codeAlign uint64
	dataAlign int64
	encoding  byte // of the addresses in FDEs
	augmented bool
	signal    bool // the frame was interrupted, its pc is no return address
	cpu       *processor
	program   []byte
}

// fde says how to unwind one function, or one part of it.
type fde struct {
	start, size uint64
	cie         *cie
	program     []byte
}

// readFDE reads the FDE at an address in the file.
func (x *frameIndex) readFDE(at uint64) (*fde, bool) {
	body, idAt, ok := x.readEntry(at, maxFDE)
	if !ok || len(body) < 4 {
		return nil, false
	}
	back := binary.LittleEndian.Uint32(body)
	if back == 0 || uint64(back) > idAt {
		return nil, false // a CIE, or garbage
	}
	c := x.cie(idAt - uint64(back))
	if c == nil {
		return nil, false
	}
	r := dwarfReader{b: body[4:], addr: idAt + 4}
	f := &fde{cie: c, start: r.encoded(c.encoding), size: r.encoded(c.encoding & 0x0f)}
	if c.augmented {
		r.skip(r.uleb())
	}
	f.program = r.b
	return f, !r.bad && f.size != 0
}

// readEntry reads the entry at an address, of limit bytes at most and without
// its length word, and returns the address of what follows that word.
func (x *frameIndex) readEntry(at uint64, limit uint32) (body []byte, after uint64, ok bool) {
	head, err := x.img.readVaddr(at, 4)
	if err != nil {
		return nil, 0, false
	}
	n := binary.LittleEndian.Uint32(head)
	if n < 4 || n > limit { // 0xffffffff begins the 64-bit form, which nobody writes
		return nil, 0, false
	}
	body, err = x.img.readVaddr(at+4, uint64(n))
	return body, at + 4, err == nil
}

// cie returns the common entry at an address, nil if it cannot be used.
func (x *frameIndex) cie(at uint64) *cie {
	if c, ok := x.cies[at]; ok {
		return c
	}
	var c *cie
	if body, after, ok := x.readEntry(at, maxCIE); ok {
		c = parseCIE(body, after, processorOf(x.img.machine))
	}
	if len(x.cies) < maxCIEs {
		x.cies[at] = c
	}
	return c
}

// parseCIE decodes a common entry.
func parseCIE(body []byte, addr uint64, cpu *processor) *cie {
	if cpu == nil || len(body) < 5 || binary.LittleEndian.Uint32(body) != 0 || body[4] != 1 && body[4] != 3 {
		return nil
	}
	r := dwarfReader{b: body[5:], addr: addr + 5}
	augmentation := r.cstring()
	c := &cie{cpu: cpu, codeAlign: r.uleb(), dataAlign: r.sleb()}
	if body[4] == 1 {
		r.skip(1)
	} else {
		r.uleb()
	}
	if len(augmentation) > 0 {
		if augmentation[0] != 'z' {
			return nil
		}
		c.augmented = true
		r.uleb()
		for _, a := range augmentation[1:] {
			switch a {
			case 'R':
				c.encoding = r.u8()
			case 'P':
				r.encoded(r.u8() &^ 0x80)
			case 'L':
				r.skip(1)
			case 'S':
				c.signal = true
			default:
				return nil
			}
		}
	}
	c.program = r.b
	if r.bad {
		return nil
	}
	return c
}

// dwarfReader takes values off b; addr is the address of b[0] in the file.
// After the end everything is 0 and bad is set.
type dwarfReader struct {
	b    []byte
	addr uint64
	bad  bool
}

func (r *dwarfReader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.bad = true
		r.b = nil
		return make([]byte, 8)
	}
	b := r.b[:n]
	r.b = r.b[n:]
	r.addr += uint64(n)
	return b
}

func (r *dwarfReader) skip(n uint64) {
	if n > uint64(len(r.b)) {
		n = uint64(len(r.b)) + 1
	}
	r.take(int(n))
}

func (r *dwarfReader) u8() byte { return r.take(1)[0] }

func (r *dwarfReader) cstring() string {
	for i, c := range r.b {
		if c == 0 {
			return string(r.take(i + 1)[:i])
		}
	}
	r.bad = true
	return ""
}

func (r *dwarfReader) uleb() uint64 {
	var v uint64
	for shift := 0; shift < 64; shift += 7 {
		c := r.u8()
		v |= uint64(c&0x7f) << shift
		if c&0x80 == 0 {
			return v
		}
	}
	r.bad = true
	return 0
}

func (r *dwarfReader) sleb() int64 {
	var v int64
	for shift := 0; shift < 64; shift += 7 {
		c := r.u8()
		v |= int64(c&0x7f) << shift
		if c&0x80 == 0 {
			if c&0x40 != 0 && shift < 57 {
				v |= -1 << (shift + 7)
			}
			return v
		}
	}
	r.bad = true
	return 0
}

// encoded reads an address by its DW_EH_PE encoding: absolute or pc-relative.
func (r *dwarfReader) encoded(encoding byte) uint64 {
	at := r.addr
	var v uint64
	switch encoding & 0x0f {
	case 0x00, 0x04, 0x0c:
		v = binary.LittleEndian.Uint64(r.take(8))
	case 0x03:
		v = uint64(binary.LittleEndian.Uint32(r.take(4)))
	case 0x0b:
		v = uint64(int64(int32(binary.LittleEndian.Uint32(r.take(4)))))
	case 0x02:
		v = uint64(binary.LittleEndian.Uint16(r.take(2)))
	case 0x0a:
		v = uint64(int64(int16(binary.LittleEndian.Uint16(r.take(2)))))
	default:
		r.bad = true
	}
	switch encoding & 0x70 {
	case 0x00:
	case 0x10:
		v += at
	default:
		r.bad = true
	}
	return v
}
