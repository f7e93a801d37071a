package cpython

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"testing"
)

// The tiny file is a small ELF file: two functions, the second with a moved part,
// the unwind tables, and a function exported in two versions. These are the
// addresses in it; file offsets are the same.
const (
	tinyText    = 0x1000
	tinyHot     = tinyText + 0x20
	tinyCold    = tinyText + 0x60
	tinyEnd     = tinyText + 0x80
	tinyFrames  = 0x1200
	tinyHeader  = 0x1400
	tinyDynsym  = 0x1500
	tinyDynstr  = 0x1600
	tinyVersion = 0x1680
	tinyNote    = 0x16c0
	tinySize    = 0x1700
)

func u32(v ...uint32) []byte {
	var b []byte
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, x)
	}
	return b
}

// tinyELF builds the file.
func tinyELF() []byte {
	b := make([]byte, tinySize)
	put := func(at int, parts ...[]byte) { copy(b[at:], bytes.Join(parts, nil)) }
	// hot: push rbx ... ; jne cold. cold: nops; jmp hot+8.
	put(tinyText, []byte{0xf3, 0x0f, 0x1e, 0xfa, 0x53, 0x5b, 0xc3})
	put(tinyHot, []byte{0x53, 0x0f, 0x85}, u32(tinyCold-tinyHot-7), []byte{0x5b, 0xc3})
	put(tinyCold, []byte{0x90, 0xe9}, u32(^uint32(tinyCold+6-tinyHot-8)+1))
	putFrames(put)
	names := "\x00first\x00second\x00pick\x00"
	put(tinyDynstr, []byte(names))
	sym := func(i int, name uint32, kind byte, value, size uint64) {
		put(tinyDynsym+24*i, u32(name), []byte{1<<4 | kind, 0, 9, 0}, binary.LittleEndian.AppendUint64(nil, value), binary.LittleEndian.AppendUint64(nil, size))
	}
	sym(1, 1, 2, tinyText, 7)
	sym(2, 7, 2, tinyHot, 9)
	sym(3, 14, 2, tinyText+4, 3)
	sym(4, 14, 2, tinyHot+7, 2)
	put(tinyVersion, []byte{0, 0, 1, 0, 1, 0, 2, 0x80, 3, 0})
	put(tinyNote, u32(4, 4, 3), []byte("GNU\x00\xde\xad\xbe\xef"))
	return append(b, tinyHeaders(b)...)
}

// putFrames writes one CIE, three FDEs and their index.
func putFrames(put func(int, ...[]byte)) {
	cie := []byte{1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x1b, 0x0c, 7, 8, 0x90, 1, 0, 0}
	put(tinyFrames, u32(20, 0), cie)
	fde := func(at, start, size uint32, program ...byte) {
		body := append(append(u32(start-(at+8), size), 0), program...)
		for len(body)%4 != 0 {
			body = append(body, 0)
		}
		put(int(at), u32(uint32(len(body))+4, at+4-tinyFrames), body)
	}
	fde(tinyFrames+24, tinyText, 0x20, 0x45, 0x0e, 16, 0x83, 2) // after 5: CFA rsp+16
	fde(tinyFrames+56, tinyHot, 0x40, 0x41, 0x0e, 16, 0x86, 2)  // after 1: CFA rsp+16, rbp saved
	fde(tinyFrames+88, tinyCold, 0x20, 0x0c, 6, 16, 0x86, 2)    // CFA rbp+16 from the start
	pair := func(f, e uint32) []byte { return u32(f-tinyHeader, e-tinyHeader) }
	put(tinyHeader, []byte{1, 0x1b, 3, 0x3b}, u32(0, 3), pair(tinyText, tinyFrames+24), pair(tinyHot, tinyFrames+56), pair(tinyCold, tinyFrames+88))
}

// tinyHeaders appends program and section headers and fills in the ELF header.
func tinyHeaders(b []byte) []byte {
	le := binary.LittleEndian
	var out, names []byte
	names = append(names, 0)
	program := func(kind elf.ProgType, flags elf.ProgFlag, off, size uint64) {
		out = append(out, u32(uint32(kind), uint32(flags))...)
		for _, v := range []uint64{off, off, off, size, size, 8} {
			out = le.AppendUint64(out, v)
		}
	}
	program(elf.PT_LOAD, elf.PF_R|elf.PF_X, 0, tinySize)
	program(elf.PT_GNU_EH_FRAME, elf.PF_R, tinyHeader, 12+3*8)
	program(elf.PT_NOTE, elf.PF_R, tinyNote, 20)
	sections := len(out)
	section := func(name string, kind elf.SectionType, flags elf.SectionFlag, off, size uint64, link uint32) {
		out = append(out, u32(uint32(len(names)), uint32(kind))...)
		names = append(append(names, name...), 0)
		for _, v := range []uint64{uint64(flags), off, off, size} {
			out = le.AppendUint64(out, v)
		}
		out = append(append(out, u32(link, 0)...), make([]byte, 16)...)
	}
	section("", elf.SHT_NULL, 0, 0, 0, 0)
	section(".text", elf.SHT_PROGBITS, elf.SHF_ALLOC|elf.SHF_EXECINSTR, tinyText, 0x80, 0)
	section(".dynsym", elf.SHT_DYNSYM, elf.SHF_ALLOC, tinyDynsym, 5*24, 3)
	section(".dynstr", elf.SHT_STRTAB, elf.SHF_ALLOC, tinyDynstr, 0x20, 0)
	section(".gnu.version", elf.SHT_GNU_VERSYM, elf.SHF_ALLOC, tinyVersion, 10, 2)
	section(".shstrtab", elf.SHT_STRTAB, 0, tinySize+uint64(len(out))+64, 64, 0)
	out = append(out, append(names, make([]byte, 64)...)...)
	copy(b, elf.ELFMAG+"\x02\x01\x01")
	le.PutUint16(b[16:], uint16(elf.ET_DYN))
	le.PutUint16(b[18:], uint16(elf.EM_X86_64))
	le.PutUint64(b[32:], tinySize)
	le.PutUint64(b[40:], tinySize+uint64(sections))
	for at, v := range map[int]uint16{54: 56, 56: 3, 58: 64, 60: 6, 62: 5} {
		le.PutUint16(b[at:], v)
	}
	return out
}

