package cpython

import (
	"debug/elf"
	"encoding/binary"
	"fmt"

	"golang.org/x/arch/arm64/arm64asm"
)

// arm64 is AArch64 (Arm's "DWARF for the Arm 64-bit Architecture" and "Procedure
// Call Standard"). A call leaves the return address in a register, x30, which a
// function that calls others saves where its unwind rules say, and may sign (in
// the bits above the address).
var arm64 = processor{
	machine: elf.EM_AARCH64, name: "arm64",
	imports: [2]uint32{uint32(elf.R_AARCH64_JUMP_SLOT), uint32(elf.R_AARCH64_GLOB_DAT)},
	fp:      29, sp: 31, ra: 30, highest: 1<<48 - 1, signed: true,
	branch: arm64Branch, plan: arm64Plan, called: arm64Called,
}

// arm64Word is the instruction at off.
func arm64Word(code []byte, off uint32) (uint32, bool) {
	if uint64(off)+4 > uint64(len(code)) {
		return 0, false
	}
	return binary.LittleEndian.Uint32(code[off:]), true
}

// signed is the number in the `bits` bits of the word from `low` on, in bytes.
func signed(word uint32, low, bits int) int64 {
	return int64(int32(word<<(32-low-bits))>>(32-bits)) * 4
}

// arm64Branch decodes the branches of the base instructions (Arm Architecture
// Reference Manual, "Branches, Exception Generating and System instructions").
func arm64Branch(code []byte, off uint32) (branch, bool) {
	word, ok := arm64Word(code, off)
	if !ok {
		return branch{}, false
	}
	b := branch{length: 4}
	switch {
	case word&0xfc000000 == 0x14000000: // b
		b.kind, b.rel = jumps, signed(word, 0, 26)
	case word&0xfc000000 == 0x94000000: // bl
		b.kind, b.rel = callsTarget, signed(word, 0, 26)
	case word&0xff000000 == 0x54000000, word&0x7e000000 == 0x34000000: // b.cond; cbz, cbnz
		b.kind, b.rel = jumpsMaybe, signed(word, 5, 19)
	case word&0x7e000000 == 0x36000000: // tbz, tbnz
		b.kind, b.rel = jumpsMaybe, signed(word, 5, 14)
	case word&0xfee00000 == 0xd6000000: // br, braa and others
		b.kind = jumpsAway
	case word&0xfee00000 == 0xd6200000: // blr
		b.kind = callsAway
	case word&0xfee00000 == 0xd6400000: // ret, retaa
		b.kind = returns
	}
	if b.direct() {
		b.rel -= 4 // it counts from the instruction itself
	}
	return b, true
}

// arm64Plan puts the probe on the entry: there the arguments and x30 are as the
// caller left them. Every entry can be probed but for instructions of exclusive
// access, which begin no function.
func arm64Plan(code []byte) (sitePlan, error) {
	word, ok := arm64Word(code, 0)
	if !ok {
		return sitePlan{}, fmt.Errorf("no instruction at the end of the code: %w", ErrMalformed)
	}
	if word&0x3f000000 == 0x08000000 {
		return sitePlan{}, fmt.Errorf("first instruction %08x is one of exclusive access, which cannot be probed: %w", word, ErrUnsupported)
	}
	text := "unknown instruction"
	if insn, err := arm64asm.Decode(code); err == nil {
		text = arm64asm.GNUSyntax(insn)
	}
	return sitePlan{insn: fmt.Sprintf("%s [%08x]", text, word), cost: arm64Cost(word)}, nil
}

// arm64Cost follows what arch/arm64/kernel/probes/decode-insn.c simulates in
// every release that gilscope runs on.
func arm64Cost(word uint32) Cost {
	b, _ := arm64Branch(binary.LittleEndian.AppendUint32(nil, word), 0)
	adr := word&0x1f000000 == 0x10000000
	literal := word&0x3b000000 == 0x18000000
	if b.kind != goesOn || adr || literal {
		return Emulated
	}
	return SingleStepped
}

// arm64Called returns where the call before a return address leads, if that
// names its target.
func arm64Called(_ *Process, c *candidate, ret uint64) (uint64, bool) {
	code, err := c.mod.img.readVaddr(ret-4-c.bias, 4)
	if err != nil {
		return 0, false
	}
	b, ok := arm64Branch(code, 0)
	return ret + uint64(b.rel), ok && b.kind == callsTarget
}
