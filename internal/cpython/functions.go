package cpython

// Bounds of the search for the function of a cold part: bytes of one part, of
// all parts of one file, and the jumps that are followed out of one part.
const (
	maxColdPart  = 256 << 10
	maxColdParts = 8 << 20
	maxJumps     = 256
)

// entryOf returns the entry of the function that contains vaddr, also when
// vaddr lies in a part of it that the compiler moved away (.cold).
func (m *module) entryOf(vaddr uint64) (uint64, bool) {
	x := m.frameIndex()
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := x.lookup(vaddr)
	if !ok {
		return 0, false
	}
	if m.cold == nil {
		m.cold = map[uint64]uint64{}
	}
	entry, ok := m.cold[f.start]
	if !ok {
		entry = m.parentOf(x, f)
		if len(m.cold) < maxRows {
			m.cold[f.start] = entry
		}
	}
	return entry, true
}

// maxParts bounds the steps from part to part: hot, warm and cold (BOLT).
const maxParts = 3

// isEntry says whether a function begins where the FDE does: then the return
// address is on top of the stack. The moved parts of a function begin with a
// frame that is set up already.
func (f *fde) isEntry() bool {
	first := f.row(f.start)
	return !first.known || !first.viaFP && first.offset == f.cie.cpu.pushed
}

// parentOf returns the entry of the function that a part belongs to: the one
// that its jumps lead into, or, if they lead into other parts only, theirs.
func (m *module) parentOf(x *frameIndex, f *fde) uint64 {
	own := f.start
	for range maxParts {
		if f.isEntry() {
			return f.start
		}
		entries, parts := m.jumpTargets(x, f)
		if entry := winner(entries); entry != nil {
			return entry.start
		}
		if f = winner(parts); f == nil {
			break
		}
	}
	return own
}

// jumpTargets counts the jumps of a part into other functions, apart by whether
// the target begins with an entry. A jump to an entry itself is a tail call.
func (m *module) jumpTargets(x *frameIndex, f *fde) (entries, parts map[uint64]*vote) {
	entries, parts = map[uint64]*vote{}, map[uint64]*vote{}
	size := min(f.size, maxColdPart)
	if m.coldRead += size; m.coldRead > maxColdParts {
		return nil, nil
	}
	code, err := m.img.readVaddr(f.start, size)
	if err != nil {
		return nil, nil
	}
	followed := 0
	for off := uint32(0); ; {
		b, ok := f.cie.cpu.branch(code, off)
		if !ok {
			return entries, parts
		}
		off += b.length
		if b.kind != jumps && b.kind != jumpsMaybe {
			continue
		}
		to := f.start + uint64(off) + uint64(b.rel)
		if to >= f.start && to-f.start < f.size {
			continue
		}
		if followed++; followed > maxJumps {
			return entries, parts
		}
		home, ok := x.lookup(to)
		if !ok {
			continue
		}
		votes := parts
		if home.isEntry() {
			if votes = entries; home.start == to {
				continue
			}
		}
		if votes[home.start] == nil {
			votes[home.start] = &vote{fde: home}
		}
		votes[home.start].count++
	}
}

// vote is how many jumps lead into one function.
type vote struct {
	fde   *fde
	count int
}

// winner returns the function with the most votes, of equals the one at the
// smallest address; nil if there is none.
func winner(votes map[uint64]*vote) *fde {
	var best *vote
	for _, v := range votes {
		if best == nil || v.count > best.count || v.count == best.count && v.fde.start < best.fde.start {
			best = v
		}
	}
	if best == nil {
		return nil
	}
	return best.fde
}
