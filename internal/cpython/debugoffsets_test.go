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

// recorded calls visit for each line of testdata/debug_offsets.txt.
func recorded(t testing.TB, visit func(version, name string, pos int, value uint64)) {
	t.Helper()
	f, err := os.Open("testdata/debug_offsets.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
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
		visit(version, name, pos, value)
	}
}

// recordedTables builds the recorded tables, by version.
func recordedTables(t testing.TB) map[string][]byte {
	t.Helper()
	tables := map[string][]byte{}
	recorded(t, func(version, _ string, pos int, value uint64) {
		if tables[version] == nil {
			tables[version] = make([]byte, maxDebugOffsets)
			copy(tables[version], debugCookie)
		}
		binary.LittleEndian.PutUint64(tables[version][pos:], value)
	})
	return tables
}

// wantLayouts are the layouts of the recorded tables, from the facts by hand.
var wantLayouts = map[string]Layout{
	"3.13.0": {
		RuntimeInterpretersHead: 632, RuntimeInterpretersMain: 640, RuntimeGIL: None, InterpGIL: 16, InterpOwnGIL: 7752,
		InterpNext: 7264, InterpID: 7272, InterpThreadsHead: 7344, InterpModules: 7656, GCCollecting: 7600,
		DropRequestBase: DropInThread, DropRequest: 24,
		ThreadNext: 8, ThreadInterp: 16, ThreadIdent: 152, ThreadNativeID: 160, ThreadFrame: 72, CFrameCurrent: None,
		FrameCode: 0, FrameBack: 8, FrameInstr: 56, FrameTLBC: None, FrameOwner: 70, OwnerMaxValid: 2, CodeMask: ^uint64(0),
		CodeFirstLine: 68, CodeFilename: 112, CodeName: 120, CodeQualname: 128, CodeLineTable: 136, CodeAdaptive: 200,
		CodeUnits: 16, CodeBytes: None, CodeTLBC: None,
		ObType: 8, StrLength: 16, StrState: 32, StrKindBit: 2, ASCIIData: 40, CompactData: 56, BytesSize: 16, BytesData: 32,
	},
	"3.13.15t": {
		GILShift:                8,
		RuntimeInterpretersHead: 632, RuntimeInterpretersMain: 640, RuntimeGIL: None, InterpGIL: 16, InterpOwnGIL: 7760,
		InterpNext: 7264, InterpID: 7272, InterpThreadsHead: 7344, InterpModules: 7664, GCCollecting: 7600,
		DropRequestBase: DropInThread, DropRequest: 24,
		ThreadNext: 8, ThreadInterp: 16, ThreadIdent: 152, ThreadNativeID: 160, ThreadFrame: 72, CFrameCurrent: None,
		FrameCode: 0, FrameBack: 8, FrameInstr: 56, FrameTLBC: None, FrameOwner: 70, OwnerMaxValid: 2, CodeMask: ^uint64(0),
		CodeFirstLine: 84, CodeFilename: 128, CodeName: 136, CodeQualname: 144, CodeLineTable: 152, CodeAdaptive: 216,
		CodeUnits: 32, CodeBytes: None, CodeTLBC: None,
		ObType: 24, StrLength: 32, StrState: 48, StrKindBit: 2, ASCIIData: 56, CompactData: 72, BytesSize: 32, BytesData: 48,
	},
	"3.14.6": {
		RuntimeInterpretersHead: 808, RuntimeInterpretersMain: 816, RuntimeGIL: None, InterpGIL: 16, InterpOwnGIL: 7784,
		InterpNext: 7272, InterpID: 7280, InterpThreadsHead: 7344, InterpModules: 7688, GCCollecting: 7600,
		DropRequestBase: DropInThread, DropRequest: 24,
		ThreadNext: 8, ThreadInterp: 16, ThreadIdent: 152, ThreadNativeID: 160, ThreadFrame: 72, CFrameCurrent: None,
		FrameCode: 0, FrameBack: 8, FrameInstr: 56, FrameTLBC: None, FrameOwner: 74, OwnerMaxValid: 2, CodeMask: ^uint64(7),
		CodeFirstLine: 68, CodeFilename: 112, CodeName: 120, CodeQualname: 128, CodeLineTable: 136, CodeAdaptive: 208,
		CodeUnits: 16, CodeBytes: None, CodeTLBC: None,
		ObType: 8, StrLength: 16, StrState: 32, StrKindBit: 2, ASCIIData: 40, CompactData: 56, BytesSize: 16, BytesData: 32,
	},
	"3.15.2": {
		RuntimeInterpretersHead: 936, RuntimeInterpretersMain: 944, RuntimeGIL: None, InterpGIL: 16, InterpOwnGIL: 7736,
		InterpNext: 7264, InterpID: 7272, InterpThreadsHead: 7336, InterpModules: 7592, GCCollecting: 7512,
		DropRequestBase: DropInThread, DropRequest: 24,
		ThreadNext: 8, ThreadInterp: 16, ThreadIdent: 176, ThreadNativeID: 184, ThreadFrame: 72, CFrameCurrent: None,
		FrameCode: 0, FrameBack: 8, FrameInstr: 56, FrameTLBC: None, FrameOwner: 74, OwnerMaxValid: 2, CodeMask: ^uint64(7),
		CodeFirstLine: 68, CodeFilename: 112, CodeName: 120, CodeQualname: 128, CodeLineTable: 136, CodeAdaptive: 208,
		CodeUnits: 16, CodeBytes: None, CodeTLBC: None,
		ObType: 8, StrLength: 16, StrState: 32, StrKindBit: 2, ASCIIData: 40, CompactData: 56, BytesSize: 16, BytesData: 32,
	},
}

