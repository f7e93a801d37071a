package cpython

import (
	"slices"

	"golang.org/x/arch/x86/x86asm"
)

// maxColdPart bounds the code searched for the jumps of a cold part.
const maxColdPart = 256 << 10

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

// parentOf returns the entry of the function that a part belongs to: the one
// its jumps lead back into. A part whose first instruction has the return
// address on top of the stack is a function of its own.
func (m *module) parentOf(x *frameIndex, f *fde) uint64 {
	first := f.row(f.start)
	if !first.known || !first.viaRBP && first.offset == 8 {
		return f.start
	}
	code, err := m.img.readVaddr(f.start, min(f.size, maxColdPart))
	if err != nil {
		return f.start
	}
	votes := map[uint64]int{}
	for off := uint32(0); ; {
		insn, length, ok := decode(code, off)
		if !ok {
			break
		}
		off += length
		rel, ok := insn.Args[0].(x86asm.Rel)
		if !ok || insn.Op == x86asm.CALL {
			continue
		}
		to := f.start + uint64(off) + uint64(int64(rel))
		if to >= f.start && to-f.start < f.size {
			continue
		}
		if home, ok := x.lookup(to); ok && home.start != to {
			votes[home.start]++
		}
	}
	return winner(votes, f.start)
}

// winner returns the key with the most votes, the smallest one of equals.
func winner(votes map[uint64]int, none uint64) uint64 {
	best, most := none, 0
	keys := make([]uint64, 0, len(votes))
	for k := range votes {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		if votes[k] > most {
			best, most = k, votes[k]
		}
	}
	return best
}
