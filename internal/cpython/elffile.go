package cpython

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
)

// Bounds of ELF reading, in bytes where not said otherwise. The files come from
// the target, so each size in them is a claim. Sections may overlap, therefore
// what is read of many of them is bounded by their sum. All together keep one
// file below 64 MB of memory and 2 s, however it lies.
const (
	maxSegments    = 256  // how many
	maxSections    = 8192 // how many
	maxStringTable = 32 << 20
	maxSymbolBytes = 24 << 20 // a million symbols
	maxTables      = 44 << 20 // all symbol tables of one file in memory
	maxAllTables   = 1 << 30  // those of all files
	maxImageSize   = 8 << 30
	scanPiece      = 24 * 2730 // what a scan has in memory: whole symbols and relocations
	scanLook       = 128       // and so much of what follows
)

// allTables is how many bytes of tables the images in use hold.
var allTables atomic.Int64

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
	tables  *atomic.Int64 // bytes of tables that this image holds
}

// parseImage reads the headers of the ELF file r of the given size.
func parseImage(r io.ReaderAt, size int64) (*image, error) {
	if size <= 0 || size > maxImageSize {
		return nil, fmt.Errorf("ELF file of %d bytes: %w", size, ErrMalformed)
	}
	m := &image{r: r, size: uint64(size), tables: new(atomic.Int64)}
	runtime.AddCleanup(m, func(held *atomic.Int64) { allTables.Add(-held.Load()) }, m.tables)
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

// hold notes that a table of n bytes will stay in memory, or refuses it.
func (m *image) hold(n uint64) error {
	if n > maxTables || m.tables.Load()+int64(n) > maxTables || allTables.Load()+int64(n) > maxAllTables {
		return fmt.Errorf("tables of %d bytes and %d more: %w", m.tables.Load(), n, ErrMalformed)
	}
	m.tables.Add(int64(n))
	allTables.Add(int64(n))
	return nil
}

// pieces are the buffers of scans.
var pieces = sync.Pool{New: func() any { return new([scanPiece + scanLook]byte) }}

// scan hands a section to visit in pieces and lowers *left, the bytes that the
// caller may still read. Of each piece only the first bytes, fresh of them, are
// new; those behind, at most scanLook, are the beginning of the next piece.
func (m *image) scan(s *section, left *uint64, visit func(addr uint64, piece []byte, fresh int)) error {
	if s.flags&elf.SHF_COMPRESSED != 0 || s.kind == elf.SHT_NOBITS || s.size > *left || s.off > m.size || s.size > m.size-s.off {
		return fmt.Errorf("section %q of %d bytes (limit %d): %w", s.name, s.size, *left, ErrMalformed)
	}
	*left -= s.size
	buf := pieces.Get().(*[scanPiece + scanLook]byte)
	defer pieces.Put(buf)
	for done := uint64(0); done < s.size; done += scanPiece {
		piece := buf[:min(uint64(len(buf)), s.size-done)]
		if _, err := m.r.ReadAt(piece, int64(s.off+done)); err != nil {
			return fmt.Errorf("read section %q: %w", s.name, err)
		}
		visit(s.addr+done, piece, int(min(scanPiece, s.size-done)))
	}
	return nil
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
