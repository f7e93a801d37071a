package cpython

import "testing"

func TestHandlerDepth(t *testing.T) {
	// begin, length, target, depth<<1|lasti: 6 bits a byte, the first byte of an entry marked with 128.
	table := []byte{
		128 | 4, 10, 40, 1<<1 | 1, // units 4 to 13, depth 1
		128 | 20, 5, 50, 3 << 1, // 20 to 24, depth 3
		128 | 64 | 2, 3, 64 | 1, 0, 60, 2 << 1, // 131 to 194, depth 2
	}
	for _, c := range []struct {
		unit int64
		want int
	}{{0, 0}, {3, 0}, {4, 1}, {13, 1}, {14, 0}, {20, 3}, {24, 3}, {25, 0}, {130, 0}, {131, 2}, {194, 2}, {195, 0}} {
		if got := handlerDepth(table, c.unit); got != c.want {
			t.Errorf("unit %d: depth %d, want %d", c.unit, got, c.want)
		}
	}
}

// FuzzHandlerDepth: the table is the target's.
func FuzzHandlerDepth(f *testing.F) {
	f.Add([]byte{128 | 4, 10, 40, 3}, int64(5))
	f.Add([]byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}, int64(1<<40))
	f.Fuzz(func(t *testing.T, table []byte, unit int64) {
		if d := handlerDepth(table, unit); d < 0 || d > maxValues+1 {
			t.Errorf("depth %d", d)
		}
	})
}
