package livetest

import (
	"testing"

	"gilscope/internal/testpy"
)

// TestWaits records, without a probe, programs of every kind on several
// interpreters.
func TestWaits(t *testing.T) {
	for _, program := range []string{"convoy", "native_hold", "c_calls", "cpu_threads", "mix", "churn", "many_threads"} {
		for _, version := range []string{"3.8", "3.11", "3.13"} {
			t.Run(program+"/"+version, func(t *testing.T) {
				r := recordTruth(t, testpy.Need(t, version), program, "2s")
				checkWaits(t, r, 0.02)
				checkBlame(t, r)
			})
		}
	}
}
