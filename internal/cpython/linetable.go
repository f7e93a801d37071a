package cpython

// lineFormat is how a version writes the line table of a code object.
type lineFormat uint8

// Line table formats.
const (
	lnotab        lineFormat = iota // 3.8, 3.9: co_lnotab
	pep626                          // 3.10: co_linetable
	locationTable                   // 3.11+: co_linetable, with columns
)

func lineFormatOf(v Version) lineFormat {
	switch {
	case v.series() < 0x030a:
		return lnotab
	case v.series() == 0x030a:
		return pep626
	}
	return locationTable
}

func (f lineFormat) line(table []byte, first int, lasti int32) int {
	switch f {
	case lnotab:
		return lineLnotab(table, first, lasti)
	case pep626:
		return line310(table, first, lasti)
	}
	return lineLocations(table, first, lasti)
}

// clampLine keeps sums of hostile deltas inside what a line number can be.
func clampLine(line int) int {
	return max(0, min(line, 1<<31-1))
}

// lineLnotab decodes co_lnotab (CPython 3.9 Objects/lnotab_notes.txt): pairs of
// address increment (unsigned) and line increment (signed).
func lineLnotab(table []byte, first int, lasti int32) int {
	addr, line := 0, first
	for i := 0; i+1 < len(table); i += 2 {
		addr += int(table[i])
		if addr > int(lasti) {
			break
		}
		line += int(int8(table[i+1]))
	}
	return clampLine(line)
}

// line310 decodes PEP 626's co_linetable (CPython 3.10 Objects/lnotab_notes.txt):
// pairs of range length and line increment; -128 says that the range has no line.
func line310(table []byte, first int, lasti int32) int {
	end, line := 0, first
	for i := 0; i+1 < len(table); i += 2 {
		end += int(table[i])
		delta := int(int8(table[i+1]))
		if delta != -128 {
			line += delta
		}
		if int(lasti) < end {
			if delta == -128 {
				return 0
			}
			return clampLine(line)
		}
	}
	return 0
}

// lineLocations decodes the location table (CPython 3.11
// Objects/locations.md): entries of a first byte with bit 7 set, bits 3-6 the
// kind, bits 0-2 the length in code units less one; what follows depends on
// the kind and never has bit 7 set.
func lineLocations(table []byte, first int, lasti int32) int {
	end, line := 0, first
	for i := 0; i < len(table); {
		head := table[i]
		i++
		kind := head >> 3 & 15
		end += (int(head&7) + 1) * 2
		switch {
		case kind == 13 || kind == 14: // no columns; long form
			line += signedVarint(table[i:])
		case kind >= 10 && kind <= 12: // one line
			line += int(kind) - 10
		}
		if int(lasti) < end {
			if kind == 15 {
				return 0
			}
			return clampLine(line)
		}
		for i < len(table) && table[i]&0x80 == 0 {
			i++
		}
	}
	return 0
}

// signedVarint decodes 6-bit groups, least significant first; bit 6 says that
// more follow, and the lowest bit of the value is the sign.
func signedVarint(b []byte) int {
	var v uint32
	for i := 0; i < len(b) && i < 6; i++ {
		v |= uint32(b[i]&0x3f) << (6 * i)
		if b[i]&0x40 == 0 {
			break
		}
	}
	if v&1 != 0 {
		return -int(v >> 1)
	}
	return int(v >> 1)
}
