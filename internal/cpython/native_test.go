package cpython

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"gilscope/internal/testpy"
)

// sleeper has its main thread blocked in a C function that is called with the
// GIL held.
const sleeper = `
import ctypes
usleep = ctypes.PyDLL(None).usleep
print("ready")
usleep(30000000)
`

// blockedAt returns stack pointer and pc of a thread that sleeps in a system
// call of the given number, and waits until it does.
func blockedAt(t testing.TB, pid int, nr string) (pc, sp uint64) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", pid))
		if err != nil {
			t.Fatal(err)
		}
		f := strings.Fields(string(b))
		if len(f) == 9 && f[0] == nr {
			fmt.Sscanf(f[7], "0x%x", &sp)
			fmt.Sscanf(f[8], "0x%x", &pc)
			return pc, sp
		}
	}
	t.Fatalf("process %d does not sleep in system call %s", pid, nr)
	return 0, 0
}

// readStack reads the stack from sp to the end of its mapping, at most 64 KiB.
func readStack(t testing.TB, p *Process, sp uint64) []byte {
	t.Helper()
	m, ok := p.mapping(sp)
	if !ok {
		t.Fatalf("no stack at %#x", sp)
	}
	b := make([]byte, min(m.End-sp, 64<<10))
	if err := p.Read(sp, b); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestNativeName(t *testing.T) {
	const clockNanosleep = "230"
	each(t, func(t *testing.T, i testpy.Interpreter) {
		proc := testpy.Start(t, i, sleeper)
		p := open(t, proc.PID)
		pc, sp := blockedAt(t, proc.PID, clockNanosleep)
		stack := readStack(t, p, sp)
		leaf, name := p.Symbolize(pc), p.NativeName(pc, sp, stack)
		if name.Function != "usleep" || !strings.Contains(name.Module, "libc") || !name.Exported {
			t.Errorf("native name %+v, want usleep of libc", name)
		}
		chain := []string{leaf.Function}
		for _, ret := range p.Callers(pc, sp, stack) {
			s := p.Symbolize(ret - 1)
			chain = append(chain, s.Function)
		}
		t.Log(chain)
		// From glibc 2.41 on the system call is in a local function, which has no name.
		if at := slices.Index(chain, "clock_nanosleep"); len(chain) < 9 || at < 0 || at > 2 || at > 0 && chain[0] != "" && !strings.Contains(chain[0], "syscall") {
			t.Errorf("stack %q, want clock_nanosleep at its leaf", chain)
		}
		begin := time.Now()
		for range 100 {
			p.NativeName(pc, sp, stack)
		}
		t.Logf("NativeName takes %v", time.Since(begin)/100)
	})
}
