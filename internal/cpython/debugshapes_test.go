package cpython

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestShapes compares the forms with the recorded places, and sees that each
// value is accepted and bounded.
func TestShapes(t *testing.T) {
	shapes := map[string]*debugShape{"3.13.0": shape313, "3.13.15t": shape313, "3.14.6": shape314, "3.15.2": shape315}
	sizes := map[*debugShape]int{shape313: 584, shape314: 760, shape315: 888} // sizeof, gdb
	recorded(t, func(version, name string, pos int, _ uint64) {
		if !strings.Contains(name, ".") {
			name = "header." + name
		}
		s := shapes[version]
		if i, ok := s.pos[name]; !ok || 8*i != pos || s.bytes() != sizes[s] {
			t.Errorf("%s: %s is at byte %d of %d, want %d of %d", version, name, 8*i, s.bytes(), pos, sizes[s])
		}
	})
}

// TestOtherForms takes each table for one of another minor version, and inserts
// and removes fields at every place: what moves anything is noticed.
func TestOtherForms(t *testing.T) {
	for name, raw := range recordedTables(t) {
		own, _ := shapeOf(Version(binary.LittleEndian.Uint64(raw[8:])))
		for minor := 13; minor <= 17; minor++ {
			b := append([]byte(nil), raw...)
			v := MakeVersion(3, minor, 0)
			binary.LittleEndian.PutUint64(b[8:], uint64(v))
			_, _, err := parseDebugOffsets(b)
			if shape, _ := shapeOf(v); (shape == own) != (err == nil) || err != nil && !errors.Is(err, ErrUnsupported) {
				t.Errorf("%s as 3.%d: error %v", name, minor, err)
			}
		}
		for i, f := range own.fields[3:] {
			at := 8 * (i + 3)
			tail := append(append([]byte(nil), raw[at:]...), make([]byte, 8)...)
			for _, v := range []uint64{0, 8, 48, 1000} {
				longer := binary.LittleEndian.AppendUint64(append([]byte(nil), raw[:at]...), v)
				expectMoved(t, fmt.Sprintf("%s, %d before %s", name, v, f.name), raw, append(longer, tail...))
			}
			expectMoved(t, fmt.Sprintf("%s without %s", name, f.name), raw, append(append([]byte(nil), raw[:at]...), tail[8:]...))
		}
	}
}

// expectMoved parses a table in which fields have moved: it is refused, or what
// moved is none that we use.
func expectMoved(t *testing.T, name string, honest, moved []byte) {
	t.Helper()
	want, _, _ := parseDebugOffsets(honest)
	got, _, err := parseDebugOffsets(moved)
	if err == nil && (got.layout != want.layout || got.objects != want.objects) {
		t.Errorf("%s: misread", name)
	}
	if err != nil && !errors.Is(err, ErrUnsupported) {
		t.Errorf("%s: error %v, want ErrUnsupported", name, err)
	}
}
