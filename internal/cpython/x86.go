package cpython

import (
	"debug/elf"
	"encoding/binary"

	"golang.org/x/arch/x86/x86asm"
)

// x86 is x86-64 (System V ABI, AMD64 supplement). Its instructions are in sites.go and vex.go.
var x86 = processor{
	machine: elf.EM_X86_64, name: "x86-64",
	imports: [2]uint32{uint32(elf.R_X86_64_JMP_SLOT), uint32(elf.R_X86_64_GLOB_DAT)},
	fp:      6, sp: 7, ra: 16, pushed: 8, highest: 1<<47 - 1,
	branch: x86Branch, plan: planSite,
	layouts: true, callSites: true,
}

func init() { x86.called = x86Called } // which refers to x86 itself

func x86Branch(code []byte, off uint32) (branch, bool) {
	insn, length, ok := decode(code, off)
	if !ok {
		return branch{}, false
	}
	b := branch{length: length}
	rel, direct := insn.Args[0].(x86asm.Rel)
	switch {
	case insn.Op == x86asm.RET:
		b.kind = returns
	case insn.Op == x86asm.CALL && direct:
		b.kind = callsTarget
	case insn.Op == x86asm.CALL:
		b.kind = callsAway
	case insn.Op == x86asm.JMP && direct:
		b.kind = jumps
	case insn.Op == x86asm.JMP:
		b.kind = jumpsAway
	case direct:
		b.kind = jumpsMaybe
	}
	b.rel = int64(rel)
	return b, true
}

// x86Called returns where the call before a return address leads: direct calls,
// also through the PLT, and calls through a GOT slot.
func x86Called(p *Process, c *candidate, ret uint64) (uint64, bool) {
	code, err := c.mod.img.readVaddr(ret-6-c.bias, 6)
	if err != nil {
		return 0, false
	}
	rel := uint64(int64(int32(binary.LittleEndian.Uint32(code[2:]))))
	if code[0] == 0xff && code[1] == 0x15 { // call [rip+rel]
		return p.slot(ret + rel)
	}
	if code[1] != 0xe8 {
		return 0, false
	}
	target := ret + rel
	if via, ok := p.throughPLT(target); ok {
		return via, true
	}
	return target, true
}
