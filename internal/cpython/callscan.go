package cpython

import (
	"cmp"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Bounds of the search for calls, for one file: bytes of code and of PLT, how
// many finds, and the bytes of code that are decoded to prove them.
const (
	maxCode   = 128 << 20
	maxPLT    = 4 << 20
	maxFound  = 512
	maxProven = 4 << 20
)

// callKind is how a function is called.
type callKind uint8

// Kinds of calls.
const (
	callDirect   callKind = iota // call rel32
	callJump                     // jmp rel32: a tail call
	callBranch                   // jcc rel32: a conditional tail call
	callIndirect                 // anything that reads the GOT slot
)

// libcCall is one place in the code that calls an imported function.
type libcCall struct {
	at   uint64 // of the displacement (4 bytes) that leads there, in the file
	insn uint64 // of the instruction, once it is proven
	name string
	kind callKind
}

// calls finds all calls of the named imports in the file by their bytes, in the
// order of addresses. A few of them may be no instructions: see proven.
func (m *module) calls(names []string) ([]libcCall, error) {
	slots := m.importSlots(names)
	targets := m.stubs(slots)
	for _, name := range names { // a static C library
		if s, ok := m.functions().find(name); ok {
			targets[s.value] = name
		}
	}
	if len(slots)+len(targets) == 0 {
		return nil, fmt.Errorf("calls of %s: %w", strings.Join(names, ", "), ErrNoSymbol)
	}
	var found []libcCall
	left := uint64(maxCode)
	for i := range m.img.sects {
		s := &m.img.sects[i]
		if s.flags&elf.SHF_EXECINSTR == 0 || isPLT(s) {
			continue
		}
		err := m.img.scan(s, &left, func(addr uint64, code []byte, fresh int) {
			found = scanCalls(found, code, fresh, addr, slots, targets)
		})
		if err == nil && len(found) > maxFound {
			err = fmt.Errorf("more than %d calls: %w", maxFound, ErrMalformed)
		}
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(found, func(a, b libcCall) int { return cmp.Compare(a.at, b.at) })
	return slices.CompactFunc(found, func(a, b libcCall) bool { return a.at == b.at }), nil // sections may overlap
}

func isPLT(s *section) bool { return strings.HasPrefix(s.name, ".plt") || s.name == ".iplt" }

// scanCalls appends the calls that begin among the first fresh bytes of code,
// which lies at addr, and that lead to one of the targets or use a slot.
func scanCalls(found []libcCall, code []byte, fresh int, addr uint64, slots, targets map[uint64]string) []libcCall {
	low, high := ^uint64(0), uint64(0) // of the slots, to look up few
	for slot := range slots {
		low, high = min(low, slot), max(high, slot)
	}
	for i := 0; i < fresh && i+4 <= len(code) && len(found) <= maxFound; i++ {
		at := addr + uint64(i)
		if to := relative(code[i:], at); to >= low && to <= high && slots[to] != "" {
			found = append(found, libcCall{at: at, name: slots[to], kind: callIndirect})
		}
		kind, skip := callDirect, 1
		switch op := code[i]; {
		case op == 0xe8:
		case op == 0xe9:
			kind = callJump
		case op == 0x0f && code[i+1]&0xf0 == 0x80:
			kind, skip = callBranch, 2
		default:
			continue
		}
		if i+skip+4 > len(code) {
			continue
		}
		at += uint64(skip)
		if name, ok := targets[relative(code[i+skip:], at)]; ok {
			found = append(found, libcCall{at: at, name: name, kind: kind})
		}
	}
	return found
}

// relative returns what the displacement at addr leads to.
func relative(b []byte, addr uint64) uint64 {
	return addr + 4 + uint64(int64(int32(binary.LittleEndian.Uint32(b))))
}

// stubs returns the PLT stubs of the slots: a stub is its "jmp [slot]", and may
// begin 4, 5 or 6 bytes before it (endbr64, bnd, or both).
func (m *module) stubs(slots map[uint64]string) map[uint64]string {
	stubs := map[uint64]string{}
	left := uint64(maxPLT)
	for i := range m.img.sects {
		s := &m.img.sects[i]
		if s.flags&elf.SHF_EXECINSTR == 0 || !isPLT(s) {
			continue
		}
		m.img.scan(s, &left, func(addr uint64, code []byte, fresh int) { // unread: no stub is known
			for i := 0; i < fresh && i+6 <= len(code) && len(stubs) < 4*maxSlots; i++ {
				if code[i] != 0xff || code[i+1] != 0x25 {
					continue
				}
				at := addr + uint64(i)
				if name, ok := slots[relative(code[i+2:], at+2)]; ok {
					stubs[at], stubs[at-4], stubs[at-5], stubs[at-6] = name, name, name, name
				}
			}
		})
	}
	return stubs
}

// errNotProven: the bytes look like a call, but the code before it cannot be
// decoded, so that nobody knows whether an instruction begins there.
var errNotProven = errors.New("cannot tell instructions from data")

// proven returns the calls that are instructions. Any four bytes may look like a
// call; one that is in truth the middle of another instruction must never be
// probed, because the breakpoint would change that instruction. The code is
// decoded from the beginning of the function, which the unwind tables tell, or
// its symbol.
//
// The BOLT optimizer leaves the code as it was in .bolt.org.text. Functions that
// it moved are dead there and gone from the unwind tables; the others still run.
func (m *module) proven(calls []libcCall) ([]libcCall, error) {
	var kept []libcCall
	left := uint64(maxProven)
	for len(calls) > 0 {
		start, end, ok := m.bounds(calls[0].at)
		if !ok && m.movedByBOLT(calls[0].at) {
			calls = calls[1:]
			continue
		}
		if !ok {
			var s symbol
			s, ok = m.functions().cover(calls[0].at)
			start, end = s.value, s.value+s.size
		}
		if !ok || end-start > left || end <= calls[0].at {
			return nil, fmt.Errorf("%s at %#x: %w", calls[0].name, calls[0].at, errNotProven)
		}
		left -= end - start
		n := 1
		for n < len(calls) && calls[n].at < end {
			n++
		}
		code, err := m.img.readVaddr(start, end-start)
		if err != nil {
			return nil, err
		}
		if kept, err = instructions(kept, calls[:n], code, start); err != nil {
			return nil, err
		}
		calls = calls[n:]
	}
	return kept, nil
}

// movedByBOLT says whether an address lies in what BOLT left of the code.
func (m *module) movedByBOLT(vaddr uint64) bool {
	s := m.img.section(".bolt.org.text")
	return s != nil && vaddr >= s.addr && vaddr-s.addr < s.size
}

// instructions appends those of the calls that have their displacement where an
// instruction of code, which lies at addr, has it.
func instructions(kept, calls []libcCall, code []byte, addr uint64) ([]libcCall, error) {
	for off := uint32(0); len(calls) > 0; {
		insn, length, ok := decode(code, off)
		if !ok {
			return nil, fmt.Errorf("%s at %#x, instruction at %#x: %w", calls[0].name, calls[0].at, addr+uint64(off), errNotProven)
		}
		at := addr + uint64(off)
		for ; len(calls) > 0 && calls[0].at < at+uint64(length); calls = calls[1:] {
			if c := calls[0]; insn.PCRel == 4 && at+uint64(insn.PCRelOff) == c.at {
				c.insn = at
				kept = append(kept, c)
			}
		}
		off += length
	}
	return kept, nil
}
