package trace

// WorldReason says why a thread of a free-threaded build stopped all others.
type WorldReason int64

// Reasons.
const (
	WorldUnknown    WorldReason = iota
	WorldGC                     // a collection of garbage
	WorldImport                 // the import of an extension module that may need the GIL
	WorldType                   // an object gets another class, or a type changes
	WorldFork                   // os.fork
	WorldExit                   // the interpreter ends
	WorldTracing                // sys.settrace, sys.setprofile, sys.monitoring
	WorldInspection             // gc.get_objects, sys._current_frames and the like
	WorldMemory                 // the interpreter's own memory
)

var worldReasonNames = []string{WorldUnknown: "unknown", WorldGC: "gc", WorldImport: "import", WorldType: "type", WorldFork: "fork",
	WorldExit: "exit", WorldTracing: "tracing", WorldInspection: "inspection", WorldMemory: "memory"}

// String is the reason's name in traces and reports.
func (r WorldReason) String() string {
	if r < 0 || int(r) >= len(worldReasonNames) {
		return worldReasonNames[WorldUnknown]
	}
	return worldReasonNames[r]
}
