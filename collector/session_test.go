package collector

import (
	"slices"
	"testing"

	"gilscope/internal/cpython"
)

// TestParentsFirst: a worker whose pid is below its parent's, as after the pids began anew, comes after it.
func TestParentsFirst(t *testing.T) {
	targets := []*cpython.Process{{PID: 301, Start: 5000}, {PID: 302, Start: 5000}, {PID: 32762, Start: 4900}, {PID: 32764, Start: 5000}}
	parentsFirst(targets)
	var got []int
	for _, p := range targets {
		got = append(got, p.PID)
	}
	if want := []int{32762, 301, 302, 32764}; !slices.Equal(got, want) {
		t.Errorf("attached in the order %v, want %v", got, want)
	}
}
