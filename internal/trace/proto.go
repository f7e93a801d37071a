package trace

import (
	"encoding/binary"
	"math/bits"
)

// Wire types of the protobuf encoding.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// appendVarint appends v in base 128, low digits first.
func appendVarint(b []byte, v uint64) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

// varintLen is the number of bytes appendVarint appends.
func varintLen(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

// appendTag appends the key of a field.
func appendTag(b []byte, field, wire uint64) []byte {
	return appendVarint(b, field<<3|wire)
}

// appendUint appends a varint field.
func appendUint(b []byte, field, v uint64) []byte {
	return appendVarint(appendTag(b, field, wireVarint), v)
}

// appendFixed64 appends a fixed64 field.
func appendFixed64(b []byte, field, v uint64) []byte {
	b = appendTag(b, field, wireFixed64)
	return append(b, byte(v), byte(v>>8), byte(v>>16), byte(v>>24), byte(v>>32), byte(v>>40), byte(v>>48), byte(v>>56))
}

// appendString appends a string field.
func appendString(b []byte, field uint64, s string) []byte {
	b = appendVarint(appendTag(b, field, wireBytes), uint64(len(s)))
	return append(b, s...)
}

// open begins a nested message and returns where its content starts; one byte
// is kept free for its length, which is enough for nearly all of ours.
func open(b []byte, field uint64) ([]byte, int) {
	b = append(appendTag(b, field, wireBytes), 0)
	return b, len(b)
}

// seal ends the nested message whose content starts at at. A content of 128
// bytes or more is moved up to make room for its length.
func seal(b []byte, at int) []byte {
	n := len(b) - at
	if n < 0x80 {
		b[at-1] = byte(n)
		return b
	}
	var room [9]byte
	extra := varintLen(uint64(n)) - 1
	b = append(b, room[:extra]...)
	copy(b[at+extra:], b[at:at+n])
	appendVarint(b[:at-1], uint64(n))
	return b
}

// uvarint decodes a varint at b[i:] and returns the index after it; an index
// of 0 means that it is damaged or cut.
func uvarint(b []byte, i int) (uint64, int) {
	if len(b)-i < 8 {
		return uvarintSlow(b, i)
	}
	x := binary.LittleEndian.Uint64(b[i:])
	last := ^x & 0x8080808080808080 // the first byte without a continuation bit
	if last == 0 {
		return uvarintSlow(b, i)
	}
	n := bits.TrailingZeros64(last) + 1
	x &= ^uint64(0) >> (64 - n) & 0x7f7f7f7f7f7f7f7f
	x = x&0x007f007f007f007f | x&0x7f007f007f007f00>>1
	x = x&0x00003fff00003fff | x&0x3fff00003fff0000>>2
	x = x&0x000000000fffffff | x&0x0fffffff00000000>>4
	return x, i + n/8
}

// uvarintSlow is uvarint near the end of b and for more than 8 bytes.
func uvarintSlow(b []byte, i int) (uint64, int) {
	var v uint64
	for s := uint(0); s < 64; s += 7 {
		if i >= len(b) {
			return 0, 0
		}
		c := b[i]
		i++
		v |= uint64(c&0x7f) << s
		if c < 0x80 {
			return v, i
		}
	}
	return 0, 0
}

// field decodes the field at b[i:], where i < len(b), and returns the index of
// the next; 0 means damage. The key holds number and wire type. A
// length-delimited value is b[val:next].
func field(b []byte, i int) (key, val uint64, next int) {
	key = uint64(b[i])
	i++
	if key >= 0x80 {
		if key, i = uvarint(b, i-1); i == 0 {
			return 0, 0, 0
		}
	}
	switch key & 7 {
	case wireVarint:
		if i < len(b) && b[i] < 0x80 {
			return key, uint64(b[i]), i + 1
		}
		val, i = uvarint(b, i)
		return key, val, i
	case wireBytes:
		var n uint64
		if i < len(b) && b[i] < 0x80 {
			n, i = uint64(b[i]), i+1
		} else if n, i = uvarint(b, i); i == 0 {
			return 0, 0, 0
		}
		if n > uint64(len(b)-i) {
			return 0, 0, 0
		}
		return key, uint64(i), i + int(n)
	case wireFixed64:
		if len(b)-i >= 8 {
			return key, binary.LittleEndian.Uint64(b[i:]), i + 8
		}
	case wireFixed32:
		if len(b)-i >= 4 {
			return key, uint64(binary.LittleEndian.Uint32(b[i:])), i + 4
		}
	}
	return 0, 0, 0
}

// fields walks the fields of an encoded message. Damage ends the walk.
type fields struct {
	b   []byte // what is left
	num uint64
	// val is the value of a varint or fixed field, sub that of a
	// length-delimited one (nil otherwise).
	val uint64
	sub []byte
}

// next goes to the next field, false at the end of the message or at damage.
func (f *fields) next() bool {
	if len(f.b) == 0 {
		return false
	}
	key, val, next := field(f.b, 0)
	if next == 0 {
		return false
	}
	f.num, f.val, f.sub = key>>3, val, nil
	if key&7 == wireBytes {
		f.val, f.sub = 0, f.b[val:next:next]
	}
	f.b = f.b[next:]
	return true
}