func tinyModule(t testing.TB, raw []byte) *module {
	t.Helper()
	img, err := parseImage(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	return &module{img: img}
}

func TestImage(t *testing.T) {
	m := tinyModule(t, tinyELF())
	if id := m.img.buildID(); id != "deadbeef" {
		t.Errorf("build id %q", id)
	}
	if !m.stripped() || m.img.section(".text") == nil || m.img.section(".data") != nil {
		t.Errorf("stripped %v, sections %+v", m.stripped(), m.img.sects)
	}
	if s, ok := m.dynamic().find("pick"); !ok || s.value != tinyHot+7 {
		t.Errorf("pick at %#x, %v: want the default version at %#x", s.value, ok, tinyHot+7)
	}
	if _, ok := m.dynamic().find("pic"); ok {
		t.Error("found a symbol by the beginning of its name")
	}
	for vaddr, want := range map[uint64]string{tinyText: "first", tinyText + 3: "first", tinyHot: "second", tinyCold + 2: "second", tinyText + 9: "first", tinyEnd: ""} {
		if s := m.symbol(vaddr); s.Function != want {
			t.Errorf("function at %#x is %q, want %q", vaddr, s.Function, want)
		}
	}
}

func TestUnwindRows(t *testing.T) {
	m := tinyModule(t, tinyELF())
	saved := regRule{kind: ruleSaved, offset: -16}
	tests := []struct {
		vaddr  uint64
		known  bool
		viaRBP bool
		offset int64
		bp     regRule
	}{
		{tinyText, true, false, 8, regRule{}},
		{tinyText + 4, true, false, 8, regRule{}},
		{tinyText + 5, true, false, 16, regRule{}},
		{tinyHot, true, false, 8, regRule{}},
		{tinyHot + 1, true, false, 16, saved},
		{tinyHot + 0x3f, true, false, 16, saved},
		{tinyCold, true, true, 16, saved},
		{tinyEnd, false, false, 0, regRule{}},
		{0, false, false, 0, regRule{}},
	}
	for _, test := range tests {
		r := m.row(test.vaddr)
		if r.known != test.known || r.viaRBP != test.viaRBP || r.offset != test.offset || r.bp != test.bp {
			t.Errorf("row of %#x: %+v, want %+v", test.vaddr, r, test)
		}
	}
	if entry, ok := m.entryOf(tinyCold + 1); !ok || entry != tinyHot {
		t.Errorf("the moved part belongs to %#x, want %#x", entry, tinyHot)
	}
}

func TestImageRefuses(t *testing.T) {
	change := func(at int, v ...byte) []byte {
		b := tinyELF()
		copy(b[at:], v)
		return b
	}
	tests := map[string][]byte{
		"empty":            {},
		"no ELF":           change(0, 'M', 'Z'),
		"32 bit":           change(4, 1),
		"big endian":       change(5, 2),
		"headers outside":  change(39, 0x7f),
		"sections outside": change(47, 0x7f),
		"many segments":    change(56, 0xff, 0xff),
		"many sections":    change(60, 0xff, 0xff),
		"cut short":        tinyELF()[:60],
	}
	for name, raw := range tests {
		if _, err := parseImage(bytes.NewReader(raw), int64(len(raw))); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: error %v, want ErrMalformed", name, err)
		}
	}
	m := tinyModule(t, tinyELF())
	s := m.img.section(".text")
	s.flags |= elf.SHF_COMPRESSED
	if _, err := m.img.data(s, 1<<20); !errors.Is(err, ErrMalformed) {
		t.Errorf("compressed section: error %v, want ErrMalformed", err)
	}
}

// FuzzELF runs all readers of ELF files over damaged ones.
func FuzzELF(f *testing.F) {
	f.Add(tinyELF(), uint64(tinyHot))
	f.Add(tinyELF()[:tinySize+100], uint64(tinyCold))
	f.Fuzz(func(t *testing.T, raw []byte, vaddr uint64) {
		img, err := parseImage(bytes.NewReader(raw), int64(len(raw)))
		if err != nil {
			return
		}
		m := &module{img: img}
		m.dynamic().find("pick")
		m.symbol(vaddr)
		m.functionSize(vaddr)
		m.scanLockCalls()
		m.gilFunctions()
		img.buildID()
		x := m.frameIndex()
		for i := range min(len(x.table)/8, 64) {
			function, _ := x.entry(i)
			r := m.row(function + 1)
			if r.known && (r.start > function+1 || r.end <= function+1) {
				t.Errorf("row of %#x is of [%#x, %#x)", function+1, r.start, r.end)
			}
			m.entryOf(function)
		}
	})
}
