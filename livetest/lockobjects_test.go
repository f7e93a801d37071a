package livetest

import (
	"testing"

	"gilscope/internal/testpy"
)

// TestObjectLocks: without a GIL, threads that use one list, dict, set or type wait for
// each other. How long is what they timed, and for what is said of all that counts.
func TestObjectLocks(t *testing.T) {
	for _, in := range testpy.FreeThreaded(t) {
		for _, kind := range []string{"list", "dict", "set", "type"} {
			t.Run(in.Name+"/"+kind, steady(func(t testing.TB) {
				r, truth := recordLocks(t, in, "objects "+kind, "1s")
				checkLockWaits(t, r, truth)
				checkLockRows(t, r, truth)
				var named, all int64
				for _, row := range r.report.Locks {
					all += row.WaitNS
					if row.Kind == kind {
						named += row.WaitNS
					}
				}
				t.Logf("of %.3f ms waited, %.3f ms are for a %s", ms(all), ms(named), kind)
				if all < 20e6 || float64(named) < 0.9*float64(all) {
					t.Errorf("of %.3f ms waited, %.3f ms are for a %s", ms(all), ms(named), kind)
				}
			}))
		}
	}
}
