package cpython

import (
	"encoding/binary"
	"fmt"
)

// _Py_DebugOffsets (CPython Include/internal/pycore_debug_offsets.h) stands at
// the start of _PyRuntime from 3.13 on: cookie, version, free_threaded, then one
// u64 per field. Each minor version inserts fields in the middle, so the
// positions below are per minor version; the values are the build's own.
const (
	debugCookie     = "xdebugpy"
	maxDebugOffsets = 888
	// maxOffset bounds the values. The largest honest one is the size of
	// PyInterpreterState, 226 KB; offsets that we use stay below.
	maxOffset = 1 << 20
)

// debugShape is where the fields we need stand in the table of one minor version.
type debugShape struct {
	size                                                     int
	interpretersHead                                         int
	interpID, interpNext, threadsHead, modules               int
	cevalGIL, gil, gilLocked                                 int
	threadNext, threadInterp, currentFrame, threadID, native int
	previous, executable, instrPtr, owner                    int
	filename, name, qualname, lineTable, firstLine, adaptive int
	obType                                                   int
	typeSize                                                 int
	bytesSize, bytesData                                     int
	strState, strLength, asciiSize                           int
	evalBreaker                                              int // 0: not in the table
}

var shape313 = debugShape{
	size: 584, interpretersHead: 40,
	interpID: 56, interpNext: 64, threadsHead: 72, modules: 88, cevalGIL: 112, gil: 120, gilLocked: 136,
	threadNext: 168, threadInterp: 176, currentFrame: 184, threadID: 192, native: 200,
	previous: 232, executable: 240, instrPtr: 248, owner: 264,
	filename: 280, name: 288, qualname: 296, lineTable: 304, firstLine: 312, adaptive: 344,
	obType: 360, typeSize: 368, bytesSize: 520, bytesData: 528, strState: 544, strLength: 552, asciiSize: 560,
}

var shape314 = debugShape{
	size: 760, interpretersHead: 40,
	interpID: 56, interpNext: 64, threadsHead: 72, modules: 96, cevalGIL: 120, gil: 128, gilLocked: 144,
	threadNext: 192, threadInterp: 200, currentFrame: 208, threadID: 216, native: 224,
	previous: 256, executable: 264, instrPtr: 272, owner: 288,
	filename: 320, name: 328, qualname: 336, lineTable: 344, firstLine: 352, adaptive: 384,
	obType: 408, typeSize: 416, bytesSize: 600, bytesData: 608, strState: 624, strLength: 632, asciiSize: 640,
	evalBreaker: 712,
}

var shape315 = debugShape{
	size: 888, interpretersHead: 40,
	interpID: 56, interpNext: 64, threadsHead: 72, modules: 96, cevalGIL: 120, gil: 128, gilLocked: 144,
	threadNext: 192, threadInterp: 200, currentFrame: 208, threadID: 240, native: 248,
	previous: 320, executable: 328, instrPtr: 336, owner: 352,
	filename: 384, name: 392, qualname: 400, lineTable: 408, firstLine: 416, adaptive: 448,
	obType: 472, typeSize: 480, bytesSize: 696, bytesData: 704, strState: 720, strLength: 728, asciiSize: 736,
	evalBreaker: 840,
}

// shapeOf returns the shape of a minor version. A minor version newer than all
// known ones gets the newest shape; the caller then verifies the structures of
// the live process (verify), which refuses a table that was read wrongly.
func shapeOf(v Version) (debugShape, bool) {
	switch {
	case v.series() < 0x030d:
		return debugShape{}, false
	case v.series() == 0x030d:
		return shape313, true
	case v.series() == 0x030e:
		return shape314, true
	}
	return shape315, v.Major() == 3
}

// debugTable is the decoded _Py_DebugOffsets of one build.
type debugTable struct {
	version      Version
	freeThreaded bool
	typeSize     uint32 // sizeof(PyTypeObject)
	layout       Layout
}

// parseDebugOffsets decodes the start of _PyRuntime; ok is false where there is
// no table (before 3.13).
func parseDebugOffsets(b []byte) (t debugTable, ok bool, err error) {
	if len(b) < 24 || string(b[:8]) != debugCookie {
		return t, false, nil
	}
	le := binary.LittleEndian
	t.version = Version(le.Uint64(b[8:]))
	t.freeThreaded = le.Uint64(b[16:]) == 1
	shape, known := shapeOf(t.version)
	if !known || le.Uint64(b[8:])>>32 != 0 || len(b) < shape.size {
		return t, true, fmt.Errorf("_Py_DebugOffsets of version %#x: %w; gilscope knows 3.13 to 3.15", le.Uint64(b[8:]), ErrUnsupported)
	}
	bad := -1
	at := func(pos int) uint32 {
		v := le.Uint64(b[pos:])
		if v >= maxOffset {
			bad = pos
			return 0
		}
		return uint32(v)
	}
	t.typeSize = at(shape.typeSize)
	t.layout = shape.layout(at, t.version)
	if bad >= 0 {
		return t, true, fmt.Errorf("_Py_DebugOffsets has %d at byte %d: %w", le.Uint64(b[bad:]), bad, ErrMalformed)
	}
	return t, true, nil
}

// layout fills a Layout from the table. What the table does not tell is
// constant over 3.13-3.15 and marked here.
func (s *debugShape) layout(at func(int) uint32, v Version) Layout {
	l := Layout{
		GILShift:                at(s.gilLocked) - at(s.gil) - 16,
		RuntimeInterpretersHead: at(s.interpretersHead),
		RuntimeInterpretersMain: at(s.interpretersHead) + 8, // pycore_runtime_structs.h: head, main
		RuntimeGIL:              None,
		InterpGIL:               at(s.cevalGIL),
		InterpNext:              at(s.interpNext), InterpID: at(s.interpID),
		InterpThreadsHead: at(s.threadsHead), InterpModules: at(s.modules),
		DropRequestBase: DropInThread, DropRequest: 24, // tstate->eval_breaker, bit 0
		ThreadNext: at(s.threadNext), ThreadInterp: at(s.threadInterp), ThreadIdent: at(s.threadID),
		ThreadNativeID: at(s.native), ThreadFrame: at(s.currentFrame), CFrameCurrent: None,
		FrameCode: at(s.executable), FrameBack: at(s.previous), FrameInstr: at(s.instrPtr),
		FrameOwner: at(s.owner), OwnerMaxValid: 2, CodeMask: ^uint64(0),
		CodeFirstLine: at(s.firstLine), CodeFilename: at(s.filename), CodeName: at(s.name),
		CodeQualname: at(s.qualname), CodeLineTable: at(s.lineTable), CodeAdaptive: at(s.adaptive),
		ObType: at(s.obType), StrLength: at(s.strLength), StrState: at(s.strState), ASCIIData: at(s.asciiSize),
		CompactData: at(s.asciiSize) + 16, // plus utf8_length and utf8
		BytesSize:   at(s.bytesSize), BytesData: at(s.bytesData),
	}
	if s.evalBreaker != 0 {
		l.DropRequest = at(s.evalBreaker)
	}
	if v.series() >= 0x030e {
		l.CodeMask = ^uint64(7) // f_executable is a tagged _PyStackRef
	}
	return l
}
