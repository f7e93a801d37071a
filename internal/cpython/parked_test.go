package cpython

import (
	"encoding/json"
	"testing"

	"gilscope/internal/testpy"
)

// places prints where types, strings and objects that are no types lie.
const places = `
import json, sys
class Rows(list): pass
class Table(dict): pass
class Meta(type): pass
class Made(metaclass=Meta): pass
class Plain: pass
here, plain = [1], Plain()
name, odd, long = "gilscope_module", "m\u00f6dul", "x" * 500
print("ready", flush=True)
print(json.dumps({"types": {"list": [id(list), id(Rows)], "dict": [id(dict), id(Table)], "set": [id(set), id(frozenset)],
    "type": [id(type), id(Meta)], "object": [id(Plain), id(Made), id(int)]}, "none": [id(here), id(plain), id(name), 0, 8, id(list) + 1, 1 << 46, 1 << 63],
    "names": {name: id(name), odd: id(odd), "": id(long)}}), flush=True)
sys.stdin.read()
`

// TestLockOfType: the type of an object says what its lock is; what is no type says nothing.
func TestLockOfType(t *testing.T) {
	want := map[string]ParkedFor{"list": ParkedList, "dict": ParkedDict, "set": ParkedSet, "type": ParkedType, "object": ParkedObject}
	for _, in := range testpy.FreeThreaded(t) {
		t.Run(in.Name, func(t *testing.T) {
			proc := testpy.Start(t, in, places)
			var at struct {
				Types map[string][]uint64
				None  []uint64
				Names map[string]uint64
			}
			if err := json.Unmarshal([]byte(<-proc.Lines), &at); err != nil {
				t.Fatal(err)
			}
			p := open(t, proc.PID)
			for kind, types := range at.Types {
				for _, class := range types {
					if got := p.LockOfType(class); got != want[kind] {
						t.Errorf("the lock of a %s is of kind %d, not %d", kind, got, want[kind])
					}
				}
			}
			for _, class := range at.None {
				if got := p.LockOfType(class); got != ParkedUnknown {
					t.Errorf("%#x is no type, and its lock of kind %d", class, got)
				}
			}
			for name, addr := range at.Names {
				raw := make([]byte, 160)
				if err := p.Read(addr, raw); err != nil {
					t.Fatal(err)
				}
				if got := p.StrIn(raw); got != name {
					t.Errorf("the str %q is read as %q", name, got)
				}
				for n := range raw {
					p.StrIn(raw[:n]) // cut anywhere, it is no error
				}
			}
			checkInside(t, p)
		})
	}
}

// checkInside asks what lies inside the interpreter.
func checkInside(t *testing.T, p *Process) {
	t.Helper()
	interps := []uint64{0, p.interp}
	gil, err := p.gilOf(p.interp)
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[uint64]ParkedFor{
		gil: ParkedInterpreter, p.interp: ParkedInterpreter, p.interp + uint64(p.objects.interpSize) - 1: ParkedInterpreter, p.Runtime: ParkedInterpreter,
		p.Runtime - 1: ParkedUnknown, 0: ParkedUnknown, ^uint64(0): ParkedUnknown,
		p.interp + 10744 + 4: ParkedStopping, p.Runtime + 10360: ParkedStopping, p.interp + 196152: ParkedType,
	} {
		if got := p.InsideOf(addr, interps); got != want {
			t.Errorf("%#x, %d bytes into the interpreter, is of kind %d, not %d", addr, addr-p.interp, got, want)
		}
	}
}

// TestFunctionSite: a function is found by its whole name, and one that is not there is an error.
func TestFunctionSite(t *testing.T) {
	for _, in := range testpy.FreeThreaded(t) {
		p := open(t, testpy.Start(t, in, waiter).PID)
		if s, err := p.FunctionSite("stop_the_world"); err != nil || s.Name != "stop_the_world" || s.Offset == 0 {
			t.Errorf("%+v, error %v", s, err)
		}
		if s, err := p.FunctionSite("stop_the_worl"); err == nil {
			t.Errorf("found %+v", s)
		}
	}
}
