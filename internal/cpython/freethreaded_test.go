package cpython

import (
	"encoding/binary"
	"fmt"
	"os"
	"testing"

	"gilscope/internal/testpy"
)

// TestGILEnabled follows the GIL of a free-threaded build while it comes and
// goes. Every other build always has it.
func TestGILEnabled(t *testing.T) {
	eachBuild(t, func(t *testing.T, i testpy.Interpreter) {
		p := open(t, testpy.Start(t, i, waiter).PID)
		expect := func(want bool) {
			t.Helper()
			if got, err := p.GILEnabled(); err != nil || got != want {
				t.Errorf("GIL enabled %v, error %v; want %v", got, err, want)
			}
		}
		expect(i.GIL)
		if !i.FreeThreaded {
			return
		}
		// All its threads wait, so nobody misses what we take and give.
		gil, err := p.gilOf(p.interp)
		if err != nil {
			t.Fatal(err)
		}
		before := make([]byte, 4)
		if err := p.Read(gil, before); err != nil {
			t.Fatal(err)
		}
		for _, enabled := range []int32{0x7fffffff, 0, 1, 0} { // for good, off, while a module is imported, off
			pokeInt(t, p.PID, gil, uint32(enabled))
			expect(enabled != 0)
		}
		pokeInt(t, p.PID, gil, binary.LittleEndian.Uint32(before))
		expect(i.GIL)
	})
}

// pokeInt writes an int into a process.
func pokeInt(t *testing.T, pid int, addr uint64, v uint32) {
	t.Helper()
	mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	if _, err := mem.WriteAt(binary.LittleEndian.AppendUint32(nil, v), int64(addr)); err != nil {
		t.Fatal(err)
	}
}

// busy calls and returns without a pause in several threads, and starts and
// ends others.
const busy = `
import sys, threading
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
def leaf(a, b=2, *c, d=4, **e):
    x = [a, b, c, d, e]
    return sorted(x[:2], key=lambda v: -v)
def deep(n):
    return deep(n - 1) if n else leaf(1)
def work(f, *args):
    while not stop: f(*args)
def churn():
    t = threading.Thread(target=leaf, args=(1,))
    t.start()
    t.join()
stop = []
threads = [threading.Thread(target=work, args=a) for a in ((fib, 12), (deep, 40), (leaf, 3), (churn,))]
for t in threads: t.start()
print("ready")
sys.stdin.read()
stop.append(1)
`

// TestOpenBusy opens processes whose frames change all the time: none may be
// taken for one with an unknown layout.
func TestOpenBusy(t *testing.T) {
	eachBuild(t, func(t *testing.T, i testpy.Interpreter) {
		proc := testpy.Start(t, i, busy)
		for range 30 {
			if err := reopen(proc.PID); err != nil {
				t.Fatal(err)
			}
		}
	})
}
