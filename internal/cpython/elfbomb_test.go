package cpython

import (
	"debug/elf"
	"encoding/binary"
	"io"
)

// Where the parts of a bomb lie, in the file and in memory.
const (
	bombSymbols = 1 << 26 // one symbol, again and again
	bombNames   = 2 << 26 // one name, again and again
	bombRela    = 3 << 26
	bombPLT     = 4 << 26
	bombFrames  = 5 << 26
	bombNote    = 6 << 26
	bombText    = 8 << 26
	bombEnd     = 1 << 32
)

// bomb is a file of 4 GB that exists in parts only: its headers and, where the
// parts lie, a pattern again and again.
type bomb struct {
	name     string
	parts    map[int64][]byte // by offset, in steps of 64 MB
	sections []bombSection
	segments []bombSegment
	headers  []byte
}

type bombSection struct {
	name      string
	kind      elf.SectionType
	off, size uint64
	link      uint32
}

type bombSegment struct {
	kind      elf.ProgType
	off, size uint64
}

func (b *bomb) size() int64 { return bombEnd }

// ReadAt implements io.ReaderAt.
func (b *bomb) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > bombEnd {
		return 0, io.ErrUnexpectedEOF
	}
	if off < int64(len(b.headers)) {
		n := copy(p, b.headers[off:])
		clear(p[n:])
		return len(p), nil
	}
	start := off &^ (1<<26 - 1)
	pattern := b.parts[min(start, bombText)]
	if len(pattern) == 0 {
		clear(p)
		return len(p), nil
	}
	skip := int((off - start) % int64(len(pattern)))
	n := copy(p, pattern[skip:])
	for n < len(p) {
		n += copy(p[n:], pattern)
	}
	return len(p), nil
}

// build writes the headers and returns their size.
func (b *bomb) build() int {
	le := binary.LittleEndian
	out := make([]byte, 64)
	copy(out, elf.ELFMAG+"\x02\x01\x01")
	le.PutUint16(out[16:], uint16(elf.ET_DYN))
	le.PutUint16(out[18:], uint16(elf.EM_X86_64))
	le.PutUint64(out[32:], 64)
	for _, s := range b.segments {
		out = append(out, u32(uint32(s.kind), uint32(elf.PF_R|elf.PF_X))...)
		for _, v := range []uint64{s.off, s.off, s.off, s.size, s.size, 8} {
			out = le.AppendUint64(out, v)
		}
	}
	le.PutUint64(out[40:], uint64(len(out)))
	names := []byte{0}
	for _, s := range b.sections {
		at := len(names)
		names = append(append(names, s.name...), 0)
		out = append(out, u32(uint32(at), uint32(s.kind))...)
		for _, v := range []uint64{uint64(elf.SHF_EXECINSTR), s.off, s.off, s.size} {
			out = le.AppendUint64(out, v)
		}
		out = append(append(out, u32(s.link, 0)...), make([]byte, 16)...)
	}
	out = append(out, u32(0, uint32(elf.SHT_STRTAB))...)
	for _, v := range []uint64{0, 0, uint64(len(out)) + 56, uint64(len(names))} {
		out = le.AppendUint64(out, v)
	}
	out = append(append(out, make([]byte, 24)...), names...)
	for at, v := range map[int]int{54: 56, 56: len(b.segments), 58: 64, 60: len(b.sections) + 1, 62: len(b.sections)} {
		le.PutUint16(out[at:], uint16(v))
	}
	b.headers = out
	return len(out)
}

// repeat makes n sections, all alike, that lie one upon the other.
func repeat(n int, s bombSection) (list []bombSection) {
	for range n {
		list = append(list, s)
	}
	return list
}

