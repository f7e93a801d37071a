package cpython

import "fmt"

// The layouts of CPython 3.8-3.12, x86-64, glibc. Measured with gdb's
// "ptype /o" on builds with DWARF (3.8.18, 3.9.18, 3.10.13, 3.11.7, 3.12.1); the
// patch releases of one minor version share the layout (ABI policy). From 3.13
// on the process carries its own table, see debugoffsets.go.

// baseLayout holds what is equal in all of 3.8-3.12.
var baseLayout = Layout{
	InterpGIL: None, InterpOwnGIL: None, InterpNext: 0,
	ThreadPrev: 0, ThreadNext: 8, ThreadInterp: 16, ThreadNativeID: None, CFrameCurrent: None,
	FrameCode: 32, FrameBack: 24, FrameTLBC: None, FrameOwner: None, CodeMask: ^uint64(0),
	CodeFirstLine: 40, CodeFilename: 104, CodeName: 112, CodeQualname: None, CodeLineTable: 120, CodeAdaptive: None,
	CodeUnits: None, CodeBytes: 48, CodeTLBC: None,
	ObType:    8,
	StrLength: 16, StrState: 32, StrKindBit: 2, ASCIIData: 48, CompactData: 72,
	BytesSize: 16, BytesData: 32,
}

// tableLayout returns the layout of a version that has no _Py_DebugOffsets.
func tableLayout(v Version) (Layout, error) {
	switch v.series() {
	case 0x0308:
		return layout38(), nil
	case 0x0309:
		return layout39(), nil
	case 0x030a:
		return layout310(), nil
	case 0x030b:
		return layout311(), nil
	case 0x030c:
		return layout312(), nil
	}
	return Layout{}, fmt.Errorf("CPython %v: %w; gilscope knows 3.8 to 3.15", v, ErrUnsupported)
}

func layout38() Layout {
	l := baseLayout
	l.RuntimeInterpretersHead, l.RuntimeInterpretersMain, l.RuntimeGIL = 32, 40, 1152
	l.InterpThreadsHead, l.InterpID, l.InterpModules = 8, 16, 56
	l.GCCollecting, l.GCInRuntime = 544, true
	l.DropRequestBase, l.DropRequest = DropInRuntime, 596
	l.ThreadIdent, l.ThreadFrame = 176, 24
	l.FrameInstr, l.InstrUnit = 104, 1
	return l
}

func layout39() Layout {
	l := layout38()
	l.RuntimeGIL = 352
	l.InterpID, l.InterpModules = 24, 856
	l.GCCollecting, l.GCInRuntime = 816, false
	l.DropRequestBase, l.DropRequest = DropInInterp, 76
	return l
}

func layout310() Layout {
	l := layout39()
	l.DropRequest = 72
	l.FrameInstr, l.InstrUnit = 96, 2 // f_lasti counts code units since 3.10
	return l
}

func layout311() Layout {
	l := baseLayout
	l.RuntimeInterpretersHead, l.RuntimeInterpretersMain, l.RuntimeGIL = 40, 48, 360
	l.InterpThreadsHead, l.InterpID, l.InterpModules = 16, 48, 888
	l.GCCollecting = 848
	l.DropRequestBase, l.DropRequest = DropInInterp, 104
	l.ThreadIdent, l.ThreadNativeID, l.ThreadFrame, l.CFrameCurrent = 152, 160, 56, 8
	l.FrameBack, l.FrameInstr, l.FrameOwner, l.OwnerMaxValid = 48, 56, 69, 2
	l.CodeFirstLine, l.CodeAdaptive = 72, 184
	l.CodeUnits, l.CodeBytes = 16, None // ob_size
	l.CodeFilename, l.CodeName, l.CodeQualname, l.CodeLineTable = 112, 120, 128, 136
	return l
}

func layout312() Layout {
	l := layout311()
	l.RuntimeGIL, l.InterpGIL = None, 384
	l.InterpThreadsHead, l.InterpID, l.InterpModules = 72, 8, 944
	l.GCCollecting = 312
	l.DropRequest = 372
	l.ThreadIdent, l.ThreadNativeID, l.CFrameCurrent = 136, 144, 0
	l.FrameCode, l.FrameBack, l.FrameOwner = 0, 8, 70
	l.CodeFirstLine, l.CodeAdaptive = 68, 192
	l.ASCIIData, l.CompactData = 40, 56 // 3.12 removed wstr from str objects
	return l
}
