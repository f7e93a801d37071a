package probes

import "testing"

// TestLagBounds: the bounds of the buckets rise, the narrowest step is an eighth of an
// octave, and they are those that bpf/lag.bpf.c counts by.
func TestLagBounds(t *testing.T) {
	for _, c := range []struct {
		bucket int
		below  int64
	}{{0, 1 << 10}, {1, 1152}, {8, 2048}, {9, 2304}, {8 * 16, 1 << 26}, {lagBuckets - 2, 1 << 36}, {lagBuckets - 1, 0}} {
		if got := LagBelow(c.bucket); got != c.below {
			t.Errorf("bucket %d is below %d, want %d", c.bucket, got, c.below)
		}
	}
	for i := 1; i < lagBuckets-1; i++ {
		if from, to := LagBelow(i-1), LagBelow(i); to <= from || (to-from)*lagParts > from {
			t.Errorf("bucket %d is from %d to %d", i, from, to)
		}
	}
}
