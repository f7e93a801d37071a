package collector

import (
	"gilscope/internal/trace"
	"gilscope/probes"
)

// worldCallers are the functions that call _PyEval_StopTheWorld (found in the
// code of 3.13.15t; Python/gc_free_threading.c, ceval_gil.c, instrumentation.c, Objects/typeobject.c).
var worldCallers = map[string]trace.WorldReason{
	"gc_collect_main": trace.WorldGC, "gc_collect_internal": trace.WorldGC, "PyGC_Collect": trace.WorldGC, "_Py_RunGC": trace.WorldGC,
	"_PyEval_EnableGILTransient": trace.WorldImport, "_PyEval_EnableGILPermanent": trace.WorldImport, "_PyEval_DisableGIL": trace.WorldImport,
	"object_set_class": trace.WorldType, "type_set_bases": trace.WorldType, "type_set_abstractmethods": trace.WorldType, "types_stop_world": trace.WorldType,
	"PyOS_BeforeFork": trace.WorldFork, "_Py_Finalize": trace.WorldExit, "Py_FinalizeEx": trace.WorldExit, "Py_EndInterpreter": trace.WorldExit,
	"_PyEval_SetTrace": trace.WorldTracing, "_PyEval_SetProfile": trace.WorldTracing, "_PyEval_SetOpcodeTrace": trace.WorldTracing,
	"_PyEval_SetProfileAllThreads": trace.WorldTracing, "_PyEval_SetTraceAllThreads": trace.WorldTracing,
	"_PyMonitoring_RegisterCallback": trace.WorldTracing, "monitoring_restart_events": trace.WorldTracing, "monitoring_set_events": trace.WorldTracing, "monitoring_set_local_events": trace.WorldTracing,
	"_PyGC_GetObjects": trace.WorldInspection, "_PyGC_GetReferrers": trace.WorldInspection, "gc_get_referents": trace.WorldInspection, "_PyGC_Freeze": trace.WorldInspection,
	"_PyGC_Unfreeze": trace.WorldInspection, "_PyGC_GetFreezeCount": trace.WorldInspection, "PyUnstable_GC_VisitObjects": trace.WorldInspection,
	"_PyThread_CurrentFrames": trace.WorldInspection, "_PyThread_CurrentExceptions": trace.WorldInspection, "faulthandler_dump_traceback_py": trace.WorldInspection,
	"get_num_global_allocated_blocks":  trace.WorldInspection,
	"_PyGC_ImmortalizeDeferredObjects": trace.WorldMemory, "_Py_qsbr_reserve": trace.WorldMemory, "_Py_brc_queue_object": trace.WorldMemory, "free_delayed": trace.WorldMemory,
}

// whyStopped tells by the callers of stop_the_world why the world is stopped.
func (p *process) whyStopped(r probes.Record) trace.WorldReason {
	if p.py == nil {
		return trace.WorldUnknown
	}
	return worldCallers[p.py.CallerAmong(r.Pc, r.Sp, r.Stack, func(function string) bool {
		_, ok := worldCallers[function]
		return ok
	})]
}
