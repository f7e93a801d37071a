package analyze

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"gilscope/internal/trace"
)

// RuntimeWork is what the interpreter did on CPUs for itself rather than for the program's line that
// it was at: at least, since only functions with a name are told. A build without symbols has none.
type RuntimeWork struct {
	Kind    string     `json:"kind"` // gc, refcount_merge
	Samples int64      `json:"samples"`
	OnCPUNS int64      `json:"on_cpu_ns"` // of the process's, as CPU samples divide it
	Lines   []LineTime `json:"lines"`     // on_cpu_ns by the innermost line of the program itself
}

// runtimeKinds tell such work by functions of CPython.
var runtimeKinds = map[string]func(function string) bool{"gc": isGC, "refcount_merge": isRefcountMerge}

// isGC knows the garbage collector: Modules/gcmodule.c, since 3.13 Python/gc.c and gc_free_threading.c. Only it calls
// the tp_traverse of types, which are named so throughout.
func isGC(function string) bool {
	return strings.HasPrefix(function, "gc_") || strings.HasSuffix(function, "_traverse") || gcFunctions[function]
}

var gcFunctions = map[string]bool{
	"collect": true, "PyGC_Collect": true, "_PyGC_Collect": true, "_Py_RunGC": true, "update_refs": true, "subtract_refs": true,
	"visit_decref": true, "visit_reachable": true, "visit_move": true, "move_unreachable": true, "deduce_unreachable": true,
	"mark_reachable": true, "mark_heap_visitor": true, "mark_all_reachable": true, "scan_heap_visitor": true, "propagate_refcounts": true,
	"tupletraverse": true, "visit_clear_unreachable": true, "untrack_tuples": true, "handle_weakrefs": true, "finalize_garbage": true, "delete_garbage": true,
}

// isRefcountMerge knows how a free-threaded build adds up the two reference counts of an object that another
// thread than its owner gave up last (Python/brc.c, Objects/object.c).
func isRefcountMerge(function string) bool {
	return strings.HasPrefix(function, "_Py_brc_") || function == "merge_queued_objects" || function == "_Py_ExplicitMergeRefcount"
}

// runtimeWork sums up what the interpreter of a process did for itself, by the stacks of its CPU samples;
// empty: nothing, or that is not known.
func (tl *Timeline) runtimeWork(row *ScalingRow, samples []trace.StackID) []RuntimeWork {
	list := []RuntimeWork{}
	for kind, is := range runtimeKinds {
		w, sums := RuntimeWork{Kind: kind}, programSums{tl: tl}
		for _, stack := range samples {
			if is(tl.interpreterFunction(stack)) {
				w.Samples++
				sums.add(stack, 1)
			}
		}
		if w.Samples == 0 {
			continue
		}
		each := float64(row.OnCPUNS) / float64(len(samples))
		w.OnCPUNS, w.Lines = int64(each*float64(w.Samples)), sums.lines()
		for i := range w.Lines {
			w.Lines[i].NS = int64(each * float64(w.Lines[i].NS))
		}
		list = append(list, w)
	}
	slices.SortFunc(list, func(x, y RuntimeWork) int {
		return cmp.Or(cmp.Compare(y.Samples, x.Samples), cmp.Compare(x.Kind, y.Kind))
	})
	return list
}

// samplesByPID are the stacks of all CPU samples, by process.
func (tl *Timeline) samplesByPID() map[int32][]trace.StackID {
	all := map[int32][]trace.StackID{}
	for i := range tl.Trace.Events {
		if e := &tl.Trace.Events[i]; e.Kind == trace.CPUSample {
			all[e.PID] = append(all[e.PID], e.Stack)
		}
	}
	return all
}

// interpreterFunction is the function of the interpreter that a stack is in; "": of something else, or not known.
func (tl *Timeline) interpreterFunction(stack trace.StackID) string {
	t := tl.Trace
	if int(stack) >= len(t.Stacks) || len(t.Stacks[stack]) == 0 || int(t.Stacks[stack][0]) >= len(t.Frames) {
		return ""
	}
	f := t.Frames[t.Stacks[stack][0]]
	if !f.Native() || int(f.Module) >= len(t.Strings) || int(f.Function) >= len(t.Strings) || !isInterpreter(path.Base(t.Strings[f.Module])) {
		return ""
	}
	return t.Strings[f.Function]
}