// wantObjects says where the readers of dicts and ints look in two of them.
var wantObjects = map[string]objectLayout{
	"3.13.15t": {
		keysLog2: true, keysEntries: 24, keysIndices: 32, valuesHeader: 8, attributes: attributesInline, managedDict: 8, cachedKeys: 896,
		longTagged: true, typeFlags: 184, dictOffset: 304, basicSize: 48, dictKeys: 48, dictValues: 56, moduleDict: 32, intDigits: 40, intSize: 32,
		setMask: 48, setTable: 56, coroutine: coroutinesOf(0x030d0ff0), frameLocals: 72, tuple: 40, interpSize: 215616, runtimeSize: 328384,
	},
	"3.15.2": {
		keysLog2: true, keysEntries: 24, keysIndices: 32, valuesHeader: 8, attributes: attributesInline, managedDict: 24, cachedKeys: 888,
		longTagged: true, typeFlags: 168, dictOffset: 288, basicSize: 32, dictKeys: 32, dictValues: 40, moduleDict: 16, intDigits: 24, intSize: 16, setMask: 32, setTable: 40,
		coroutine: coroutineLayout{frame: 72, state: 67, states: coroutineStates{0, 2, 3}, stack: 64, values: None, slot: 2}, frameLocals: 80, tuple: 32, interpSize: 226240, runtimeSize: 346568,
	},
}

func TestParseDebugOffsets(t *testing.T) {
	for version, raw := range recordedTables(t) {
		table, ok, err := parseDebugOffsets(raw)
		if err != nil || !ok {
			t.Fatalf("%s: ok %v, error %v", version, ok, err)
		}
		base, free := strings.CutSuffix(version, "t")
		if table.version.String() != base || table.freeThreaded != free {
			t.Errorf("%s: version %v, free-threaded %v", version, table.version, table.freeThreaded)
		}
		if table.layout != wantLayouts[version] {
			t.Errorf("%s: layout\n%+v, want\n%+v", version, table.layout, wantLayouts[version])
		}
		if want, known := wantObjects[version]; known && table.objects != want {
			t.Errorf("%s: objects\n%+v, want\n%+v", version, table.objects, want)
		}
	}
}

// freeThreaded314 is what the table of a 3.14 built with --disable-gil says
// according to the headers: that of 3.14.6 with the longer header of objects,
// thread-local bytecode and "enabled" first in the GIL.
func freeThreaded314(t testing.TB) []byte {
	t.Helper()
	raw := recordedTables(t)["3.14.6"]
	set := func(name string, v uint64) { binary.LittleEndian.PutUint64(raw[8*shape314.pos[name]:], v) }
	for _, f := range shape314.fields {
		group, field, _ := strings.Cut(f.name, ".")
		if object := strings.HasSuffix(group, "object"); object && (field != "size" || group != "pyobject") {
			set(f.name, binary.LittleEndian.Uint64(raw[8*shape314.pos[f.name]:])+16)
		}
	}
	set("header.free_threaded", 1)
	set("pyobject.size", 32)
	set("interpreter_state.gil_runtime_state_holder", 7784+16)
	set("interpreter_state.gil_runtime_state_locked", 7784+24)
	set("interpreter_frame.tlbc_index", 72)
	set("interpreter_frame.owner", 78)
	set("code_object.co_tlbc", 224)
	set("code_object.co_code_adaptive", 232)
	set("code_object.size", 240)
	return raw
}

