package cpython

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
)

// maxRelocations bounds the bytes of the relocations of one file, maxSlots the
// slots of the few imports that are looked for: honest files have one or two each.
const (
	maxRelocations = 64 << 20
	maxSlots       = 256
)

// importSlots returns where the file keeps the addresses of imported functions:
// GOT slot (address in the file) to name, of those called names.
func (m *module) importSlots(names []string) map[uint64]string {
	byIndex := m.undefined(names)
	slots := map[uint64]string{}
	cpu := processorOf(m.img.machine)
	if cpu == nil {
		return slots
	}
	left := uint64(maxRelocations)
	for i := range m.img.sects {
		s := &m.img.sects[i]
		if s.kind != elf.SHT_RELA {
			continue
		}
		m.img.scan(s, &left, func(_ uint64, b []byte, fresh int) { // unread: no slot is known
			le := binary.LittleEndian
			for b = b[:fresh]; len(b) >= 24 && len(slots) < maxSlots; b = b[24:] {
				info := le.Uint64(b[8:])
				kind := uint32(info)
				name, ok := byIndex[uint32(info>>32)]
				if ok && (kind == cpu.imports[0] || kind == cpu.imports[1]) {
					slots[le.Uint64(b)] = name
				}
			}
		})
	}
	return slots
}

// undefined returns the imports of .dynsym that have one of the names, by index.
func (m *module) undefined(names []string) map[uint32]string {
	byIndex := map[uint32]string{}
	t, s := m.dynamic(), m.img.symbolSection(elf.SHT_DYNSYM)
	if s == nil {
		return byIndex
	}
	left, index := uint64(maxSymbolBytes), uint32(0)
	m.img.scan(s, &left, func(_ uint64, b []byte, fresh int) {
		le := binary.LittleEndian
		for b = b[:fresh]; len(b) >= 24; b = b[24:] {
			sym := symbol{name: le.Uint32(b)}
			for _, name := range names {
				if le.Uint16(b[6:]) == uint16(elf.SHN_UNDEF) && len(byIndex) < maxSlots && t.is(&sym, name) {
					byIndex[index] = name
				}
			}
			index++
		}
	})
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
