package cpython

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"gilscope/internal/testpy"
)

// recordedTables builds the tables of testdata/debug_offsets.txt by version.
func recordedTables(t testing.TB) map[string][]byte {
	t.Helper()
	f, err := os.Open("testdata/debug_offsets.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tables := map[string][]byte{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		var version, name string
		var pos int
		var value uint64
		if _, err := fmt.Sscan(lines.Text(), &version, &pos, &value, &name); err != nil {
			t.Fatalf("%q: %v", lines.Text(), err)
		}
		if tables[version] == nil {
			tables[version] = make([]byte, maxDebugOffsets)
			copy(tables[version], debugCookie)
		}
		binary.LittleEndian.PutUint64(tables[version][pos:], value)
	}
	return tables
}

// wantLayouts are the layouts of the recorded tables, from the facts by hand.
var wantLayouts = map[string]Layout{
	"3.13.0": {
		RuntimeInterpretersHead: 632, RuntimeInterpretersMain: 640, RuntimeGIL: None, InterpGIL: 16,
		InterpNext: 7264, InterpID: 7272, InterpThreadsHead: 7344, InterpModules: 7656,
		DropRequestBase: DropInThread, DropRequest: 24,
		ThreadNext: 8, ThreadInterp: 16, ThreadIdent: 152, ThreadNativeID: 160, ThreadFrame: 72, CFrameCurrent: None,
		FrameCode: 0, FrameBack: 8, FrameInstr: 56, FrameOwner: 70, OwnerMaxValid: 2, CodeMask: ^uint64(0),
		CodeFirstLine: 68, CodeFilename: 112, CodeName: 120, CodeQualname: 128, CodeLineTable: 136, CodeAdaptive: 200,
		ObType: 8, StrLength: 16, StrState: 32, ASCIIData: 40, CompactData: 56, BytesSize: 16, BytesData: 32,
	},
	"3.14.6": {
		RuntimeInterpretersHead: 808, RuntimeInterpretersMain: 816, RuntimeGIL: None, InterpGIL: 16,
		InterpNext: 7272, InterpID: 7280, InterpThreadsHead: 7344, InterpModules: 7688,
		DropRequestBase: DropInThread, DropRequest: 24,
		ThreadNext: 8, ThreadInterp: 16, ThreadIdent: 152, ThreadNativeID: 160, ThreadFrame: 72, CFrameCurrent: None,
		FrameCode: 0, FrameBack: 8, FrameInstr: 56, FrameOwner: 74, OwnerMaxValid: 2, CodeMask: ^uint64(7),
		CodeFirstLine: 68, CodeFilename: 112, CodeName: 120, CodeQualname: 128, CodeLineTable: 136, CodeAdaptive: 208,
		ObType: 8, StrLength: 16, StrState: 32, ASCIIData: 40, CompactData: 56, BytesSize: 16, BytesData: 32,
	},
	"3.15.2": {
		RuntimeInterpretersHead: 936, RuntimeInterpretersMain: 944, RuntimeGIL: None, InterpGIL: 16,
		InterpNext: 7264, InterpID: 7272, InterpThreadsHead: 7336, InterpModules: 7592,
		DropRequestBase: DropInThread, DropRequest: 24,
		ThreadNext: 8, ThreadInterp: 16, ThreadIdent: 176, ThreadNativeID: 184, ThreadFrame: 72, CFrameCurrent: None,
		FrameCode: 0, FrameBack: 8, FrameInstr: 56, FrameOwner: 74, OwnerMaxValid: 2, CodeMask: ^uint64(7),
		CodeFirstLine: 68, CodeFilename: 112, CodeName: 120, CodeQualname: 128, CodeLineTable: 136, CodeAdaptive: 208,
		ObType: 8, StrLength: 16, StrState: 32, ASCIIData: 40, CompactData: 56, BytesSize: 16, BytesData: 32,
	},
}

func TestParseDebugOffsets(t *testing.T) {
	for version, raw := range recordedTables(t) {
		table, ok, err := parseDebugOffsets(raw)
		if err != nil || !ok {
			t.Fatalf("%s: ok %v, error %v", version, ok, err)
		}
		if table.version.String() != version || table.freeThreaded {
			t.Errorf("%s: version %v, free-threaded %v", version, table.version, table.freeThreaded)
		}
		if table.layout != wantLayouts[version] {
			t.Errorf("%s: layout\n%+v, want\n%+v", version, table.layout, wantLayouts[version])
		}
	}
}

func TestParseDebugOffsetsRefuses(t *testing.T) {
	good := recordedTables(t)["3.13.0"]
	change := func(pos int, v uint64) []byte {
		b := append([]byte(nil), good...)
		binary.LittleEndian.PutUint64(b[pos:], v)
		return b
	}
	tests := []struct {
		name string
		raw  []byte
		want error
	}{
		{"huge offset", change(40, 1<<40), ErrMalformed},
		{"offset of -1", change(112, ^uint64(0)), ErrMalformed},
		{"version 3.12", change(8, 0x030c01f0), ErrUnsupported},
		{"version 4", change(8, 0x040001f0), ErrUnsupported},
		{"version of 64 bits", change(8, 1<<40|0x030d00f0), ErrUnsupported},
		{"cut short", good[:400], ErrUnsupported},
	}
	for _, test := range tests {
		if _, _, err := parseDebugOffsets(test.raw); !errors.Is(err, test.want) {
			t.Errorf("%s: error %v, want %v", test.name, err, test.want)
		}
	}
	if _, ok, err := parseDebugOffsets(make([]byte, maxDebugOffsets)); ok || err != nil {
		t.Errorf("no table: ok %v, error %v", ok, err)
	}
}

// TestFreeThreadedLayout turns a recorded table into that of a free-threaded
// build, whose GIL begins with "enabled".
func TestFreeThreadedLayout(t *testing.T) {
	raw := recordedTables(t)["3.13.0"]
	binary.LittleEndian.PutUint64(raw[16:], 1)
	locked := binary.LittleEndian.Uint64(raw[shape313.gilLocked:])
	binary.LittleEndian.PutUint64(raw[shape313.gilLocked:], locked+8)
	table, _, err := parseDebugOffsets(raw)
	if err != nil || !table.freeThreaded || table.layout.GILShift != 8 {
		t.Errorf("free-threaded %v, shift %d, error %v", table.freeThreaded, table.layout.GILShift, err)
	}
}

// TestLayoutAgrees compares the table in a live process with the recorded one.
func TestLayoutAgrees(t *testing.T) {
	for _, in := range testpy.Some(t, "3.13.0", "3.14.6") {
		p := open(t, testpy.Start(t, in, waiter).PID)
		if want, ok := wantLayouts[in.Version]; ok && p.Layout != want {
			t.Errorf("%s: layout\n%+v, want\n%+v", in.Version, p.Layout, want)
		}
	}
}

func FuzzDebugOffsets(f *testing.F) {
	for _, raw := range recordedTables(f) {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		table, ok, err := parseDebugOffsets(raw)
		if !ok || err != nil {
			return
		}
		l := table.layout
		for _, off := range []uint32{l.InterpID, l.InterpThreadsHead, l.ThreadIdent, l.FrameOwner, l.CodeLineTable, l.StrState, l.BytesData, l.ObType} {
			if off >= maxOffset {
				t.Errorf("offset %d accepted", off)
			}
		}
	})
}
