package analyze

import "testing"

func TestRuntimeKinds(t *testing.T) {
	for function, want := range map[string]string{
		"gc_collect_main": "gc", "visit_decref": "gc", "dict_traverse": "gc", "_PyGC_Collect": "gc", "collect": "gc",
		"_Py_brc_queue_object": "refcount_merge", "merge_queued_objects": "refcount_merge", "_Py_ExplicitMergeRefcount": "refcount_merge",
		"_PyEval_EvalFrameDefault": "", "_Py_MergeZeroLocalRefcount": "", "PyObject_GC_Del": "", "list_dealloc": "", "": "",
	} {
		got := ""
		for kind, is := range runtimeKinds {
			if is(function) {
				got += kind
			}
		}
		if got != want {
			t.Errorf("%q is %q, want %q", function, got, want)
		}
	}
}
