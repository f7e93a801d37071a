package cpython

import (
	"encoding/binary"
	"fmt"
)

// _Py_DebugOffsets stands at the start of _PyRuntime from 3.13 on: cookie,
// version, free_threaded, then one u64 per field. Each minor version inserts
// fields in the middle (debugshapes.go); the values are the build's own.
const (
	debugCookie     = "xdebugpy"
	maxDebugOffsets = 888 // bytes of the longest known form
	// maxOffset bounds the values. The largest honest one that we use is an offset
	// in PyInterpreterState, which has 226 KB.
	maxOffset = 1 << 20
)

// debugTable is the decoded _Py_DebugOffsets of one build.
type debugTable struct {
	version      Version
	freeThreaded bool
	layout       Layout
	objects      objectLayout

	shape *debugShape
	raw   []byte
	bad   string // the first field whose value cannot be an offset
}

// parseDebugOffsets decodes the start of _PyRuntime; ok is false where there is
// no table (before 3.13).
func parseDebugOffsets(b []byte) (t *debugTable, ok bool, err error) {
	if len(b) < 24 || string(b[:8]) != debugCookie {
		return nil, false, nil
	}
	hex, free := le64(b, 8), le64(b, 16)
	t = &debugTable{version: Version(hex), freeThreaded: free == 1, raw: b}
	known := false
	if t.shape, known = shapeOf(t.version); !known || hex>>32 != 0 || free > 1 || len(b) < t.shape.bytes() {
		return t, true, fmt.Errorf("_Py_DebugOffsets of version %#x, free-threaded %d: %w; gilscope knows 3.13 to 3.15", hex, free, ErrUnsupported)
	}
	if err := t.check(); err != nil {
		return t, true, err
	}
	t.layout, t.objects = t.readLayout(), t.readObjectLayout()
	if t.bad != "" {
		return t, true, fmt.Errorf("_Py_DebugOffsets of CPython %v has %s %d: %w; please report this build", t.version, t.bad, t.value(t.bad), ErrMalformed)
	}
	return t, true, nil
}

// value returns a field as it stands in the table, 0 if this form has none.
func (t *debugTable) value(name string) uint64 {
	i, ok := t.shape.pos[name]
	if !ok {
		return 0
	}
	return binary.LittleEndian.Uint64(t.raw[8*i:])
}

// at returns the offset that a field says.
func (t *debugTable) at(name string) uint32 {
	v := t.value(name)
	if v >= maxOffset {
		t.bad = name
		return 0
	}
	return uint32(v)
}

// check tells a table of another form. It has no size of its own, but each group
// begins with the size of its struct: where a field more or less moved the rest,
// offsets stand in the places of sizes, and do not bound what follows.
func (t *debugTable) check() error {
	for _, f := range t.shape.fields {
		if f.limit < 0 {
			continue
		}
		limit := t.shape.fields[f.limit].name
		if v, size := t.value(f.name), t.value(limit); v >= size {
			return t.otherForm(fmt.Sprintf("%s is %d and %s %d", f.name, v, limit, size))
		}
	}
	header, enabled := uint64(16), uint64(0) // PyObject, and the field of the GIL that comes first
	if t.freeThreaded {
		header, enabled = 32, 8
	}
	gil := t.value("interpreter_state.gil_runtime_state")
	collecting := t.value("gc.collecting")
	if t.version.series() == 0x030d {
		collecting = 200 // the last field of that table: no size after it would tell that it has moved
	}
	// What the sizes leave open: these are fixed by how the structs are declared in
	// all versions from 3.13 on (Include/object.h, cpython/unicodeobject.h, cpython/pystate.h, pycore_gil.h).
	for _, f := range []struct {
		name string
		want uint64
	}{
		{"pyobject.size", header}, {"pyobject.ob_type", header - 8},
		{"tuple_object.ob_size", header}, {"list_object.ob_size", header}, {"bytes_object.ob_size", header},
		{"unicode_object.length", header}, {"unicode_object.state", header + 16},
		{"interpreter_state.gil_runtime_state_holder", gil + enabled + 8},
		{"interpreter_state.gil_runtime_state_locked", gil + enabled + 16},
		{"gc.collecting", collecting},
		{"debugger_support.eval_breaker", t.value("thread_state.interp") + 8}, // 3.14+
	} {
		if _, ok := t.shape.pos[f.name]; !ok {
			continue
		}
		if v := t.value(f.name); v != f.want {
			return t.otherForm(fmt.Sprintf("%s is %d, not %d", f.name, v, f.want))
		}
	}
	return nil
}

func (t *debugTable) otherForm(why string) error {
	return fmt.Errorf("_Py_DebugOffsets of CPython %v has not the form of %s's (%s): %w; use a gilscope that knows this version", t.version, t.shape.name, why, ErrUnsupported)
}