func TestThreadLocalBytecode(t *testing.T) {
	table, _, err := parseDebugOffsets(freeThreaded314(t))
	if err != nil {
		t.Fatal(err)
	}
	want := wantLayouts["3.14.6"]
	want.GILShift, want.FrameOwner, want.FrameTLBC, want.StrKindBit = 8, 78, 72, 8
	want.CodeFirstLine, want.CodeFilename, want.CodeName, want.CodeQualname, want.CodeLineTable = 84, 128, 136, 144, 152
	want.CodeUnits, want.CodeTLBC, want.CodeAdaptive, want.ObType = 32, 224, 232, 24
	want.StrLength, want.StrState, want.ASCIIData, want.CompactData, want.BytesSize, want.BytesData = 32, 48, 56, 72, 32, 48
	if table.layout != want {
		t.Errorf("layout\n%+v, want\n%+v", table.layout, want)
	}
}

// TestStringState reads the kind of a string where a build has it.
func TestStringState(t *testing.T) {
	for bit, state := range map[uint32]uint32{2: 0b1_1_001_01, 8: 0b1_1_001<<8 | 1} {
		l := wantLayouts["3.13.15t"]
		l.StrKindBit = bit
		head := make([]byte, 56)
		binary.LittleEndian.PutUint64(head[32:], 5)
		binary.LittleEndian.PutUint32(head[48:], state)
		o := objectRead{}
		if from := o.decodeHead(&l, head); o.err != nil || from != 56 || !o.ascii || o.kind != 1 || len(o.body) != 5 {
			t.Errorf("kind at bit %d: %+v, text at %d", bit, o, from)
		}
	}
}

func TestParseDebugOffsetsRefuses(t *testing.T) {
	tables := recordedTables(t)
	change := func(raw []byte, name string, v uint64) []byte {
		b := append([]byte(nil), raw...)
		shape, _ := shapeOf(Version(binary.LittleEndian.Uint64(b[8:])))
		binary.LittleEndian.PutUint64(b[8*shape.pos[name]:], v)
		return b
	}
	good := tables["3.13.0"]
	huge := change(change(good, "runtime_state.size", 1<<50), "runtime_state.interpreters_head", 1<<40)
	tests := []struct {
		name string
		raw  []byte
		want error
	}{
		{"huge offset", change(good, "runtime_state.interpreters_head", 1<<40), ErrUnsupported},
		{"huge offset and size", huge, ErrMalformed},
		{"offset of -1", change(good, "interpreter_state.ceval_gil", ^uint64(0)), ErrUnsupported},
		{"offset equal to its size", change(good, "thread_state.next", 304), ErrUnsupported},
		{"size 0", change(good, "thread_state.size", 0), ErrUnsupported},
		{"longer object header", change(good, "pyobject.size", 32), ErrUnsupported},
		{"lengths elsewhere", change(good, "bytes_object.ob_size", 24), ErrUnsupported},
		{"GIL of a free-threaded build", change(good, "interpreter_state.gil_runtime_state_locked", 7776), ErrUnsupported},
		{"free-threaded, says the table", change(good, "header.free_threaded", 1), ErrUnsupported},
		{"with a GIL, says the table", change(tables["3.13.15t"], "header.free_threaded", 0), ErrUnsupported},
		{"free-threaded 2", change(good, "header.free_threaded", 2), ErrUnsupported},
		{"version 3.12", change(good, "header.version", 0x030c01f0), ErrUnsupported},
		{"version 4", change(good, "header.version", 0x040001f0), ErrUnsupported},
		{"version of 64 bits", change(good, "header.version", 1<<40|0x030d00f0), ErrUnsupported},
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
	f.Add(freeThreaded314(f))
	f.Fuzz(func(t *testing.T, raw []byte) {
		table, ok, err := parseDebugOffsets(raw)
		if !ok || err != nil {
			return
		}
		l := table.layout
		if l.GILShift != 0 && l.GILShift != 8 || (l.GILShift == 8) != table.freeThreaded {
			t.Errorf("GIL shifted by %d", l.GILShift)
		}
		for _, off := range []uint32{l.InterpID, l.InterpOwnGIL, l.InterpThreadsHead, l.ThreadIdent, l.FrameOwner, l.CodeUnits, l.CodeLineTable, l.StrState, l.BytesData, l.ObType} {
			if off >= maxOffset {
				t.Errorf("offset %d accepted", off)
			}
		}
	})
}
