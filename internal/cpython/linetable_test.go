package cpython

import "testing"

func TestLineTables(t *testing.T) {
	tests := []struct {
		name   string
		format lineFormat
		table  []byte
		first  int
		want   map[int32]int // lasti to line
	}{
		{"lnotab empty", lnotab, nil, 7, map[int32]int{0: 7, 100: 7}},
		{"lnotab", lnotab, []byte{6, 1, 50, 2, 0, 0x80, 4, 3}, 10, map[int32]int{0: 10, 5: 10, 6: 11, 55: 11, 56: 13 - 128, 60: 13 - 128 + 3}},
		{"lnotab long gap", lnotab, []byte{255, 0, 45, 100}, 1, map[int32]int{299: 1, 300: 101}},
		{"lnotab odd length", lnotab, []byte{2, 1, 9}, 1, map[int32]int{3: 2}},
		{"3.10", pep626, []byte{4, 1, 6, 2, 2, 0x80, 0, 5, 2, 0xff}, 10, map[int32]int{0: 11, 3: 11, 4: 13, 9: 13, 10: 0, 12: 17, 14: 0}},
		{"locations short", locationTable, []byte{0x80, 0x11, 0x80 | 10<<3 | 1, 0, 4, 0x80 | 11<<3, 1, 2}, 5, map[int32]int{0: 5, 2: 5, 5: 5, 6: 6, 8: 0}},
		{"locations no line", locationTable, []byte{0x80 | 15<<3 | 7, 0x80 | 13<<3, 0x06}, 5, map[int32]int{0: 0, 15: 0, 16: 8}},
		{"locations long, backwards", locationTable, []byte{0x80 | 14<<3, 0x41, 0x02, 0, 1, 1}, 200, map[int32]int{0: 200 - 64}},
		{"locations cut short", locationTable, []byte{0x80 | 14<<3}, 5, map[int32]int{0: 5}},
	}
	for _, test := range tests {
		c := &Code{FirstLine: test.first, table: test.table, format: test.format, length: 1000}
		for lasti, want := range test.want {
			if want < 0 {
				want = 0
			}
			if got := c.Line(lasti); got != want {
				t.Errorf("%s: line of %d is %d, want %d", test.name, lasti, got, want)
			}
		}
		if got := c.Line(-1); got != test.first {
			t.Errorf("%s: line before the first instruction is %d, want %d", test.name, got, test.first)
		}
	}
}

// TestLineOutside: an instruction that the code does not have has no line. Such
// come from frames that changed while they were read, and from threads that run
// a copy of the code (3.14+ free-threaded).
func TestLineOutside(t *testing.T) {
	tables := map[lineFormat][]byte{lnotab: {6, 1}, pep626: {100, 1}, locationTable: {0x80 | 11<<3 | 7, 0, 0, 0x80 | 11<<3 | 7, 0, 0}}
	for format, table := range tables {
		c := &Code{FirstLine: 5, table: table, format: format, length: 20}
		for lasti, known := range map[int32]bool{
			-1 << 31: false, -5000: false, -3: false, -2: true, -1: true, 0: true, 18: true, 20: false, 22: false, 1<<31 - 1: false,
		} {
			if line := c.Line(lasti); (line != 0) != known {
				t.Errorf("format %d: instruction %d of 20 bytes has line %d", format, lasti, line)
			}
		}
		c.length = 1 << 40 // what a hostile code object says
		c.Line(1<<31 - 1)
	}
}

func TestLineFormatOf(t *testing.T) {
	want := map[int]lineFormat{8: lnotab, 9: lnotab, 10: pep626, 11: locationTable, 14: locationTable}
	for minor, f := range want {
		if got := lineFormatOf(MakeVersion(3, minor, 1)); got != f {
			t.Errorf("3.%d: format %d, want %d", minor, got, f)
		}
	}
}

// fuzzLines checks what must hold for any table: it ends, and no line is negative.
func fuzzLines(f *testing.F, format lineFormat) {
	f.Add([]byte{6, 1, 50, 2}, 10, int32(6))
	f.Add([]byte{0xff, 0x80, 0xff, 0x7f}, 1, int32(300))
	f.Add([]byte{0xf0, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f}, 1<<30, int32(0))
	f.Fuzz(func(t *testing.T, table []byte, first int, lasti int32) {
		c := &Code{FirstLine: first, table: table, format: format, length: 1 << 31}
		if line := c.Line(lasti); line < 0 && lasti >= 0 {
			t.Errorf("line %d", line)
		}
	})
}

func FuzzLnotab(f *testing.F)        { fuzzLines(f, lnotab) }
func FuzzLineTable310(f *testing.F)  { fuzzLines(f, pep626) }
func FuzzLocationTable(f *testing.F) { fuzzLines(f, locationTable) }
