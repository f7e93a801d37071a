package cpython

import (
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"strings"
)

// Bounds of what ties a file to its symbol file: one note section, and all.
const (
	maxNotes    = 64 << 10
	maxAllNotes = 1 << 20
	maxLink     = 4 << 10
)

// buildID returns the GNU build id in hex, or "".
func (m *image) buildID() string {
	left := uint64(maxAllNotes)
	read := func(off, size uint64) string {
		if size > min(maxNotes, left) {
			return ""
		}
		left -= size
		b, err := m.bytes(off, size)
		if err != nil {
			return ""
		}
		return findBuildID(b)
	}
	for i := range m.segs {
		if s := &m.segs[i]; s.kind == elf.PT_NOTE {
			if id := read(s.off, s.filesz); id != "" {
				return id
			}
		}
	}
	for i := range m.sects { // in symbol files segments may lead nowhere
		if s := &m.sects[i]; s.kind == elf.SHT_NOTE {
			if id := read(s.off, s.size); id != "" {
				return id
			}
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

// debugLink is how a stripped file names its symbol file if build ids are not
// enough: a file name, and the CRC-32 of the whole file.
type debugLink struct {
	name string
	crc  uint32
}

// debugLink reads .gnu_debuglink: the name, zeros up to a multiple of 4 bytes,
// the CRC (GDB manual, "Separate Debug Files"). A name that leads to another
// directory is refused.
func (m *image) debugLink() (debugLink, bool) {
	s := m.section(".gnu_debuglink")
	if s == nil {
		return debugLink{}, false
	}
	b, err := m.data(s, maxLink)
	if err != nil {
		return debugLink{}, false
	}
	name := cstring(b, 0, 256)
	at := (len(name) + 4) &^ 3
	if name == "" || name == "." || name == ".." || strings.Contains(name, "/") || at+4 > len(b) {
		return debugLink{}, false
	}
	return debugLink{name, binary.LittleEndian.Uint32(b[at:])}, true
}
