package cpython

// maxRows bounds the cached rows of one file, and maxRemember the stack of
// DW_CFA_remember_state.
const (
	maxRows     = 1 << 14
	maxRemember = 16
)

// cfiRow is how to get from one instruction's frame to its caller's: the CFA
// (the stack pointer before the call) is a register plus an offset, and saved
// registers lie at offsets from the CFA.
type cfiRow struct {
	start, end uint64 // the function, or the part of it, in the file
	known      bool   // false: no entry, or rules we do not interpret
	viaFP      bool   // CFA = frame pointer + offset, else stack pointer + offset
	offset     int64
	bp         regRule
	ra         regRule
}

// regRule is where the caller's value of a register is.
type regRule struct {
	kind   ruleKind
	offset int64 // from the CFA
}

type ruleKind uint8

// Kinds of register rules.
const (
	ruleSame   ruleKind = iota // not changed
	ruleSaved                  // at CFA + offset
	ruleOther                  // an expression or another register: not interpreted
	ruleNobody                 // undefined: for the return address, the outermost frame
)

// row returns the row for the instruction at an address in the file.
func (m *module) row(vaddr uint64) cfiRow {
	x := m.frameIndex()
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, ok := x.rows[vaddr]; ok {
		return r
	}
	var r cfiRow
	if f, ok := x.lookup(vaddr); ok {
		r = f.row(vaddr)
	}
	if len(x.rows) >= maxRows {
		clear(x.rows)
	}
	x.rows[vaddr] = r
	return r
}

// cfiState is the state of the machine that runs CFI programs.
type cfiState struct {
	viaFP, expression bool
	offset            int64
	bp, ra            regRule
}

// cfiMachine runs the program of a CIE and then of an FDE up to one address.
type cfiMachine struct {
	cfiState
	initial    cfiState // after the CIE's program, for DW_CFA_restore
	remembered []cfiState
	cie        *cie
	loc, stop  uint64
	r          dwarfReader
}

// row runs the programs for the instruction at vaddr.
func (f *fde) row(vaddr uint64) cfiRow {
	m := &cfiMachine{cie: f.cie, loc: f.start, stop: vaddr}
	m.run(f.cie.program)
	m.initial = m.cfiState
	if !m.r.bad {
		m.run(f.program)
	}
	return cfiRow{
		start: f.start, end: f.start + f.size,
		known: !m.r.bad && !m.expression && !f.cie.signal,
		viaFP: m.viaFP, offset: m.offset, bp: m.bp, ra: m.ra,
	}
}

// run executes a program until its end or until it passes the address asked for.
func (m *cfiMachine) run(program []byte) {
	m.r = dwarfReader{b: program}
	for len(m.r.b) > 0 && !m.r.bad && m.loc <= m.stop {
		op := m.r.u8()
		arg := uint64(op & 0x3f)
		switch op & 0xc0 {
		case 0x40: // advance_loc
			m.advance(arg)
		case 0x80: // offset
			m.save(arg, int64(m.r.uleb())*m.cie.dataAlign)
		case 0xc0: // restore
			m.restore(arg)
		default:
			m.extended(op)
		}
	}
}

// advance moves on; the rules so far hold up to (not at) the new place, so
// passing the address asked for ends the run.
func (m *cfiMachine) advance(delta uint64) {
	m.loc += delta * m.cie.codeAlign
}

// extended executes the operations with a whole opcode byte.
func (m *cfiMachine) extended(op byte) {
	r := &m.r
	switch op {
	case 0x00: // nop
	case 0x01: // set_loc
		m.loc = r.encoded(m.cie.encoding)
	case 0x02: // advance_loc1, 2, 4
		m.advance(uint64(r.u8()))
	case 0x03:
		b := r.take(2)
		m.advance(uint64(b[0]) | uint64(b[1])<<8)
	case 0x04:
		m.advance(uint64(le32(r.take(4), 0)))
	case 0x0a: // remember_state
		if r.bad = r.bad || len(m.remembered) >= maxRemember; !r.bad {
			m.remembered = append(m.remembered, m.cfiState)
		}
	case 0x0b: // restore_state
		n := len(m.remembered) - 1
		if r.bad = r.bad || n < 0; !r.bad {
			m.cfiState, m.remembered = m.remembered[n], m.remembered[:n]
		}
	case 0x0c, 0x0d, 0x0e, 0x0f, 0x12, 0x13:
		m.defineCFA(op)
	case 0x2d: // AARCH64_negate_ra_state: whether the return address is signed, see processor.signed
	case 0x2e: // GNU_args_size
		r.uleb()
	default:
		m.register(op)
	}
}

// defineCFA executes the def_cfa family.
func (m *cfiMachine) defineCFA(op byte) {
	r := &m.r
	switch op {
	case 0x0c: // def_cfa
		m.base(r.uleb())
		m.offset = int64(r.uleb())
	case 0x0d: // def_cfa_register
		m.base(r.uleb())
	case 0x0e: // def_cfa_offset
		m.offset = int64(r.uleb())
	case 0x0f: // def_cfa_expression
		r.skip(r.uleb())
		m.expression = true
	case 0x12: // def_cfa_sf
		m.base(r.uleb())
		m.offset = r.sleb() * m.cie.dataAlign
	case 0x13: // def_cfa_offset_sf
		m.offset = r.sleb() * m.cie.dataAlign
	}
}

// base sets the register that the CFA is computed from.
func (m *cfiMachine) base(reg uint64) {
	m.viaFP = reg == m.cie.cpu.fp
	m.expression = reg != m.cie.cpu.fp && reg != m.cie.cpu.sp
}

// register executes the operations that change one register's rule.
func (m *cfiMachine) register(op byte) {
	r := &m.r
	reg := r.uleb()
	switch op {
	case 0x05: // offset_extended
		m.save(reg, int64(r.uleb())*m.cie.dataAlign)
	case 0x06: // restore_extended
		m.restore(reg)
	case 0x07: // undefined
		m.rule(reg, regRule{kind: ruleNobody})
	case 0x08: // same_value
		m.rule(reg, regRule{})
	case 0x09, 0x14: // register, val_offset
		r.uleb()
		m.rule(reg, regRule{kind: ruleOther})
	case 0x10, 0x16: // expression, val_expression
		r.skip(r.uleb())
		m.rule(reg, regRule{kind: ruleOther})
	case 0x11: // offset_extended_sf
		m.save(reg, r.sleb()*m.cie.dataAlign)
	case 0x15: // val_offset_sf
		r.sleb()
		m.rule(reg, regRule{kind: ruleOther})
	case 0x2f: // GNU_negative_offset_extended
		m.save(reg, -int64(r.uleb())*m.cie.dataAlign)
	default:
		r.bad = true
	}
}

func (m *cfiMachine) save(reg uint64, offset int64) {
	m.rule(reg, regRule{kind: ruleSaved, offset: offset})
}

func (m *cfiMachine) rule(reg uint64, rule regRule) {
	switch reg {
	case m.cie.cpu.fp:
		m.bp = rule
	case m.cie.cpu.ra:
		m.ra = rule
	}
}

func (m *cfiMachine) restore(reg uint64) {
	switch reg {
	case m.cie.cpu.fp:
		m.bp = m.initial.bp
	case m.cie.cpu.ra:
		m.ra = m.initial.ra
	}
}
