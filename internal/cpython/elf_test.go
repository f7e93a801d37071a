package cpython

import (
	"bytes"
	"debug/elf"
	"encoding/hex"
	"errors"
	"path/filepath"
	"testing"
)

func tinyModule(t testing.TB, raw []byte) *module {
	t.Helper()
	img, err := parseImage(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	return &module{img: img}
}

func TestImage(t *testing.T) {
	m := tinyModule(t, tinyELF())
	if id := m.img.buildID(); id != "deadbeef" {
		t.Errorf("build id %q", id)
	}
	if !m.stripped() || m.img.section(".text") == nil || m.img.section(".data") != nil {
		t.Errorf("stripped %v, sections %+v", m.stripped(), m.img.sects)
	}
	if s, ok := m.dynamic().find("pick"); !ok || s.value != tinyHot+7 {
		t.Errorf("pick at %#x, %v: want the default version at %#x", s.value, ok, tinyHot+7)
	}
	if _, ok := m.dynamic().find("pic"); ok {
		t.Error("found a symbol by the beginning of its name")
	}
	for vaddr, want := range map[uint64]string{tinyText: "first", tinyText + 3: "first", tinyHot: "second", tinyCold + 2: "second", tinyText + 9: "first", tinyEnd: ""} {
		if s := m.symbol(vaddr); s.Function != want {
			t.Errorf("function at %#x is %q, want %q", vaddr, s.Function, want)
		}
	}
}

func TestUnwindRows(t *testing.T) {
	m := tinyModule(t, tinyELF())
	saved := regRule{kind: ruleSaved, offset: -16}
	tests := []struct {
		vaddr  uint64
		known  bool
		viaFP  bool
		offset int64
		bp     regRule
	}{
		{tinyText, true, false, 8, regRule{}},
		{tinyText + 4, true, false, 8, regRule{}},
		{tinyText + 5, true, false, 16, regRule{}},
		{tinyHot, true, false, 8, regRule{}},
		{tinyHot + 1, true, false, 16, saved},
		{tinyHot + 0x3f, true, false, 16, saved},
		{tinyCold, true, true, 16, saved},
		{tinyEnd, false, false, 0, regRule{}},
		{0, false, false, 0, regRule{}},
	}
	for _, test := range tests {
		r := m.row(test.vaddr)
		if r.known != test.known || r.viaFP != test.viaFP || r.offset != test.offset || r.bp != test.bp {
			t.Errorf("row of %#x: %+v, want %+v", test.vaddr, r, test)
		}
	}
	if entry, ok := m.entryOf(tinyCold + 1); !ok || entry != tinyHot {
		t.Errorf("the moved part belongs to %#x, want %#x", entry, tinyHot)
	}
}

func TestImageRefuses(t *testing.T) {
	change := func(at int, v ...byte) []byte {
		b := tinyELF()
		copy(b[at:], v)
		return b
	}
	tests := map[string][]byte{
		"empty":            {},
		"no ELF":           change(0, 'M', 'Z'),
		"32 bit":           change(4, 1),
		"big endian":       change(5, 2),
		"headers outside":  change(39, 0x7f),
		"sections outside": change(47, 0x7f),
		"many segments":    change(56, 0xff, 0xff),
		"many sections":    change(60, 0xff, 0xff),
		"cut short":        tinyELF()[:60],
	}
	for name, raw := range tests {
		if _, err := parseImage(bytes.NewReader(raw), int64(len(raw))); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: error %v, want ErrMalformed", name, err)
		}
	}
	m := tinyModule(t, tinyELF())
	s := m.img.section(".text")
	s.flags |= elf.SHF_COMPRESSED
	if _, err := m.img.data(s, 1<<20); !errors.Is(err, ErrMalformed) {
		t.Errorf("compressed section: error %v, want ErrMalformed", err)
	}
}

// FuzzELF runs all readers of ELF files over damaged ones.
func FuzzELF(f *testing.F) {
	f.Add(tinyELF(), uint64(tinyHot))
	f.Add(tinyELF()[:tinySize+100], uint64(tinyCold))
	f.Add(tinyELF(), uint64(tinyCaller+10))
	f.Fuzz(func(t *testing.T, raw []byte, vaddr uint64) {
		readAll(bytes.NewReader(raw), int64(len(raw)), vaddr)
	})
}

// FuzzFrames runs the readers of unwind tables over damaged ones in a file that
// is sound otherwise.
func FuzzFrames(f *testing.F) {
	sound := tinyELF()
	f.Add(sound[tinyFrames:tinyHeader], sound[tinyHeader:tinyDynsym], uint64(tinyHot+1))
	f.Add(sound[tinyFrames:tinyHeader], sound[tinyHeader:tinyDynsym], uint64(tinyCold))
	f.Add(sound[tinyFrames:tinyHeader], []byte{1, 0x1b, 3, 0x3b, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}, uint64(0))
	f.Fuzz(func(t *testing.T, frames, header []byte, vaddr uint64) {
		raw := tinyELF()
		copy(raw[tinyFrames:tinyHeader], frames)
		copy(raw[tinyHeader:tinyDynsym], header)
		m := tinyModule(t, raw)
		x := m.frameIndex()
		for i := range len(x.table) / 8 {
			function, _ := x.entry(i)
			for _, at := range []uint64{function, function + 1, vaddr} {
				r := m.row(at)
				if r.known && (r.start > at || at-r.start >= r.end-r.start) {
					t.Errorf("row of %#x is of [%#x, %#x)", at, r.start, r.end)
				}
				if start, end, ok := m.bounds(at); ok && (start > at || at-start >= end-start) {
					t.Errorf("bounds of %#x are [%#x, %#x)", at, start, end)
				}
				m.entryOf(at)
			}
		}
	})
}

// FuzzDebugLink reads links and notes of any content: a name never leads to
// another directory, an id is always hexadecimal.
func FuzzDebugLink(f *testing.F) {
	sound := tinyELF()
	f.Add(sound[tinyLink:tinyLink+16], sound[tinyNote:tinyNote+20])
	f.Add([]byte("../../etc/x\x00\x00\x00\x00\x00"), u32(4, 0xfffffff0, 3, 0x00554e47))
	f.Fuzz(func(t *testing.T, link, note []byte) {
		raw := tinyELF()
		copy(raw[tinyLink:tinyLink+16], link)
		copy(raw[tinyNote:tinyNote+20], note)
		img := tinyModule(t, raw).img
		if l, ok := img.debugLink(); ok && filepath.Base(filepath.Join("/dir", l.name)) != l.name {
			t.Errorf("link %q", l.name)
		}
		if _, err := hex.DecodeString(img.buildID()); err != nil {
			t.Errorf("build id %q", img.buildID())
		}
	})
}

// FuzzInstructions: what is proven begins and ends inside of the code.
func FuzzInstructions(f *testing.F) {
	f.Add([]byte{0x90, 0xe8, 0xfa, 0, 0, 0, 0xc3})
	f.Add([]byte{0x62, 0xf1, 0x7f, 0xc9, 0x6f, 0x0f, 0xff, 0x15, 0xfa, 1, 0, 0})
	f.Fuzz(func(t *testing.T, code []byte) {
		found := scanCalls(nil, code, len(code), 0x1000, map[uint64]string{0x1200: "f"}, map[uint64]string{0x1100: "f"})
		kept, _ := instructions(nil, found, code, 0x1000)
		for _, c := range kept {
			if c.insn < 0x1000 || c.insn >= c.at || c.at+4 > 0x1000+uint64(len(code)) {
				t.Errorf("% x: call %+v", code, c)
			}
		}
		planSite(code)
	})
}
