package cpython

import (
	"bytes"
	"cmp"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// maxSymbolName bounds one symbol name; mangled C++ names get long.
const maxSymbolName = 4096

// symbol is one defined symbol. The name stays in the string table.
type symbol struct {
	value, size uint64
	name        uint32
	exported    bool // other modules can link to it
	code        bool // a function, not data
	compat      bool // an old version (name@VER, not name@@VER) of the symbol
}

// symbolTable is the defined symbols of one file in the order of the file, or,
// after sortByAddress, by address.
type symbolTable struct {
	syms  []symbol
	names []byte
}

// readSymbols reads .dynsym or .symtab; a file without it has an empty table.
// st_shndx is looked at only for "undefined": python-build-standalone's
// libpython3.14.so gives _PyRuntime a section number that does not exist.
func (m *image) readSymbols(kind elf.SectionType) (*symbolTable, error) {
	t := &symbolTable{}
	var s *section
	for i := range m.sects {
		if m.sects[i].kind == kind {
			s = &m.sects[i]
		}
	}
	if s == nil {
		return t, nil
	}
	raw, err := m.data(s, maxSymbolBytes)
	if err != nil {
		return t, err
	}
	if int(s.link) >= len(m.sects) {
		return t, fmt.Errorf("symbol table %q without strings: %w", s.name, ErrMalformed)
	}
	if t.names, err = m.data(&m.sects[s.link], maxStringTable); err != nil {
		return t, err
	}
	t.syms = decodeSymbols(raw, m.symbolVersions(kind))
	return t, nil
}

// decodeSymbols keeps the defined functions and objects of a raw table.
func decodeSymbols(raw, versions []byte) []symbol {
	le := binary.LittleEndian
	syms := make([]symbol, 0, len(raw)/24)
	for i := 0; (i+1)*24 <= len(raw); i++ {
		b := raw[i*24:]
		info, shndx := b[4], le.Uint16(b[6:])
		if shndx == uint16(elf.SHN_UNDEF) {
			continue
		}
		kind := elf.ST_TYPE(info)
		if kind != elf.STT_FUNC && kind != elf.STT_OBJECT && kind != elf.STT_NOTYPE && kind != elf.STT_GNU_IFUNC {
			continue
		}
		vis := elf.ST_VISIBILITY(b[5])
		s := symbol{value: le.Uint64(b[8:]), size: le.Uint64(b[16:]), name: le.Uint32(b)}
		s.exported = elf.ST_BIND(info) != elf.STB_LOCAL && (vis == elf.STV_DEFAULT || vis == elf.STV_PROTECTED)
		s.code = kind == elf.STT_FUNC || kind == elf.STT_GNU_IFUNC
		if 2*i+2 <= len(versions) {
			s.compat = le.Uint16(versions[2*i:])&0x8000 != 0
		}
		syms = append(syms, s)
	}
	return syms
}

// symbolVersions returns .gnu.version, which belongs to .dynsym only.
func (m *image) symbolVersions(kind elf.SectionType) []byte {
	if kind != elf.SHT_DYNSYM {
		return nil
	}
	s := m.section(".gnu.version")
	if s == nil {
		return nil
	}
	b, err := m.data(s, maxSymbolBytes)
	if err != nil {
		return nil
	}
	return b
}

// name returns the name of s without its version.
func (t *symbolTable) name(s *symbol) string {
	name := cstring(t.names, s.name, maxSymbolName)
	if i := strings.IndexByte(name, '@'); i > 0 {
		return name[:i] // .symtab writes the version into the name
	}
	return name
}

// is says whether s is called name, without building a string.
func (t *symbolTable) is(s *symbol, name string) bool {
	if uint64(s.name)+uint64(len(name)) >= uint64(len(t.names)) {
		return false
	}
	b := t.names[s.name:]
	return b[len(name)] == 0 && string(b[:len(name)]) == name
}

// find returns the default version of the symbol called name. The hidden
// (compat) versions are skipped: glibc has pthread_cond_signal twice, at two
// addresses, and only the default one is ever called.
func (t *symbolTable) find(name string) (symbol, bool) {
	for i := range t.syms {
		if s := &t.syms[i]; !s.compat && t.is(s, name) {
			return *s, true
		}
	}
	return symbol{}, false
}

// withPrefix returns the code symbols whose names begin with prefix.
func (t *symbolTable) withPrefix(prefix string) []symbol {
	var found []symbol
	for _, s := range t.syms {
		if s.code && uint64(s.name) < uint64(len(t.names)) && bytes.HasPrefix(t.names[s.name:], []byte(prefix)) {
			found = append(found, s)
		}
	}
	return found
}

// sortByAddress keeps the code symbols, sorted by address; among those of one
// address the best name comes last.
func (t *symbolTable) sortByAddress() {
	kept := t.syms[:0]
	for _, s := range t.syms {
		if s.code {
			kept = append(kept, s)
		}
	}
	t.syms = slices.Clip(kept)
	slices.SortStableFunc(t.syms, func(a, b symbol) int {
		if c := cmp.Compare(a.value, b.value); c != 0 {
			return c
		}
		return cmp.Compare(t.rank(&a), t.rank(&b))
	})
}

// rank orders names of one address: exported before local, public before
// underscored (usleep, not __usleep), the current version before an old one.
func (t *symbolTable) rank(s *symbol) int {
	r := 0
	if s.exported {
		r += 4
	}
	if !s.compat {
		r += 2
	}
	if uint64(s.name) < uint64(len(t.names)) && t.names[s.name] != '_' {
		r++
	}
	return r
}

// cover returns the symbol whose code contains vaddr. A symbol of size 0
// (hand-written assembly) reaches to the next symbol, at most 4 KiB.
func (t *symbolTable) cover(vaddr uint64) (symbol, bool) {
	i, _ := slices.BinarySearchFunc(t.syms, vaddr+1, func(s symbol, v uint64) int { return cmp.Compare(s.value, v) })
	// Look back over a few neighbours: an alias of size 0 may hide the real one.
	for j := i - 1; j >= 0 && j >= i-8; j-- {
		s := t.syms[j]
		if vaddr-s.value < s.size || s.size == 0 && j == i-1 && vaddr-s.value < 4096 {
			return s, true
		}
	}
	return symbol{}, false
}
