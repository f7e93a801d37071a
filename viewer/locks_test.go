package viewer

import (
	"testing"

	"gilscope/analyze"
)

// TestFirstOf: the first wait is told where its thread or its holder is not among those that are
// told anyhow, with the processes of a lock that several share.
func TestFirstOf(t *testing.T) {
	line, tid, pid := int32(7), int32(12), int32(9)
	who := func(name string) analyze.Party {
		return analyze.Party{TID: &tid, Name: name, Site: &analyze.SiteRow{Function: &name, Line: &line}}
	}
	holder := who("b")
	row := analyze.LockRow{Held: true, PIDs: []int32{8, 9}, First: analyze.LockFirst{AfterNS: 5e6, PID: 8, Waiter: who("a"), HolderPID: &pid, Holder: &holder}}
	if got, want := firstOf(&row), "first waited for after 5.00 ms: process 8 a (12): a; then held: process 9 b (12) until b"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	row.Waiters, row.Holders = []analyze.LockWaiter{{Party: who("a")}}, []analyze.LockHolder{{Party: holder}}
	if got := firstOf(&row); got != "" {
		t.Errorf("told twice: %s", got)
	}
}
