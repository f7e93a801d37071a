package cpython

import "strings"

// Symbol names a native instruction.
type Symbol struct {
	Module   string // path of the mapped file, "" for code of no file
	Function string // "" if unknown
	Start    uint64 // entry of the function, as the file numbers addresses; 0: unknown
	RelPC    uint64 // the instruction, as the file numbers addresses
	Exported bool   // other modules can link to the function
}

// Symbolize names the native code at pc.
func (p *Process) Symbolize(pc uint64) Symbol {
	c, ok := p.codeAt(pc)
	if !ok {
		m, _ := p.mapping(pc)
		return Symbol{Module: m.Path}
	}
	s := c.mod.symbol(pc - c.bias)
	s.Module = c.m.Path
	return s
}

// symbol names an address in the file. Where no symbol covers it, the unwind
// table still tells the function's entry, and a symbol may stand there: cold
// parts in stripped files have no symbol of their own.
func (m *module) symbol(vaddr uint64) Symbol {
	s := Symbol{RelPC: vaddr}
	t := m.functions()
	found, ok := t.cover(vaddr)
	if !ok || found.size == 0 {
		if entry, known := m.entryOf(vaddr); known && (!ok || found.value < entry) {
			s.Start = entry
			if found, ok = t.cover(entry); ok && found.value != entry {
				ok = false
			}
		}
	}
	if ok {
		s.Function, s.Start, s.Exported = sourceName(t.name(&found)), found.value, found.exported
	}
	return s
}

// cloneMarks are what compilers append to the names of copies and parts.
var cloneMarks = []string{".cold", ".lto_priv", ".constprop", ".isra", ".part", ".llvm", ".warm", ".__uniq"}

// sourceName removes the marks of copies: the name that the source code has.
func sourceName(name string) string {
	for _, mark := range cloneMarks {
		if i := strings.Index(name, mark); i > 0 {
			name = name[:i]
		}
	}
	return name
}

// NativeName names what the thread does at pc as a Python programmer would: in
// a library it is the function by which the library was entered ("usleep", not
// "clock_nanosleep"), in the interpreter the function itself.
func (p *Process) NativeName(pc, sp uint64, stack []byte) Symbol {
	name := p.Symbolize(pc)
	if name.Module == "" || name.Module == p.Build.Path {
		return name
	}
	p.unwind(registers{pc: pc, sp: sp}, stack, func(r registers) bool {
		s := p.Symbolize(r.lookupPC())
		if s.Module != name.Module {
			return true
		}
		if s.Function != "" {
			name = s
		}
		return false
	})
	return name
}

// codeAt returns the mapped file with the code at addr.
func (p *Process) codeAt(addr uint64) (*candidate, bool) {
	m, ok := p.mapping(addr)
	if !ok || !m.Exec || m.Inode == 0 {
		return nil, false
	}
	p.mu.Lock()
	c, ok := p.code[m.Start]
	p.mu.Unlock()
	if ok {
		return c, c != nil
	}
	c, err := p.candidateAt(m)
	if err != nil {
		c = nil // remembered as well: a damaged file is not opened for each sample
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.code[m.Start] = c
	return c, c != nil
}
