package cpython

import (
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
)

// Bounds of ELF reading. The files come from the target, so each size in them
// is a claim; the largest honest one seen is the .symtab of a 58 MB libpython.
const (
	maxSegments    = 256
	maxSections    = 8192
	maxStringTable = 32 << 20
	maxSymbolBytes = 32 << 20
	maxNotes       = 64 << 10
	maxImageSize   = 8 << 30
)

// segment is one PT_LOAD (or other) program header.
type segment struct {
	kind                      elf.ProgType
	flags                     elf.ProgFlag
	off, vaddr, filesz, memsz uint64
}

// section is one section header with its name resolved.
type section struct {
	name            string
	kind            elf.SectionType
	flags           elf.SectionFlag
	addr, off, size uint64
	link            uint32
}

// image reads one ELF file: 64 bit, little endian. The reader is our own and
// not debug/elf because that one decompresses sections without a bound.
type image struct {
	r       io.ReaderAt
	size    uint64
	kind    elf.Type
	machine elf.Machine
	segs    []segment
	sects   []section
}

// parseImage reads the headers of the ELF file r of the given size.
func parseImage(r io.ReaderAt, size int64) (*image, error) {
	if size <= 0 || size > maxImageSize {
		return nil, fmt.Errorf("ELF file of %d bytes: %w", size, ErrMalformed)
	}
	m := &image{r: r, size: uint64(size)}
	h, err := m.bytes(0, 64)
	if err != nil {
		return nil, err
	}
	if string(h[:4]) != elf.ELFMAG || h[4] != byte(elf.ELFCLASS64) || h[5] != byte(elf.ELFDATA2LSB) {
		return nil, fmt.Errorf("no 64-bit little-endian ELF file: %w", ErrMalformed)
	}
	le := binary.LittleEndian
	m.kind, m.machine = elf.Type(le.Uint16(h[16:])), elf.Machine(le.Uint16(h[18:]))
	if err := m.readSegments(le.Uint64(h[32:]), le.Uint16(h[54:]), le.Uint16(h[56:])); err != nil {
		return nil, err
	}
	err = m.readSections(le.Uint64(h[40:]), le.Uint16(h[58:]), le.Uint16(h[60:]), le.Uint16(h[62:]))
	return m, err
}

// bytes reads n bytes at file offset off.
func (m *image) bytes(off, n uint64) ([]byte, error) {
	if off > m.size || n > m.size-off {
		return nil, fmt.Errorf("%d bytes at offset %#x exceed the ELF file: %w", n, off, ErrMalformed)
	}
	b := make([]byte, n)
	if _, err := m.r.ReadAt(b, int64(off)); err != nil {
		return nil, fmt.Errorf("read ELF file at %#x: %w", off, err)
	}
	return b, nil
}

func (m *image) readSegments(off uint64, entry, count uint16) error {
	if count == 0 {
		return nil
	}
	if entry != 56 || count > maxSegments {
		return fmt.Errorf("%d program headers of %d bytes: %w", count, entry, ErrMalformed)
	}
	b, err := m.bytes(off, uint64(entry)*uint64(count))
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	for ; len(b) >= 56; b = b[56:] {
		m.segs = append(m.segs, segment{
			kind: elf.ProgType(le.Uint32(b)), flags: elf.ProgFlag(le.Uint32(b[4:])),
			off: le.Uint64(b[8:]), vaddr: le.Uint64(b[16:]), filesz: le.Uint64(b[32:]), memsz: le.Uint64(b[40:]),
		})
	}
	return nil
}

func (m *image) readSections(off uint64, entry, count, names uint16) error {
	if count == 0 {
		return nil // stripped of section headers: legal
	}
	if entry != 64 || count > maxSections {
		return fmt.Errorf("%d section headers of %d bytes: %w", count, entry, ErrMalformed)
	}
	b, err := m.bytes(off, uint64(entry)*uint64(count))
	if err != nil {
		return err
	}
	nameAt := make([]uint32, 0, count)
	le := binary.LittleEndian
	for ; len(b) >= 64; b = b[64:] {
		nameAt = append(nameAt, le.Uint32(b))
		m.sects = append(m.sects, section{
			kind: elf.SectionType(le.Uint32(b[4:])), flags: elf.SectionFlag(le.Uint64(b[8:])),
			addr: le.Uint64(b[16:]), off: le.Uint64(b[24:]), size: le.Uint64(b[32:]), link: le.Uint32(b[40:]),
		})
	}
	if int(names) >= len(m.sects) {
		return nil
	}
	table, err := m.data(&m.sects[names], 1<<20)
	if err != nil {
		return err
	}
	for i := range m.sects {
		m.sects[i].name = cstring(table, nameAt[i], 128)
	}
	return nil
}

