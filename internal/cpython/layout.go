package cpython

// Layout is where the fields lie that the probes and the readers need, in one
// build of CPython. Offsets are bytes; None marks a field that the build does
// not have. From 3.13 on it is read from the process's own _Py_DebugOffsets;
// before, it is one row per minor version in layouts.go.
type Layout struct {
	// GIL (struct _gil_runtime_state, Python/pycore_gil.h).
	GILShift uint32 // 8 in free-threaded builds (the int "enabled" comes first), else 0

	// Interpreter (PyInterpreterState) and runtime (_PyRuntimeState).
	RuntimeInterpretersHead uint32 // _PyRuntime.interpreters.head
	RuntimeInterpretersMain uint32 // _PyRuntime.interpreters.main
	RuntimeGIL              uint32 // the GIL inside _PyRuntime (3.8-3.11), else None
	InterpGIL               uint32 // pointer to the GIL inside the interpreter (3.12+), else None
	InterpOwnGIL            uint32 // the GIL struct inside the interpreter, which the main one always uses (3.13+), else None
	InterpNext              uint32
	InterpID                uint32
	InterpThreadsHead       uint32
	InterpModules           uint32 // the dict sys.modules
	GCCollecting            uint32 // int: the garbage collector is at work; in the interpreter,
	GCInRuntime             bool   // or in the runtime (3.8)

	// Drop request: at Base+DropRequest; the base is DropRequestBase.
	DropRequestBase DropRequestBase
	DropRequest     uint32 // int, != 0 (<= 3.12); bit 0 of a word (3.13+)

	// Thread state (PyThreadState).
	ThreadPrev     uint32
	ThreadNext     uint32
	ThreadInterp   uint32
	ThreadIdent    uint32 // thread_id: the pthread_t
	ThreadNativeID uint32 // native_thread_id, the kernel's tid (3.11+), else None
	ThreadFrame    uint32 // frame (<= 3.10), cframe (3.11, 3.12), current_frame (3.13+)
	CFrameCurrent  uint32 // cframe->current_frame (3.11, 3.12), else None

	// Frame.
	FrameCode     uint32 // f_code, or f_executable (3.13+)
	FrameBack     uint32 // f_back, or previous (3.11+)
	FrameInstr    uint32 // f_lasti (int, <= 3.10), prev_instr (3.11, 3.12), instr_ptr (3.13+)
	InstrUnit     uint32 // bytes per unit of f_lasti: 1 (3.8, 3.9), 2 (3.10); 0: FrameInstr is a pointer
	FrameTLBC     uint32 // int32: which of the code's copies FrameInstr points into (3.14+ free-threaded), else None
	FrameOwner    uint32 // char; None before 3.11
	OwnerMaxValid uint32 // a frame whose owner is greater is no Python frame: skip it, follow FrameBack
	CodeMask      uint64 // and-mask of code pointers (3.14+ tags them)

	// Code object (PyCodeObject).
	CodeFirstLine uint32
	CodeFilename  uint32
	CodeName      uint32
	CodeQualname  uint32 // None before 3.11
	CodeLineTable uint32 // co_lnotab (<= 3.9), co_linetable (3.10+)
	CodeAdaptive  uint32 // first instruction (3.11+), else None
	CodeUnits     uint32 // u64: instructions in units of 2 bytes (3.11+), else None
	CodeBytes     uint32 // the bytes object with the instructions (<= 3.10), else None
	CodeTLBC      uint32 // pointer to the copies of the instructions (3.14+ free-threaded), else None; see TLBCSize
	ObType        uint32 // ob_type in any object

	// Objects.
	StrLength, StrState, ASCIIData, CompactData uint32 // CompactData: of non-ASCII compact strings
	StrKindBit                                  uint32 // bit of StrState at which the kind begins
	BytesSize, BytesData                        uint32
}

// In a free-threaded build of 3.14 or newer each thread specializes a copy of
// the instructions of its own (struct _PyCodeArray, pycore_code.h): what CodeTLBC
// points to begins with the number of copies, pointers to them follow. Copy 0 is
// the one inside the code object, mostly the main thread's. A frame whose
// FrameTLBC is n > 0 is at the instruction *FrameInstr - copy n; taken relative to
// the code object instead, it lies outside of the code and has no line (Code.Line).
// From headers: no such build could be had. 3.13 has no copies, checked live.
const (
	TLBCSize   = 0 // i64: number of copies
	TLBCCopies = 8 // their addresses
)

// None is the offset of a field that a build does not have.
const None = ^uint32(0)

// DropRequestBase says what Layout.DropRequest is relative to.
type DropRequestBase uint32

// Bases of the drop request.
const (
	DropInRuntime DropRequestBase = iota // _PyRuntime (3.8)
	DropInInterp                         // the interpreter (3.9-3.12)
	DropInThread                         // the holder's thread state (3.13+): eval_breaker bit 0
)
