package cpython

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
)

// maxRelocations bounds the bytes of one relocation section.
const maxRelocations = 16 << 20

// importSlots returns where the file keeps the addresses of imported functions:
// GOT slot (address in the file) to name, of those called names.
func (m *module) importSlots(names []string) map[uint64]string {
	wanted := map[string]bool{}
	for _, n := range names {
		wanted[n] = true
	}
	byIndex := m.img.undefined(wanted)
	slots := map[uint64]string{}
	for i := range m.img.sects {
		s := &m.img.sects[i]
		if s.kind != elf.SHT_RELA {
			continue
		}
		b, err := m.img.data(s, maxRelocations)
		if err != nil {
			continue
		}
		le := binary.LittleEndian
		for ; len(b) >= 24; b = b[24:] {
			info := le.Uint64(b[8:])
			kind := elf.R_X86_64(info & 0xffffffff)
			if kind != elf.R_X86_64_JMP_SLOT && kind != elf.R_X86_64_GLOB_DAT {
				continue
			}
			if name, ok := byIndex[uint32(info>>32)]; ok {
				slots[le.Uint64(b)] = name
			}
		}
	}
	return slots
}

// undefined returns the wanted imports of .dynsym by their index.
func (m *image) undefined(wanted map[string]bool) map[uint32]string {
	byIndex := map[uint32]string{}
	for i := range m.sects {
		s := &m.sects[i]
		if s.kind != elf.SHT_DYNSYM || int(s.link) >= len(m.sects) {
			continue
		}
		raw, err := m.data(s, maxSymbolBytes)
		if err != nil {
			return byIndex
		}
		names, err := m.data(&m.sects[s.link], maxStringTable)
		if err != nil {
			return byIndex
		}
		le := binary.LittleEndian
		for n := 0; (n+1)*24 <= len(raw); n++ {
			b := raw[n*24:]
			if le.Uint16(b[6:]) != uint16(elf.SHN_UNDEF) {
				continue
			}
			if name := cstring(names, le.Uint32(b), 256); wanted[name] {
				byIndex[uint32(n)] = name
			}
		}
	}
	return byIndex
}

// boundImports returns the addresses that the interpreter calls for names, as
// far as the dynamic linker has bound them: this is the truth also where a
// preloaded library stands in for libc.
func (p *Process) boundImports(names []string) map[string]uint64 {
	bound := map[string]uint64{}
	c, err := p.runtimeModule()
	if err != nil {
		return bound
	}
	for slot, name := range c.mod.importSlots(names) {
		addr, err := p.word(slot + c.bias)
		if err != nil {
			continue
		}
		m, ok := p.mapping(addr)
		if !ok || !m.Exec || m.Inode == c.m.Inode && m.Dev == c.m.Dev {
			continue // not bound yet: the slot points at the file's own PLT
		}
		bound[name] = addr
	}
	return bound
}

// runtimeModule returns the file that contains _PyRuntime.
func (p *Process) runtimeModule() (*candidate, error) {
	for _, m := range p.Maps() {
		if m.Exec && m.Path == p.Build.Path {
			if c, ok := p.codeAt(m.Start); ok {
				return c, nil
			}
		}
	}
	return nil, fmt.Errorf("%q is not mapped any more: %w", p.Build.Path, ErrGone)
}
