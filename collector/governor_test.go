package collector

import (
	"testing"
	"time"

	"gilscope/internal/trace"
)

// TestWorth: a try that was over at once is made good in the time without probes, one
// that hardly was too dear is not waited for.
func TestWorth(t *testing.T) {
	for _, c := range []struct {
		took time.Duration // until the window's hits were used up
		want time.Duration
	}{
		{0, 50 * removal},
		{time.Millisecond, 50 * removal},      // 1 ms in the probes: all of the time
		{10 * time.Millisecond, 5 * removal},  // a tenth
		{50 * time.Millisecond, 1 * removal},  // the budget
		{100 * time.Millisecond, removal / 2}, // it was not this process that used it up
	} {
		l := level{from: 1000, window: 50 * time.Millisecond}
		if got := l.worth(1000+trace.Time(c.took), 0.02); got < c.want-time.Microsecond || got > c.want+time.Microsecond {
			t.Errorf("after %v: %v, want %v", c.took, got, c.want)
		}
	}
}
