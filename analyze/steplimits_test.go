package analyze

import (
	"slices"
	"testing"
)

func siteRow(function string, line int32) *SiteRow {
	return &SiteRow{Function: &function, Line: &line}
}

// TestStepLimits: the kinds are sums over all threads, the largest first, each
// followed by its largest lines; the rest of what was blocked is told apart.
func TestStepLimits(t *testing.T) {
	ms := func(n int64) *int64 { n *= 1e6; return &n }
	party := func(s *SiteRow) Party { return Party{Site: s} }
	r := &Report{
		Threads: []ThreadRow{
			{RunnableNS: ms(5), BlockedNS: ms(600), OnCPUNS: ms(1)},
			{RunnableNS: ms(7), BlockedNS: ms(400), OnCPUNS: ms(1)},
			{}, // no scheduling was recorded of it
		},
		GIL: []GILRow{{Blame: []Blame{
			{Holder: party(siteRow("hog", 3)), WaitNS: 200e6}, {Holder: party(siteRow("other", 4)), WaitNS: 50e6},
			{Holder: party(siteRow("hog", 3)), WaitNS: 100e6}, {WaitNS: 10e6}, // handing over: no line
		}}, {Blame: []Blame{{Holder: party(siteRow("a", 1)), WaitNS: 5e6}, {Holder: party(siteRow("b", 1)), WaitNS: 4e6}}}},
		Locks: []LockRow{
			{Held: true, Waiters: []LockWaiter{{Party: party(siteRow("put", 9)), WaitNS: 100e6}}},
			{Held: false, Waiters: []LockWaiter{{Party: party(siteRow("join", 2)), WaitNS: 500e6}}},
		},
	}
	want := []struct {
		kind, function string
		ns             int64
	}{
		{LimitOthers, "", 500e6}, {LimitOthers, "join", 500e6},
		{LimitGIL, "", 369e6}, {LimitGIL, "hog", 300e6}, {LimitGIL, "other", 50e6}, {LimitGIL, "a", 5e6},
		{LimitLock, "", 100e6}, {LimitLock, "put", 100e6},
		{LimitBlocked, "", 31e6}, {LimitRunnable, "", 12e6},
	}
	// 10 ms of what was ready were parts of those waits, so of the blocked time as much was not.
	r.Threads[0].RunnableNS = ms(15)
	r.Threads[1].BlockedNS = ms(390)
	r.Scaling = &Scaling{ScalingRow: ScalingRow{readyForGIL: 4e6}, Others: []ScalingRow{{readyForGIL: 6e6}}}
	got := StepLimits(r)
	if len(got) != len(want) {
		t.Fatalf("%d limits, want %d: %+v", len(got), len(want), got)
	}
	for i, w := range want {
		function := ""
		if got[i].Site != nil {
			function = *got[i].Site.Function
		}
		if got[i].Kind != w.kind || function != w.function || got[i].WaitNS != w.ns {
			t.Errorf("%d: %s %q %d, want %+v", i, got[i].Kind, function, got[i].WaitNS, w)
		}
	}
	if empty := StepLimits(newReport()); empty == nil || !slices.Equal(empty, []StepLimit{}) {
		t.Errorf("of an empty report: %v", empty)
	}
}
