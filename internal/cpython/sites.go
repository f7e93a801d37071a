package cpython

import (
	"fmt"
	"os"

	"golang.org/x/arch/x86/x86asm"
)

// Cost says how the kernel runs the instruction under a uprobe.
type Cost uint8

// Costs, cheapest first, with the time per hit measured on a VM.
const (
	NOP5          Cost = iota // 5-byte nop: 0.25 us on Linux 6.18, where it becomes a call
	Emulated                  // push, 1-byte nop, call, jmp, jcc: 0.55 us
	SingleStepped             // all others: two traps, 18 us
)

// String returns the cost in a word.
func (c Cost) String() string {
	return [...]string{"nop5", "emulated", "single-stepped"}[min(c, SingleStepped)]
}

// Site is one place for a uprobe.
type Site struct {
	Name      string // function
	Path      string // to open for attaching: the very file whose code was read, whatever lies at its path by now
	File      string // for people: the path as mapped
	Offset    uint64 // of the probed instruction in the file
	Addr      uint64 // of the probed instruction in the process
	Insn      string // the instruction
	Cost      Cost
	Skip      uint32 // bytes from the function's entry to the instruction
	Call      bool   // the site is a call of the function, not its entry
	In        string // of a call: the function that makes it, "" if it has no name
	TStateArg uint8  // GIL sites: argument (1, 2, 3) that holds the thread state; 0: none

	file *os.File // that Path names
}

// maxPrologue bounds how far into a function a site may lie, and maxBody how
// much of the function is searched for jumps back to it.
const (
	maxPrologue = 32
	maxBody     = 4096
)

// siteAt plans a probe on the function at addr.
func (p *Process) siteAt(name string, addr uint64) (Site, error) {
	s, code, err := p.place(name, addr)
	if err != nil {
		return Site{}, err
	}
	plan, err := p.cpu().plan(code)
	if err != nil {
		return Site{}, fmt.Errorf("%s at %#x of %q: %w", name, s.Offset, s.File, err)
	}
	s.Offset, s.Addr = s.Offset+uint64(plan.skip), addr+uint64(plan.skip)
	s.Insn, s.Cost, s.Skip = plan.insn, plan.cost, plan.skip
	return s, nil
}

// place says where in its file the code at addr lies, and returns the code from
// there on, up to the end of the function if addr is a known one.
func (p *Process) place(name string, addr uint64) (Site, []byte, error) {
	c, ok := p.codeAt(addr)
	if !ok {
		return Site{}, nil, fmt.Errorf("address %#x is no code of a file: %w; a restart of the process may help", addr, ErrNoSymbol)
	}
	m, mod := c.m, c.mod
	off := addr - m.Start + m.Offset
	code, err := mod.img.bytes(off, min(maxBody, mod.img.size-min(off, mod.img.size)))
	if err != nil {
		return Site{}, nil, err
	}
	if size := mod.functionSize(off); size != 0 {
		code = code[:min(size, uint64(len(code)))]
	}
	path := fmt.Sprintf("/proc/self/fd/%d", mod.file.Fd())
	return Site{Name: name, Path: path, File: m.Path, Offset: off, Addr: addr, file: mod.file}, code, nil
}

// functionSize returns the size of the function at file offset off, by its
// symbol or its unwind entry; 0 if neither is known.
func (m *module) functionSize(off uint64) uint64 {
	vaddr, ok := m.img.vaddrOf(off)
	if !ok {
		return 0
	}
	if s, ok := m.functions().cover(vaddr); ok && s.value == vaddr && s.size != 0 {
		return s.size
	}
	if start, end, ok := m.bounds(vaddr); ok && start == vaddr {
		return end - start
	}
	return 0
}

// sitePlan is where in a function the probe goes.
type sitePlan struct {
	skip uint32
	insn string
	cost Cost
}

// planSite chooses the first instruction that the kernel emulates and that is
// reached exactly once per call with the arguments still in their registers and
// the return address on top of the stack.
// Where there is none, the entry is taken and single-stepped.
func planSite(code []byte) (sitePlan, error) {
	entry, err := planAt(code, 0)
	if err != nil {
		return sitePlan{}, err
	}
	for off := uint32(0); off < maxPrologue; {
		insn, length, ok := decode(code, off)
		if !ok || hasLock(insn) {
			break
		}
		if cost := costOf(code[off:], insn, length); cost != SingleStepped && !jumpsInto(code, off) {
			return sitePlan{off, insnText(code[off:], insn, length), cost}, nil
		}
		if endsStraightLine(insn) || changesEntry(insn) || vexLength(code[off:]) != 0 {
			break
		}
		off += length
	}
	return entry, nil
}

// planAt describes the instruction at off; one with a LOCK prefix is refused,
// as the kernel does (error 524).
func planAt(code []byte, off uint32) (sitePlan, error) {
	insn, length, ok := decode(code, off)
	if !ok {
		return sitePlan{}, fmt.Errorf("undecodable instruction % x: %w", code[min(int(off), len(code)):min(int(off)+8, len(code))], ErrMalformed)
	}
	if hasLock(insn) {
		return sitePlan{}, fmt.Errorf("first instruction %v cannot be probed: %w", insn, ErrUnsupported)
	}
	return sitePlan{off, insnText(code[off:], insn, length), costOf(code[off:], insn, length)}, nil
}