// section returns the section of that name, nil if there is none.
func (m *image) section(name string) *section {
	for i := range m.sects {
		if m.sects[i].name == name {
			return &m.sects[i]
		}
	}
	return nil
}

// data returns the bytes of a section of at most limit bytes. Compressed
// sections are refused: nothing we need is ever compressed.
func (m *image) data(s *section, limit uint64) ([]byte, error) {
	if s.flags&elf.SHF_COMPRESSED != 0 || s.kind == elf.SHT_NOBITS || s.size > limit {
		return nil, fmt.Errorf("section %q of %d bytes (limit %d): %w", s.name, s.size, limit, ErrMalformed)
	}
	return m.bytes(s.off, s.size)
}

// offsetOf translates a virtual address into a file offset.
func (m *image) offsetOf(vaddr uint64) (uint64, bool) {
	for i := range m.segs {
		s := &m.segs[i]
		if s.kind == elf.PT_LOAD && vaddr >= s.vaddr && vaddr-s.vaddr < s.filesz {
			return vaddr - s.vaddr + s.off, true
		}
	}
	return 0, false
}

// vaddrOf translates a file offset of executable code into a virtual address.
// The same page of the file may be mapped twice (end of text, start of data),
// so it is the executable segment that counts.
func (m *image) vaddrOf(off uint64) (uint64, bool) {
	for i := range m.segs {
		s := &m.segs[i]
		page := s.off & 0xfff // the mapping begins at the page, not at the segment
		if s.kind == elf.PT_LOAD && s.flags&elf.PF_X != 0 && off >= s.off-page && off-(s.off-page) < s.filesz+page {
			return off - s.off + s.vaddr, true
		}
	}
	return 0, false
}

// readVaddr reads n bytes of file content at a virtual address.
func (m *image) readVaddr(vaddr, n uint64) ([]byte, error) {
	off, ok := m.offsetOf(vaddr)
	if !ok {
		return nil, fmt.Errorf("address %#x lies in no segment: %w", vaddr, ErrMalformed)
	}
	return m.bytes(off, n)
}

// buildID returns the GNU build id in hex, or "".
func (m *image) buildID() string {
	for i := range m.segs {
		s := &m.segs[i]
		if s.kind != elf.PT_NOTE || s.filesz > maxNotes {
			continue
		}
		b, err := m.bytes(s.off, s.filesz)
		if err != nil {
			continue
		}
		if id := findBuildID(b); id != "" {
			return id
		}
	}
	return ""
}

// findBuildID walks the notes in b.
func findBuildID(b []byte) string {
	le := binary.LittleEndian
	for len(b) >= 12 {
		nameSize, descSize, kind := uint64(le.Uint32(b)), uint64(le.Uint32(b[4:])), le.Uint32(b[8:])
		desc := 12 + (nameSize+3)&^3
		end := desc + (descSize+3)&^3
		if desc+descSize > uint64(len(b)) {
			return ""
		}
		if kind == 3 && nameSize == 4 && string(b[12:15]) == "GNU" && descSize <= 64 {
			return hex.EncodeToString(b[desc : desc+descSize])
		}
		if end >= uint64(len(b)) {
			return ""
		}
		b = b[end:]
	}
	return ""
}

// cstring returns the NUL-terminated string at off in table, "" if it is not
// terminated within limit bytes.
func cstring(table []byte, off uint32, limit int) string {
	if uint64(off) >= uint64(len(table)) {
		return ""
	}
	b := table[off:]
	if len(b) > limit {
		b = b[:limit]
	}
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return ""
}
