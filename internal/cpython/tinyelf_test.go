package cpython

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

// The tiny file is a small ELF file: two functions, the second with a moved part,
// a third one that calls an import, the unwind tables, and a function exported
// in two versions. These are the addresses in it; file offsets are the same.
const (
	tinyText    = 0x1000
	tinyHot     = tinyText + 0x20
	tinyCold    = tinyText + 0x60
	tinyCaller  = tinyText + 0x80
	tinyEnd     = tinyText + 0xc0
	tinyPLT     = 0x1100
	tinyLink    = 0x1140
	tinyRela    = 0x1180
	tinyFrames  = 0x1200
	tinyHeader  = 0x1400
	tinyDynsym  = 0x1500
	tinyDynstr  = 0x1600
	tinyVersion = 0x1680
	tinySlot    = 0x16b0
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
	// caller: mov $imm32, %eax, whose immediate looks like a call; call; ret.
	call := func(at int) []byte { return append([]byte{0xe8}, u32(uint32(tinyPLT-at-5))...) }
	put(tinyCaller, []byte{0x48, 0xb8}, call(tinyCaller+2), make([]byte, 3), call(tinyCaller+10), []byte{0xc3})
	put(tinyPLT, []byte{0xff, 0x25}, u32(tinySlot-tinyPLT-6))
	put(tinyRela, binary.LittleEndian.AppendUint64(nil, tinySlot), u32(uint32(elf.R_X86_64_JMP_SLOT), 5))
	put(tinyLink, []byte("tiny.debug\x00\x00"), u32(0x12345678))
	putFrames(put)
	names := "\x00first\x00second\x00pick\x00pthread_cond_signal\x00"
	put(tinyDynstr, []byte(names))
	sym := func(i int, name uint32, kind byte, value, size uint64) {
		put(tinyDynsym+24*i, u32(name), []byte{1<<4 | kind, 0, 9, 0}, binary.LittleEndian.AppendUint64(nil, value), binary.LittleEndian.AppendUint64(nil, size))
	}
	sym(1, 1, 2, tinyText, 7)
	sym(2, 7, 2, tinyHot, 9)
	sym(3, 14, 2, tinyText+4, 3)
	sym(4, 14, 2, tinyHot+7, 2)
	put(tinyDynsym+24*5, u32(19), []byte{1<<4 | 2, 0, 0, 0})
	put(tinyVersion, []byte{0, 0, 1, 0, 1, 0, 2, 0x80, 3, 0})
	put(tinyNote, u32(4, 4, 3), []byte("GNU\x00\xde\xad\xbe\xef"))
	return append(b, tinyHeaders(b)...)
}

// putFrames writes one CIE, four FDEs and their index.
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
	fde(tinyFrames+120, tinyCaller, 0x40)
	pair := func(f, e uint32) []byte { return u32(f-tinyHeader, e-tinyHeader) }
	put(tinyHeader, []byte{1, 0x1b, 3, 0x3b}, u32(0, 4), pair(tinyText, tinyFrames+24), pair(tinyHot, tinyFrames+56), pair(tinyCold, tinyFrames+88), pair(tinyCaller, tinyFrames+120))
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
	program(elf.PT_GNU_EH_FRAME, elf.PF_R, tinyHeader, 12+4*8)
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
	section(".text", elf.SHT_PROGBITS, elf.SHF_ALLOC|elf.SHF_EXECINSTR, tinyText, 0xc0, 0)
	section(".dynsym", elf.SHT_DYNSYM, elf.SHF_ALLOC, tinyDynsym, 6*24, 3)
	section(".dynstr", elf.SHT_STRTAB, elf.SHF_ALLOC, tinyDynstr, 0x30, 0)
	section(".gnu.version", elf.SHT_GNU_VERSYM, elf.SHF_ALLOC, tinyVersion, 10, 2)
	section(".plt", elf.SHT_PROGBITS, elf.SHF_ALLOC|elf.SHF_EXECINSTR, tinyPLT, 0x10, 0)
	section(".rela.plt", elf.SHT_RELA, elf.SHF_ALLOC, tinyRela, 24, 2)
	section(".gnu_debuglink", elf.SHT_PROGBITS, 0, tinyLink, 16, 0)
	section(".shstrtab", elf.SHT_STRTAB, 0, tinySize+uint64(len(out))+64, 128, 0)
	out = append(out, append(names, make([]byte, 64)...)...)
	copy(b, elf.ELFMAG+"\x02\x01\x01")
	le.PutUint16(b[16:], uint16(elf.ET_DYN))
	le.PutUint16(b[18:], uint16(elf.EM_X86_64))
	le.PutUint64(b[32:], tinySize)
	le.PutUint64(b[40:], tinySize+uint64(sections))
	for at, v := range map[int]uint16{54: 56, 56: 3, 58: 64, 60: 9, 62: 8} {
		le.PutUint16(b[at:], v)
	}
	return out
}
