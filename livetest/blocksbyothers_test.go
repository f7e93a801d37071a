package livetest

import (
	"slices"
	"testing"

	"gilscope/internal/testpy"
)

// TestBlocksByOthers: a late name server, a late and a locked database, and a CPU that another process has.
func TestBlocksByOthers(t *testing.T) {
	packages := testpy.Need(t, "pyenv-3.12")
	packages.Env = append(slices.Clone(packages.Env), "PYTHONPATH="+testpy.AsyncServers(t))
	for _, in := range append(testpy.Some(t, "pyenv-3.9", "debian-3.15"), packages) {
		t.Run(in.Name, steady(func(t testing.TB) {
			l := recordLoop(t, in, "outside", "2500ms")
			l.checkBlocks(t)
			causes := map[string]bool{}
			for _, b := range l.loop.Blocks {
				causes[b.Cause] = true
			}
			for _, want := range []string{"dns", "sleep", "runqueue"} {
				if !causes[want] {
					t.Errorf("no block of cause %s was recorded", want)
				}
			}
		}))
	}
}
