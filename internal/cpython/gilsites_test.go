package cpython

import (
	"errors"
	"strings"
	"testing"

	"gilscope/internal/testpy"
)

func TestGILSites(t *testing.T) {
	each(t, func(t *testing.T, i testpy.Interpreter) {
		p := open(t, testpy.Start(t, i, waiter).PID)
		take, drop, complete, err := p.GILSites()
		if c, _ := p.runtimeModule(); !c.mod.named() {
			if !errors.Is(err, ErrNoSymbol) {
				t.Errorf("without symbols: take %+v, error %v", take, err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		wantTake := 1
		if i.Minor == 8 {
			wantTake = 2
		}
		// drop_gil is inlined in PyEval_ReleaseLock of 3.13.0 and in many functions
		// of Debian's; other users of condition variables are in the standalone ones.
		wantComplete := !strings.HasPrefix(i.Name, "debian") && !strings.HasPrefix(i.Name, "standalone") && i.Minor < 13
		if len(take) != wantTake || len(drop) == 0 || complete != wantComplete {
			t.Errorf("take %+v, drop %+v, complete %v", take, drop, complete)
		}
		for _, s := range append(take, drop...) {
			if s.Cost != Emulated || s.TStateArg == 0 || s.Offset == 0 || s.Call {
				t.Errorf("site %+v", s)
			}
		}
	})
}
