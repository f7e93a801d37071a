package viewer

import (
	"testing"

	"gilscope/analyze"
)

func TestRuntimeText(t *testing.T) {
	name, file := "drop", "/srv/app.py"
	line := int32(7)
	at := []analyze.LineTime{{Site: &analyze.SiteRow{Function: &name, File: &file, Line: &line}, NS: 30e6}}
	row := analyze.ScalingRow{OnCPUNS: 1e9, RuntimeWork: []analyze.RuntimeWork{
		{Kind: "refcount_merge", OnCPUNS: 30e6, Lines: at}, {Kind: "gc", OnCPUNS: 20e6}, {Kind: "gc", OnCPUNS: 19e6}}}
	want := "The interpreter's own work, by CPU samples, of 1.00 s on CPUs: at least 30.0 ms merging reference counts of objects that another thread " +
		"than their owner gave up (most, 30.0 ms drop (srv/app.py:7)); 20.0 ms collecting garbage."
	if got := runtimeText(&row); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	row.RuntimeWork = row.RuntimeWork[2:]
	if got := runtimeText(&row); got != "" {
		t.Errorf("%q of less than a fiftieth", got)
	}
}
