package livetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"gilscope/analyze"
	"gilscope/internal/testpy"
)

// TestSharedObject: threads that share one object without a GIL slow each other down and wait for
// nothing. scale says by how much, and the line; a recording says what may be so. Threads
// with an object of their own do not.
func TestSharedObject(t *testing.T) {
	in := testpy.One(t, "freethreaded-3.13")
	for kind, least := range map[string]float64{"shared": 0.5, "own": -1} {
		t.Run(kind, steady(func(t testing.TB) {
			r := scale(t, nil, "--rounds", "3", "--threads", "1,2", "--gil", "keep", "--record", "--", in.Path, scalingScript(t, "shared.py"), kind, "12000000", "{n}")
			needCPUs(t, r)
			logSteps(t, r)
			two := r.Series[0].Steps[1]
			if two.CPUGrowthNS == nil || two.CPUGrowth == nil {
				t.Fatalf("%+v", two)
			}
			grew := float64(*two.CPUGrowthNS) / float64(r.Series[0].Steps[0].CPUNS)
			if grew < least || least < 0 && grew > 0.25 {
				t.Errorf("%s: two threads took %.2f times more CPU time", kind, grew)
			}
			if least > 0 && (len(two.CPUGrowth) == 0 || !at(two.CPUGrowth[0].Site, "shared.py", "read")) {
				t.Errorf("it grew at %+v", two.CPUGrowth)
			}
			if waited := limit(two, analyze.LimitLock, "") + limit(two, analyze.LimitGIL, ""); waited*20 > two.CPUNS {
				t.Errorf("%d ns waited for locks in %d ns of CPU time", waited, two.CPUNS)
			}
		}))
	}
	t.Run("report", steady(func(t testing.TB) {
		path := filepath.Join(t.TempDir(), "t.pftrace")
		run(t, []string{"record", "-o", path, "--", in.Path, scalingScript(t, "shared.py"), "shared", "12000000", "2"},
			func(cmd *exec.Cmd) { cmd.Env = append(os.Environ(), in.Env...) }).wants(t, 0)
		run(t, []string{"report", path}).wants(t, 0, "On-CPU time that may not scale", "read (scaling/shared.py:", "gilscope scale")
		s := analyze.Analyze(readTrace(t, path)).Scaling.Together
		if s == nil || s.LockWaitNS*20 > s.OnCPUNS || len(s.Lines) == 0 || !at(s.Lines[0].Site, "shared.py", "read") || s.Lines[0].NS*10 < s.OnCPUNS*8 {
			t.Errorf("%+v", s)
		}
	}))
}
