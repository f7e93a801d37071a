package cpython

import (
	"bytes"
	"cmp"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"unsafe"
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

// symbolTable is the defined symbols of one file, in the order of the file or
// by address.
type symbolTable struct {
	syms  []symbol
	names []byte
}

// symbolSection returns .dynsym or .symtab, nil if the file has none.
func (m *image) symbolSection(kind elf.SectionType) *section {
	var s *section
	for i := range m.sects {
		if m.sects[i].kind == kind {
			s = &m.sects[i]
		}
	}
	return s
}

// readSymbols reads the wanted symbols of .dynsym or .symtab; a file without it
// has an empty table.
func (m *image) readSymbols(kind elf.SectionType, want func(*symbol) bool) (*symbolTable, error) {
	t := &symbolTable{}
	s := m.symbolSection(kind)
	if s == nil {
		return t, nil
	}
	if int(s.link) >= len(m.sects) {
		return t, fmt.Errorf("symbol table %q without strings: %w", s.name, ErrMalformed)
	}
	count := 0
	if err := m.eachSymbol(s, func(sym symbol) {
		if want(&sym) {
			count++
		}
	}); err != nil || count == 0 && kind != elf.SHT_DYNSYM { // imports have names as well
		return t, err
	}
	strings, size := &m.sects[s.link], uint64(unsafe.Sizeof(symbol{}))
	if kind == elf.SHT_DYNSYM {
		size *= 2 // see code
	}
	if err := m.hold(uint64(count)*size + strings.size); err != nil {
		return t, err
	}
	var err error
	if t.names, err = m.data(strings, maxStringTable); err != nil {
		return t, err
	}
	t.syms = make([]symbol, 0, count)
	err = m.eachSymbol(s, func(sym symbol) {
		if want(&sym) && len(t.syms) < count { // the file may have changed
			t.syms = append(t.syms, sym)
		}
	})
	return t, err
}

// eachSymbol decodes the defined functions and objects of a table in its order.
// st_shndx is looked at only for "undefined": python-build-standalone's
// libpython3.14.so gives _PyRuntime a section number that does not exist.
func (m *image) eachSymbol(s *section, visit func(symbol)) error {
	versions := m.symbolVersions(s.kind)
	left, index := uint64(maxSymbolBytes), 0
	return m.scan(s, &left, func(_ uint64, b []byte, fresh int) {
		for b = b[:fresh]; len(b) >= 24; b = b[24:] {
			if sym, ok := decodeSymbol(b); ok {
				sym.compat = 2*index+2 <= len(versions) && versions[2*index+1]&0x80 != 0
				visit(sym)
			}
			index++
		}
	})
}

// decodeSymbol decodes one defined function or object.
func decodeSymbol(b []byte) (symbol, bool) {
	le := binary.LittleEndian
	info := b[4]
	kind, vis := elf.ST_TYPE(info), elf.ST_VISIBILITY(b[5])
	code := kind == elf.STT_FUNC || kind == elf.STT_GNU_IFUNC
	if le.Uint16(b[6:]) == uint16(elf.SHN_UNDEF) || !code && kind != elf.STT_OBJECT && kind != elf.STT_NOTYPE {
		return symbol{}, false
	}
	return symbol{
		value: le.Uint64(b[8:]), size: le.Uint64(b[16:]), name: le.Uint32(b), code: code,
		exported: elf.ST_BIND(info) != elf.STB_LOCAL && (vis == elf.STV_DEFAULT || vis == elf.STV_PROTECTED),
	}, true
}

// symbolVersions returns .gnu.version, which belongs to .dynsym only. The top
// bit of a version marks an old one, by which nothing links any more.
func (m *image) symbolVersions(kind elf.SectionType) []byte {
	if kind != elf.SHT_DYNSYM {
		return nil
	}
	s := m.section(".gnu.version")
	if s == nil {
		return nil
	}
	b, err := m.data(s, maxSymbolBytes/12)
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

// code returns the functions of t, with the same names.
func (t *symbolTable) code() *symbolTable {
	functions := &symbolTable{names: t.names, syms: make([]symbol, 0, len(t.syms))}
	for _, s := range t.syms {
		if s.code {
			functions.syms = append(functions.syms, s)
		}
	}
	return functions
}

// maxCopies bounds the symbols with one prefix: copies of one function.
const maxCopies = 64

// withPrefix returns the symbols whose names begin with prefix.
func (t *symbolTable) withPrefix(prefix string) []symbol {
	var found []symbol
	for _, s := range t.syms {
		if len(found) < maxCopies && uint64(s.name) < uint64(len(t.names)) && bytes.HasPrefix(t.names[s.name:], []byte(prefix)) {
			found = append(found, s)
		}
	}
	return found
}

// byAddress sorts the symbols by address; among those of one address the best
// name comes last.
func (t *symbolTable) byAddress() {
	slices.SortFunc(t.syms, func(a, b symbol) int {
		if c := cmp.Compare(a.value, b.value); c != 0 {
			return c
		}
		return cmp.Or(cmp.Compare(t.rank(&a), t.rank(&b)), cmp.Compare(a.name, b.name))
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
