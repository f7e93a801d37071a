package cpython

import (
	"debug/elf"
	"encoding/binary"
	"sort"
)

// maxFrameHeader bounds .eh_frame_hdr: 8 bytes per function. maxFDE and maxCIE
// bound one entry of .eh_frame; the largest seen have 2820 and 28 bytes.
const (
	maxFrameHeader = 12 << 20
	maxFDE         = 16 << 10
	maxCIE         = 4 << 10
)

// frameIndex finds the unwind entry (FDE) of an address through the sorted
// table of .eh_frame_hdr. Only that table is kept; entries are read on demand.
type frameIndex struct {
	img   *image
	base  uint64 // address of .eh_frame_hdr; the table is relative to it
	table []byte // pairs of i32: function, FDE
	cies  map[uint64]*cie
	rows  map[uint64]cfiRow // by address, see cfi.go
}

// newFrameIndex reads .eh_frame_hdr; without one the index stays empty.
func newFrameIndex(img *image) *frameIndex {
	x := &frameIndex{img: img, cies: map[uint64]*cie{}, rows: map[uint64]cfiRow{}}
	for i := range img.segs {
		s := &img.segs[i]
		if s.kind != elf.PT_GNU_EH_FRAME || s.filesz < 12 || s.filesz > maxFrameHeader {
			continue
		}
		b, err := img.bytes(s.off, s.filesz)
		if err != nil {
			return x
		}
		// version 1, eh_frame_ptr sdata4 pcrel, count udata4, table datarel sdata4:
		// the only form that linkers write.
		if b[0] != 1 || b[1]&0x0f != 0x0b || b[2] != 0x03 || b[3] != 0x3b {
			return x
		}
		count := uint64(binary.LittleEndian.Uint32(b[8:]))
		x.base, x.table = s.vaddr, b[12:]
		x.table = x.table[:min(count*8, uint64(len(x.table))&^7)]
		return x
	}
	return x
}

func (x *frameIndex) entry(i int) (function, fde uint64) {
	rel := func(off int) uint64 {
		return x.base + uint64(int64(int32(binary.LittleEndian.Uint32(x.table[off:]))))
	}
	return rel(8 * i), rel(8*i + 4)
}

// lookup returns the FDE that covers vaddr and the function's bounds.
func (x *frameIndex) lookup(vaddr uint64) (fde *fde, ok bool) {
	n := len(x.table) / 8
	i := sort.Search(n, func(i int) bool {
		function, _ := x.entry(i)
		return function > vaddr
	}) - 1
	if i < 0 {
		return nil, false
	}
	_, at := x.entry(i)
	fde, ok = x.readFDE(at)
	if !ok || vaddr < fde.start || vaddr-fde.start >= fde.size {
		return nil, false
	}
	return fde, true
}

// bounds returns the part of a function [start, end) that contains vaddr. Cold
// parts have bounds of their own.
func (m *module) bounds(vaddr uint64) (start, end uint64, ok bool) {
	x := m.frameIndex()
	m.mu.Lock()
	defer m.mu.Unlock()
	fde, ok := x.lookup(vaddr)
	if !ok {
		return 0, 0, false
	}
	return fde.start, fde.start + fde.size, true
}
