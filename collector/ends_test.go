package collector

import (
	"testing"
	"time"
)

// An end is without a record only once the ring was read that had to hold it,
// however long ago it was: on an emulated machine the reader came a second late.
func TestOverdue(t *testing.T) {
	ended := time.Now().Add(-time.Hour)
	for _, c := range []struct {
		name    string
		emptied time.Time
		want    bool
	}{
		{"nothing was read yet", time.Time{}, false},
		{"read before the end only", ended.Add(-time.Second), false},
		{"the record may have been on its way", ended.Add(reapAfter / 2), false},
		{"read after it", ended.Add(reapAfter), true},
	} {
		if got := overdue(ended, c.emptied); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
