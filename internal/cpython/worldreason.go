package cpython

// WorldReason is why a thread of a free-threaded build stops all others.
type WorldReason uint8

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

// worldCallers are the functions that call _PyEval_StopTheWorld (found in the
// code of 3.13.15t; Python/gc_free_threading.c, ceval_gil.c, instrumentation.c, Objects/typeobject.c).
var worldCallers = map[string]WorldReason{
	"gc_collect_main": WorldGC, "gc_collect_internal": WorldGC, "PyGC_Collect": WorldGC, "_Py_RunGC": WorldGC,
	"_PyEval_EnableGILTransient": WorldImport, "_PyEval_EnableGILPermanent": WorldImport, "_PyEval_DisableGIL": WorldImport,
	"object_set_class": WorldType, "type_set_bases": WorldType, "type_set_abstractmethods": WorldType, "types_stop_world": WorldType,
	"PyOS_BeforeFork": WorldFork, "_Py_Finalize": WorldExit, "Py_FinalizeEx": WorldExit, "Py_EndInterpreter": WorldExit,
	"_PyEval_SetTrace": WorldTracing, "_PyEval_SetProfile": WorldTracing, "_PyEval_SetOpcodeTrace": WorldTracing,
	"_PyEval_SetProfileAllThreads": WorldTracing, "_PyEval_SetTraceAllThreads": WorldTracing,
	"_PyMonitoring_RegisterCallback": WorldTracing, "monitoring_restart_events": WorldTracing, "monitoring_set_events": WorldTracing, "monitoring_set_local_events": WorldTracing,
	"_PyGC_GetObjects": WorldInspection, "_PyGC_GetReferrers": WorldInspection, "gc_get_referents": WorldInspection, "_PyGC_Freeze": WorldInspection,
	"_PyGC_Unfreeze": WorldInspection, "_PyGC_GetFreezeCount": WorldInspection, "PyUnstable_GC_VisitObjects": WorldInspection,
	"_PyThread_CurrentFrames": WorldInspection, "_PyThread_CurrentExceptions": WorldInspection, "faulthandler_dump_traceback_py": WorldInspection,
	"get_num_global_allocated_blocks":  WorldInspection,
	"_PyGC_ImmortalizeDeferredObjects": WorldMemory, "_Py_qsbr_reserve": WorldMemory, "_Py_brc_queue_object": WorldMemory, "free_delayed": WorldMemory,
}

// maxWorldDepth bounds the functions between stop_the_world and the one that tells why.
const maxWorldDepth = 4

// StoppedFor tells by its callers why stop_the_world was called. pc is its return
// address, sp the stack pointer after it is popped, stack the bytes from there.
func (p *Process) StoppedFor(pc, sp uint64, stack []byte) (why WorldReason) {
	depth := 0
	p.unwind(registers{pc: pc, sp: sp, isReturn: true}, stack, func(r registers) bool {
		s := p.Symbolize(r.lookupPC())
		if s.Module == p.Build.Path {
			why = worldCallers[s.Function]
		}
		depth++
		return why != WorldUnknown || s.Module != p.Build.Path || s.Function == "_PyEval_EvalFrameDefault" || depth == maxWorldDepth
	})
	return why
}
