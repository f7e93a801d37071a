package cpython

import (
	"testing"
	"time"

	"gilscope/internal/testpy"
)

func TestGILSites(t *testing.T) {
	each(t, func(t *testing.T, i testpy.Interpreter) {
		p := open(t, testpy.Start(t, i, waiter).PID)
		begin := time.Now()
		take, drop, complete, err := p.GILSites()
		t.Logf("took %v, complete %v", time.Since(begin), complete)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range append(take, drop...) {
			t.Logf("%s at %#x %s %v skip %d arg %d", s.Name, s.Offset, s.Insn, s.Cost, s.Skip, s.TStateArg)
		}
	})
}