// readLayout fills a Layout from the table. What the table does not tell is
// constant over 3.13-3.15 and marked here.
func (t *debugTable) readLayout() Layout {
	at := t.at
	l := Layout{
		GILShift:                at("interpreter_state.gil_runtime_state_holder") - at("interpreter_state.gil_runtime_state") - 8,
		RuntimeInterpretersHead: at("runtime_state.interpreters_head"),
		RuntimeInterpretersMain: at("runtime_state.interpreters_head") + 8, // pycore_runtime_structs.h: head, main
		RuntimeGIL:              None,
		InterpGIL:               at("interpreter_state.ceval_gil"), InterpOwnGIL: at("interpreter_state.gil_runtime_state"),
		InterpNext: at("interpreter_state.next"), InterpID: at("interpreter_state.id"),
		InterpThreadsHead: at("interpreter_state.threads_head"), InterpModules: at("interpreter_state.imports_modules"),
		GCCollecting:    at("interpreter_state.gc") + at("gc.collecting"),
		DropRequestBase: DropInThread, DropRequest: at("thread_state.interp") + 8, // eval_breaker, bit 0
		ThreadPrev: at("thread_state.prev"), ThreadNext: at("thread_state.next"), ThreadInterp: at("thread_state.interp"),
		ThreadIdent: at("thread_state.thread_id"), ThreadNativeID: at("thread_state.native_thread_id"), ThreadFrame: at("thread_state.current_frame"), CFrameCurrent: None,
		FrameCode: at("interpreter_frame.executable"), FrameBack: at("interpreter_frame.previous"), FrameInstr: at("interpreter_frame.instr_ptr"),
		FrameOwner: at("interpreter_frame.owner"), OwnerMaxValid: 2, FrameTLBC: None, CodeMask: ^uint64(0),
		CodeFirstLine: at("code_object.firstlineno"), CodeFilename: at("code_object.filename"), CodeName: at("code_object.name"),
		CodeQualname: at("code_object.qualname"), CodeLineTable: at("code_object.linetable"), CodeAdaptive: at("code_object.co_code_adaptive"),
		CodeUnits: at("pyobject.size"), CodeBytes: None, CodeTLBC: None, // ob_size follows the header
		ObType: at("pyobject.ob_type"), StrLength: at("unicode_object.length"), StrState: at("unicode_object.state"), StrKindBit: 2,
		ASCIIData: at("unicode_object.asciiobject_size"), CompactData: at("unicode_object.asciiobject_size") + 16, // plus utf8_length and utf8
		BytesSize: at("bytes_object.ob_size"), BytesData: at("bytes_object.ob_sval"),
	}
	if t.version.series() >= 0x030e {
		l.CodeMask = ^uint64(7) // f_executable is a tagged _PyStackRef
	}
	if t.version.series() >= 0x030e && t.freeThreaded {
		// From headers only, no such build could be had to check it: pycore_code.h and
		// pycore_interpframe_structs.h of 3.14; Include/cpython/unicodeobject.h, where
		// "interned" is a byte of its own instead of two bits.
		l.CodeTLBC, l.FrameTLBC = at("code_object.co_tlbc"), at("interpreter_frame.tlbc_index")
		l.StrKindBit = 8
	}
	return l
}

// readObjectLayout fills an objectLayout from the table. The rest is shifted by
// what the header of a free-threaded object is longer.
func (t *debugTable) readObjectLayout() objectLayout {
	o := objectsOf(t.version)
	longer := t.at("pyobject.size") - 16
	o.typeFlags, o.dictOffset, o.basicSize = t.at("type_object.tp_flags"), o.dictOffset+longer, o.basicSize+longer
	o.dictKeys, o.dictValues = t.at("dict_object.ma_keys"), t.at("dict_object.ma_values")
	o.intSize, o.intDigits = t.at("long_object.lv_tag"), t.at("long_object.ob_digit")
	o.moduleDict, o.setMask, o.setTable = o.moduleDict+longer, o.setMask+longer, o.setTable+longer
	o.frameLocals, o.tuple = t.at("interpreter_frame.localsplus"), t.at("tuple_object.ob_item")
	// After the type: as_async .. as_buffer (440 bytes), ht_name, ht_slots, ht_qualname.
	o.cachedKeys = t.at("type_object.size") + 464
	o.interpSize, o.runtimeSize = t.at("interpreter_state.size"), t.at("runtime_state.size")
	if t.freeThreaded {
		o.managedDict = 8 // no GC header stands before the object (pycore_object.h, MANAGED_DICT_OFFSET)
	}
	if t.version.series() >= 0x030e {
		c := &o.coroutine
		c.frame, c.state, c.stack = t.at("gen_object.gi_iframe"), t.at("gen_object.gi_frame_state"), t.at("interpreter_frame.stackpointer")
		o.setMask, o.setTable = t.at("set_object.mask"), t.at("set_object.table")
	}
	if t.version.series() >= 0x030f {
		o.dictOffset, o.basicSize = t.at("type_object.tp_dictoffset"), t.at("type_object.tp_basicsize")
		o.cachedKeys = t.at("heap_type_object.ht_cached_keys")
	}
	return o
}
