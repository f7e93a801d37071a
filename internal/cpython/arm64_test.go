package cpython

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

func TestARM64Branch(t *testing.T) {
	for _, c := range []struct {
		insn string
		word uint32
		kind branchKind
		to   int64 // from the instruction itself
	}{
		{"b +8", 0x14000002, jumps, 8},
		{"b -4", 0x17ffffff, jumps, -4},
		{"bl +0x7fffffc", 0x95ffffff, callsTarget, 0x7fffffc},
		{"bl -4", 0x97ffffff, callsTarget, -4},
		{"b.eq +16", 0x54000080, jumpsMaybe, 16},
		{"b.ne -8", 0x54ffffc1, jumpsMaybe, -8},
		{"cbz x0, +8", 0xb4000040, jumpsMaybe, 8},
		{"cbnz w1, +8", 0x35000041, jumpsMaybe, 8},
		{"tbz w0, #3, +8", 0x36180040, jumpsMaybe, 8},
		{"tbnz x1, #40, -4", 0xb747ffe1, jumpsMaybe, -4},
		{"br x17", 0xd61f0220, jumpsAway, 0},
		{"braa x16, x17", 0xd71f0a11, jumpsAway, 0},
		{"blr x8", 0xd63f0100, callsAway, 0},
		{"blraa x16, x17", 0xd73f0a11, callsAway, 0},
		{"ret", 0xd65f03c0, returns, 0},
		{"retaa", 0xd65f0bff, returns, 0},
		{"nop", 0xd503201f, goesOn, 0},
		{"paciasp", 0xd503233f, goesOn, 0},
		{"stp x29, x30, [sp, #-32]!", 0xa9be7bfd, goesOn, 0},
	} {
		b, ok := arm64Branch(binary.LittleEndian.AppendUint32(nil, c.word), 0)
		to := int64(0)
		if b.direct() {
			to = b.rel + int64(b.length)
		}
		if !ok || b.kind != c.kind || to != c.to || b.length != 4 {
			t.Errorf("%s: %+v, to %d", c.insn, b, to)
		}
	}
	if _, ok := arm64Branch([]byte{0, 0, 0, 0, 1, 2, 3}, 4); ok {
		t.Error("three bytes are no instruction")
	}
}

func TestARM64Plan(t *testing.T) {
	for _, c := range []struct {
		word uint32
		cost Cost
		text string
	}{
		{0xd503233f, SingleStepped, "[d503233f]"}, // paciasp, with which functions of Debian 13 begin
		{0x10000001, Emulated, "adr"},
		{0x58000041, Emulated, "ldr"},
		{0x14000002, Emulated, "b "},
		{0xa9be7bfd, SingleStepped, "stp"},
	} {
		plan, err := arm64Plan(binary.LittleEndian.AppendUint32(nil, c.word))
		if err != nil || plan.skip != 0 || plan.cost != c.cost || !strings.Contains(plan.insn, c.text) {
			t.Errorf("%08x: %+v, %v", c.word, plan, err)
		}
	}
	if _, err := arm64Plan([]byte{0x20, 0x7c, 0x5f, 0xc8}); !errors.Is(err, ErrUnsupported) { // ldxr x0, [x1]
		t.Errorf("exclusive access: %v", err)
	}
	if _, err := arm64Plan([]byte{1, 2}); !errors.Is(err, ErrMalformed) {
		t.Errorf("half an instruction: %v", err)
	}
}

// TestARM64Rows runs the unwind program of an ordinary function: paciasp; stp x29,
// x30, [sp, #-32]!; mov x29, sp; ...; ldp; autiasp; ret.
func TestARM64Rows(t *testing.T) {
	f := &fde{start: 0x1000, size: 0x40, cie: &cie{cpu: &arm64, codeAlign: 4, dataAlign: -8, program: []byte{0x0c, 31, 0}},
		program: []byte{
			0x41, 0x2d, // after paciasp: the return address is signed
			0x41, 0x0e, 32, 0x80 | 29, 4, 0x80 | 30, 3, // after stp: CFA is sp + 32, x29 and x30 are at its bottom
			0x48, 0xc0 | 29, 0xc0 | 30, 0x0e, 0, // after ldp
			0x41, 0x2d,
		}}
	outside := cfiRow{start: 0x1000, end: 0x1040, known: true}
	within := outside
	within.offset, within.bp, within.ra = 32, regRule{ruleSaved, -32}, regRule{ruleSaved, -24}
	for at, want := range map[uint64]cfiRow{0x1000: outside, 0x1004: outside, 0x1008: within, 0x1024: within, 0x1028: outside, 0x102c: outside} {
		if got := f.row(at); got != want {
			t.Errorf("at %#x: %+v, want %+v", at, got, want)
		}
	}
	if !f.isEntry() {
		t.Error("the function does not begin where it begins")
	}
}