// isEndbr recognises endbr64, which x86asm does not know.
func isEndbr(b []byte) bool {
	return len(b) >= 4 && b[0] == 0xf3 && b[1] == 0x0f && b[2] == 0x1e && b[3] == 0xfa
}

func isPrefix(b byte) bool {
	return b&0xf0 == 0x40 || b == 0x66 || b == 0x67 || b == 0xf0 || b == 0xf2 || b == 0xf3 || b&0xe7 == 0x26 || b == 0x64 || b == 0x65
}

// decode decodes one instruction; those that x86asm does not know (endbr64 and
// vector instructions) decode as an empty Inst with their length.
func decode(code []byte, off uint32) (insn x86asm.Inst, length uint32, ok bool) {
	if uint64(off) >= uint64(len(code)) {
		return insn, 0, false
	}
	if isEndbr(code[off:]) {
		return insn, 4, true
	}
	if n := vexLength(code[off:]); n != 0 {
		return insn, n, true
	}
	insn, err := x86asm.Decode(code[off:], 64)
	if err != nil || insn.Len == 0 || insn.Len == 1 && isPrefix(code[off]) { // before one that x86asm does not know
		return insn, 0, false
	}
	return insn, uint32(insn.Len), true
}

func insnText(b []byte, insn x86asm.Inst, length uint32) string {
	switch {
	case isEndbr(b):
		return "endbr64"
	case insn.Op == 0:
		return fmt.Sprintf("vector instruction [% x]", b[:length])
	}
	return fmt.Sprintf("%s [% x]", x86asm.GNUSyntax(insn, 0, nil), b[:length])
}

func hasLock(insn x86asm.Inst) bool {
	for _, prefix := range insn.Prefix {
		if prefix&0xff == 0xf0 {
			return true
		}
	}
	return false
}

// costOf follows what arch/x86/kernel/uprobes.c emulates.
func costOf(b []byte, insn x86asm.Inst, length uint32) Cost {
	if length == 6 && (b[0] == 0x67 || b[0] == 0xf2) && b[1] == 0xe8 { // prefixes without a meaning here
		return Emulated
	}
	switch {
	case length == 5 && b[0] == 0x0f && b[1] == 0x1f:
		return NOP5
	case length == 1 && (b[0] >= 0x50 && b[0] <= 0x57 || b[0] == 0x90),
		length == 2 && b[0] == 0x41 && b[1] >= 0x50 && b[1] <= 0x57,
		b[0] == 0xe8, b[0] == 0xe9, b[0] == 0xeb,
		b[0] >= 0x70 && b[0] <= 0x7f,
		len(b) > 1 && b[0] == 0x0f && b[1] >= 0x80 && b[1] <= 0x8f:
		return Emulated
	}
	return SingleStepped
}

// endsStraightLine says whether what follows the instruction is not always run.
func endsStraightLine(insn x86asm.Inst) bool {
	switch insn.Op {
	case x86asm.RET, x86asm.JMP, x86asm.CALL, x86asm.SYSCALL, x86asm.HLT, x86asm.UD2, x86asm.INT:
		return true
	}
	_, branch := insn.Args[0].(x86asm.Rel)
	return branch
}

// changesEntry says whether the instruction may change rdi, rsi, rdx or rsp: what
// probes read are the arguments and the return address. The first operand is
// what most instructions write; the few others are listed.
func changesEntry(insn x86asm.Inst) bool {
	switch insn.Op {
	case x86asm.CMP, x86asm.TEST, x86asm.PUSH, x86asm.NOP:
		return false
	case x86asm.MUL, x86asm.DIV, x86asm.IDIV, x86asm.CDQ, x86asm.CQO, x86asm.CPUID, x86asm.XCHG, x86asm.XADD, x86asm.RDTSC,
		x86asm.POP, x86asm.LEAVE, x86asm.ENTER, x86asm.PUSHF, x86asm.PUSHFQ, x86asm.POPF, x86asm.POPFQ,
		x86asm.MOVSB, x86asm.MOVSD, x86asm.MOVSQ, x86asm.STOSB, x86asm.STOSD, x86asm.STOSQ:
		return true
	}
	reg, ok := insn.Args[0].(x86asm.Reg)
	if !ok {
		return false
	}
	switch reg {
	case x86asm.RDI, x86asm.EDI, x86asm.DI, x86asm.DIB, x86asm.RSI, x86asm.ESI, x86asm.SI, x86asm.SIB,
		x86asm.RDX, x86asm.EDX, x86asm.DX, x86asm.DL, x86asm.DH, x86asm.RSP, x86asm.ESP, x86asm.SP, x86asm.SPB:
		return true
	}
	return false
}

// jumpsInto says whether a jump in the function leads to (0, target]: the
// instruction there would then run more than once per call.
func jumpsInto(code []byte, target uint32) bool {
	if target == 0 {
		return false
	}
	for off := uint32(0); ; {
		insn, length, ok := decode(code, off)
		if !ok {
			return false
		}
		off += length
		if rel, ok := insn.Args[0].(x86asm.Rel); ok && insn.Op != x86asm.CALL {
			if to := int64(off) + int64(rel); to > 0 && to <= int64(target) {
				return true
			}
		}
	}
}
