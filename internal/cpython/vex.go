package cpython

// vexLength returns the length of the vector (AVX) or bit manipulation (BMI)
// instruction at the beginning of b, which x86asm does not know; 0 if there is
// none. In 64-bit mode the bytes c4, c5 and 62 begin nothing else (Intel manual,
// volume 2, sections 2.3 VEX and 2.7 EVEX).
func vexLength(b []byte) uint32 {
	if len(b) < 5 {
		return 0
	}
	var at, space int // of the opcode; which of the opcode maps it is from
	switch b[0] {
	case 0xc5:
		at, space = 2, 1
	case 0xc4:
		at, space = 3, int(b[1]&0x1f)
	case 0x62:
		at, space = 4, int(b[1]&7)
	default:
		return 0
	}
	op := b[at]
	if op == 0x77 && space == 1 && b[0] != 0x62 { // vzeroupper and vzeroall have no operands
		return uint32(at) + 1
	}
	n := at + 1 + operandLength(b[min(at+1, len(b)):])
	if space == 3 || space == 1 && (op >= 0x70 && op <= 0x73 || op == 0xc2 || op >= 0xc4 && op <= 0xc6) {
		n++ // an immediate byte
	}
	if n > len(b) {
		return 0
	}
	return uint32(n)
}

// operandLength returns the length of a ModRM byte with what belongs to it: the
// SIB byte and the displacement. A cut one comes out longer than b.
func operandLength(b []byte) int {
	if len(b) < 2 {
		return 2
	}
	mod, rm, base := b[0]>>6, b[0]&7, b[1]&7
	n := 1
	if mod == 3 {
		return n
	}
	if rm == 4 {
		n++
	}
	switch {
	case mod == 1:
		n++
	case mod == 2, rm == 5, rm == 4 && base == 5:
		n += 4
	}
	return n
}
