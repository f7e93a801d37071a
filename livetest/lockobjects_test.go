package livetest

import (
	"maps"
	"testing"

	"gilscope/internal/testpy"
	"gilscope/internal/trace"
)

// TestObjectLocks: without a GIL, threads that use one list, dict, set or type wait for
// each other. How long is what they timed, and for what is said of all that counts.
func TestObjectLocks(t *testing.T) {
	for _, in := range testpy.FreeThreaded(t) {
		for _, kind := range []string{"list", "dict", "set", "type"} {
			t.Run(in.Name+"/"+kind, steady(func(t testing.TB) {
				r, truth := recordLocks(t, in, "objects "+kind, "1s")
				// Who uses the object is not timed: it computes, and what other guests of the host take of that is no wait.
				maps.DeleteFunc(truth.Threads, func(_ string, timed []lockTimed) bool { return len(timed) == 0 })
				checkLockWaits(t, r, truth)
				checkLockRows(t, r, truth)
				waited := map[string]int64{}
				for _, row := range r.report.Locks {
					waited[row.Kind] += row.WaitNS
				}
				named := waited[kind]
				delete(waited, kind)
				delete(waited, trace.LockUnknown.String())
				delete(waited, trace.LockInterpreter.String())
				t.Logf("%.3f ms are for a %s, others: %v", ms(named), kind, waited)
				if named < 20e6 || len(waited) > 0 {
					t.Errorf("%.3f ms are for a %s, others: %v", ms(named), kind, waited)
				}
			}))
		}
	}
}
