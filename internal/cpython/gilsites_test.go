package cpython

import (
	"testing"

	"gilscope/internal/testpy"
)

func TestGILSites(t *testing.T) {
	// Where drop_gil is inlined elsewhere too: SaveThread (3.10.16, Debian),
	// PyEval_ReleaseLock (3.13.0). Stripped files have no drop sites at all.
	incomplete := map[string]bool{"pyenv-3.13.0": true, "debian-3.11.2": true, "standalone-3.10.16": true, "standalone-3.14.6": true}
	each(t, func(t *testing.T, i testpy.Interpreter) {
		p := open(t, testpy.Start(t, i, waiter).PID)
		take, drop, complete, err := p.GILSites()
		if err != nil {
			t.Fatal(err)
		}
		wantTake, wantDrop := 1, 1
		if i.Minor == 8 {
			wantTake = 2
		}
		if p.Build.Stripped {
			wantDrop = 0
		}
		if len(take) != wantTake || len(drop) != wantDrop || complete == incomplete[i.Name] {
			t.Errorf("take %+v, drop %+v, complete %v", take, drop, complete)
		}
		for _, s := range append(take, drop...) {
			if s.Cost != Emulated || s.TStateArg == 0 || s.Offset == 0 {
				t.Errorf("site %+v", s)
			}
		}
	})
}
