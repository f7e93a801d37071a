package cpython

import "encoding/binary"

// maxCallers bounds the frames of one native stack, and maxScan the bytes of
// stack searched for one return address.
const (
	maxCallers = 16
	maxScan    = 8192
)

// registers is what is known of a frame.
type registers struct {
	pc, sp, bp uint64
	bpKnown    bool
	isReturn   bool // pc is a return address: its call instruction lies before it
}

// lookupPC is the address that belongs to the frame's function for certain: the
// call may have been its last instruction.
func (r *registers) lookupPC() uint64 {
	if r.isReturn {
		return r.pc - 1
	}
	return r.pc
}

// stackView is a copy of the stack, taken at address base.
type stackView struct {
	base  uint64
	bytes []byte
}

// word returns the word at an address of the stack.
func (s *stackView) word(addr uint64) (uint64, bool) {
	if addr < s.base || addr-s.base > uint64(len(s.bytes)) || uint64(len(s.bytes))-(addr-s.base) < 8 {
		return 0, false
	}
	return binary.LittleEndian.Uint64(s.bytes[addr-s.base:]), true
}

// Callers returns the return addresses of the native stack, innermost first,
// without pc itself: at most 16, fewer where the way up is not certain. pc is an
// interrupted instruction, sp the stack pointer there, stack the bytes from sp.
func (p *Process) Callers(pc, sp uint64, stack []byte) []uint64 {
	frames := p.unwind(registers{pc: pc, sp: sp}, stack, nil)
	callers := make([]uint64, 0, len(frames))
	for _, f := range frames {
		callers = append(callers, f.pc)
	}
	return callers
}

// unwind returns the frames above r. It follows the unwind tables; where they
// need an unknown frame pointer it looks for the call instead (see scan). stop, if not
// nil, is asked before each step and ends the walk by true.
func (p *Process) unwind(r registers, stack []byte, stop func(registers) bool) []registers {
	view := &stackView{base: r.sp, bytes: stack}
	var frames []registers
	for len(frames) < maxCallers {
		if stop != nil && stop(r) {
			break
		}
		next, ok := p.caller(r, view)
		if !ok || next.sp <= r.sp { // the stack grows down: every caller lies higher
			break
		}
		frames = append(frames, next)
		r = next
	}
	return frames
}

// caller computes the frame above r.
func (p *Process) caller(r registers, view *stackView) (registers, bool) {
	c, ok := p.codeAt(r.lookupPC())
	if !ok {
		return r, false
	}
	row := c.mod.row(r.lookupPC() - c.bias)
	cfa := uint64(0)
	switch {
	case row.known && row.ra.kind == ruleNobody:
		return r, false
	case row.known && !row.viaFP:
		cfa = r.sp + uint64(row.offset)
	case row.known && r.bpKnown:
		cfa = r.bp + uint64(row.offset)
	default:
		slot, ok := p.scan(r, c, row, view)
		if !ok {
			return r, false
		}
		cfa = slot + 8
	}
	next := registers{sp: cfa, isReturn: true}
	if next.pc, ok = p.returnAddress(row, cfa, view); !ok {
		return r, false
	}
	if m, mapped := p.mapping(next.pc); !mapped || !m.Exec {
		return r, false
	}
	switch {
	case !row.known || row.bp.kind == ruleOther || row.bp.kind == ruleNobody:
	case row.bp.kind == ruleSaved:
		next.bp, next.bpKnown = view.word(cfa + uint64(row.bp.offset))
	default:
		next.bp, next.bpKnown = r.bp, r.bpKnown
	}
	return next, true
}

// returnAddress reads it where the row says, or where a call leaves it.
func (p *Process) returnAddress(row cfiRow, cfa uint64, view *stackView) (uint64, bool) {
	cpu := p.cpu()
	at := cfa - 8
	switch {
	case row.ra.kind == ruleOther, cpu.pushed == 0 && !(row.known && row.ra.kind == ruleSaved):
		return 0, false // in a register, of which nothing is known
	case row.known && row.ra.kind == ruleSaved:
		at = cfa + uint64(row.ra.offset)
	}
	word, ok := view.word(at)
	if cpu.signed {
		word &= cpu.highest
	}
	return word, ok
}

// scan looks up the stack for the return address of the frame's function: a
// word that follows a call that enters that function. Calls through registers
// prove nothing and are never taken.
func (p *Process) scan(r registers, c *candidate, row cfiRow, view *stackView) (slot uint64, ok bool) {
	entry, ok := c.mod.entryOf(r.lookupPC() - c.bias)
	if !ok || p.cpu().pushed == 0 {
		return 0, false
	}
	// Saved registers of a frame with rbp lie below its return address, which is
	// at rbp+8; sp itself may already be the slot.
	for addr := r.sp &^ 7; addr < r.sp+maxScan; addr += 8 {
		word, ok := view.word(addr)
		if !ok {
			return 0, false
		}
		if target, ok := p.callTarget(word); ok && p.reaches(target, entry+c.bias) {
			return addr, true
		}
	}
	return 0, false
}

// callTarget returns where the call before a return address leads, if that can be known.
func (p *Process) callTarget(ret uint64) (uint64, bool) {
	if ret < 1<<16 || ret > p.cpu().highest {
		return 0, false
	}
	c, ok := p.codeAt(ret - 1)
	if !ok {
		return 0, false
	}
	return p.cpu().called(p, c, ret)
}

// throughPLT returns where a PLT stub at addr jumps to.
func (p *Process) throughPLT(addr uint64) (uint64, bool) {
	c, ok := p.codeAt(addr)
	if !ok {
		return 0, false
	}
	code, err := c.mod.img.readVaddr(addr-c.bias, 12)
	if err != nil {
		return 0, false
	}
	skip := 0
	if isEndbr(code) {
		skip = 4
	}
	if code[skip] == 0xf2 { // bnd
		skip++
	}
	if code[skip] != 0xff || code[skip+1] != 0x25 { // jmp [rip+rel]
		return 0, false
	}
	rel := uint64(int64(int32(binary.LittleEndian.Uint32(code[skip+2:]))))
	return p.slot(addr + uint64(skip) + 6 + rel)
}

// slot reads a GOT slot of the process.
func (p *Process) slot(addr uint64) (uint64, bool) {
	v, err := p.word(addr)
	return v, err == nil
}
