package cpython

// What is followed of tail calls: how many in a row, and how far each lies from
// its function's entry. Those on the way to drop_gil are within 32 bytes.
const (
	maxTailCalls = 4
	maxTailCode  = 96
)

// reaches says whether a call of target enters the function at entry: at once,
// or by tail calls. Debian's 3.13-3.15 call _PyThreadState_Detach, which jumps to
// detach_thread, which jumps to drop_gil: only drop_gil is on the stack then.
func (p *Process) reaches(target, entry uint64) bool {
	for range maxTailCalls {
		if target == entry {
			return true
		}
		next, ok := p.tailCall(target)
		if !ok {
			return false
		}
		target = next
	}
	return target == entry
}

// tailCall returns where the code at addr jumps to for good, if it does so
// before anything else can happen.
func (p *Process) tailCall(addr uint64) (to uint64, ok bool) {
	c, ok := p.codeAt(addr)
	if !ok {
		return 0, false
	}
	code, err := c.mod.img.readVaddr(addr-c.bias, maxTailCode)
	if err != nil {
		return 0, false
	}
	for off := uint32(0); ; {
		b, ok := p.cpu().branch(code, off)
		if !ok {
			return 0, false
		}
		off += b.length
		switch b.kind {
		case goesOn:
		case jumps:
			return addr + uint64(off) + uint64(b.rel), true
		default:
			return 0, false
		}
	}
}