// bombs are the files. In each the tables that others need are there too: two
// symbol tables, of a million symbols that all are take_gil, or imports of
// pthread_cond_signal, and relocations of those.
func bombs() []*bomb {
	function := append(u32(1, 0x00090012), make([]byte, 16)...) // STT_FUNC, global, section 9
	binary.LittleEndian.PutUint64(function[8:], bombText)
	imported := append(u32(1, 0x00000012), make([]byte, 16)...)
	rela := append(binary.LittleEndian.AppendUint64(nil, bombPLT+0x1000000), append(u32(uint32(elf.R_X86_64_JMP_SLOT), 3), make([]byte, 8)...)...)
	stub := append([]byte{0xff, 0x25}, u32(0x1000000-6)...)
	call := append([]byte{0xe8}, u32(^uint32(bombText+5-bombPLT)+1)...)
	symtab := bombSection{".symtab", elf.SHT_SYMTAB, bombSymbols, maxSymbolBytes, 1}
	strtab := bombSection{".strtab", elf.SHT_STRTAB, bombNames, maxStringTable - 1<<20, 0}
	small := bombSection{".dynstr", elf.SHT_STRTAB, bombNames, 1 << 16, 0}
	dynsym := bombSection{".dynsym", elf.SHT_DYNSYM, bombSymbols, maxSymbolBytes, 1}
	relas := bombSection{".rela", elf.SHT_RELA, bombRela, maxRelocations / 4, 0}
	plt := bombSection{".plt", elf.SHT_PROGBITS, bombPLT, 6, 0}
	text := bombSection{".text", elf.SHT_PROGBITS, bombText, 128 << 20, 0}
	parts := func(symbol []byte, name string, code []byte) map[int64][]byte {
		return map[int64][]byte{
			bombSymbols: symbol, bombNames: append([]byte{0}, name+"\x00"...), bombRela: rela, bombPLT: stub, bombText: code,
			bombFrames: frameBomb(), bombNote: append(u32(4, 1<<31, 3), "GNU\x00"...),
		}
	}
	all := []bombSegment{{elf.PT_LOAD, 0, bombEnd}}
	signal := func(code []byte) map[int64][]byte { return parts(imported, condSignal, code) }
	imports := []bombSection{dynsym, small, relas, plt}
	return []*bomb{
		{name: "two tables of symbols", parts: parts(function, "take_gil", nil), sections: []bombSection{symtab, strtab, dynsym}, segments: all},
		{name: "symbols without end of name", parts: parts(function, "", nil), sections: []bombSection{symtab, strtab}, segments: all},
		{name: "overlapping relocations", parts: signal(nil), sections: append([]bombSection{dynsym, small, plt}, repeat(8000, relas)...), segments: all},
		{name: "overlapping PLTs", parts: signal(stub), sections: append([]bombSection{dynsym, small, relas}, repeat(8000, bombSection{".plt", elf.SHT_PROGBITS, bombText, 1 << 20, 0})...), segments: all},
		{name: "only calls", parts: signal(call), sections: append(imports, repeat(8000, text)...), segments: all},
		{name: "overlapping code without calls", parts: signal([]byte{0x90}), sections: append(imports, repeat(8000, text)...), segments: all},
		{name: "code full of jumps", parts: signal([]byte{0x0f, 0x85, 0, 0, 0, 1, 0xe9, 0, 0, 0, 2}), sections: append(imports, text), segments: append(all, bombSegment{elf.PT_GNU_EH_FRAME, bombFrames, 12 << 20})},
		{name: "notes", parts: signal(nil), sections: repeat(8000, bombSection{".note", elf.SHT_NOTE, bombNote, maxNotes, 0}), segments: append(all, manySegments(elf.PT_NOTE, bombNote, maxNotes)...)},
		{name: "sh_link in a circle", parts: parts(function, "take_gil", nil), sections: []bombSection{{".symtab", elf.SHT_SYMTAB, bombSymbols, maxSymbolBytes, 0}, {".dynsym", elf.SHT_DYNSYM, bombSymbols, maxSymbolBytes, 1}}, segments: all},
		{name: "sizes of 2^63", parts: signal(nil), sections: []bombSection{{".symtab", elf.SHT_SYMTAB, 1 << 63, 1 << 63, 1}, {".dynstr", elf.SHT_STRTAB, ^uint64(0), ^uint64(0), 0}, {".gnu_debuglink", elf.SHT_PROGBITS, 0, 1 << 63, 0}, {".rodata", elf.SHT_PROGBITS, bombText, 1 << 63, 0}}, segments: manySegments(elf.PT_LOAD, 1<<63, 1<<63)},
	}
}

func manySegments(kind elf.ProgType, off, size uint64) (list []bombSegment) {
	for range maxSegments - 1 {
		list = append(list, bombSegment{kind, off, size})
	}
	return list
}

// frameBomb is a table of functions that are all the same: as large as can be,
// and with rules as long as can be.
func frameBomb() []byte {
	b := make([]byte, 1<<20)
	copy(b, []byte{1, 0x1b, 3, 0x3b})
	copy(b[4:], u32(0, 12<<20/8))
	for at := 12; at+8 < len(b)/2; at += 8 {
		copy(b[at:], u32(bombText-bombFrames, uint32(len(b)/2+64)))
	}
	cie := b[len(b)/2:]
	copy(cie, u32(20, 0))
	copy(cie[8:], []byte{1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x00, 0x0c, 6, 16, 0, 0, 0, 0})
	fde := cie[64:]
	copy(fde, u32(maxFDE, 68))
	binary.LittleEndian.PutUint64(fde[8:], bombText)
	binary.LittleEndian.PutUint64(fde[16:], 1<<30)
	for i := 25; i+1 < maxFDE; i += 2 {
		fde[i], fde[i+1] = 0x0e, 16
	}
	return b
}
