package cpython

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"gilscope/internal/testpy"
)

// dropper has one thread that drops the GIL again and again, in the way argv
// says, and another that takes it each time but slowly: it may only use what a
// busy process leaves of one processor. So the first thread spends much time
// inside drop_gil, waiting for the other to take.
//
// "forced": it never drops by its own wish. "voluntary": it holds the GIL for
// long inside C code, so that a drop request is pending, and then sleeps.
const dropper = `
import os, subprocess, sys, threading, time
from itertools import chain
from collections import deque
def forced():
    x = 0
    while True: x += 1
def voluntary():
    while True: deque(chain(range(2000000), map(time.sleep, [0])), maxlen=0)
def slow():
    os.sched_setaffinity(0, {0})
    os.nice(4)
    forced()
hog = "import os, sys, threading; os.sched_setaffinity(0, {0}); threading.Thread(target=sys.stdin.read).start()\nwhile threading.active_count() > 1: pass"
subprocess.Popen([sys.executable, "-c", hog], stdin=subprocess.PIPE)
threads = [threading.Thread(target=f, daemon=True) for f in (globals()[sys.argv[1]], slow)]
for t in threads: t.start()
print("ready")
print(threads[0].ident)
sys.stdin.read()
os._exit(0)
`

// dropCounts counts the verdicts on one thread.
type dropCounts struct{ forced, voluntary, unknown int }

// TestForcedDrop catches a thread inside drop_gil, where it waits for the next
// taker, and judges its stack.
func TestForcedDrop(t *testing.T) {
	each(t, func(t *testing.T, i testpy.Interpreter) {
		if n := watchDrops(t, i, "forced"); n.forced < 3 || n.voluntary+n.unknown > 0 {
			t.Errorf("thread that is forced to drop: %+v", n)
		}
		// Between two rounds the eval loop may be asked to drop as well.
		if n := watchDrops(t, i, "voluntary"); n.voluntary < 3 || n.forced > n.voluntary || n.unknown > 0 {
			t.Errorf("thread that drops by its own wish: %+v", n)
		}
	})
}

// watchDrops runs dropper and counts the verdicts until there are enough.
func watchDrops(t *testing.T, i testpy.Interpreter, kind string) (n dropCounts) {
	t.Helper()
	proc := testpy.Start(t, i, dropper, kind)
	defer proc.Stop()
	p := open(t, proc.PID)
	var ident [1]uint64
	fmt.Sscan(proc.Line(t), &ident[0])
	tids := threadIDs(t, p, ident[:])
	interps, err := p.Interpreters()
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	for n.forced+n.voluntary+n.unknown < 4 {
		if time.Since(begin) > 90*time.Second {
			t.Fatalf("%s: in 90 s only %+v", kind, n)
		}
		judge(p, tids[0], interps[0].GIL, &n)
	}
	t.Logf("%s: %+v in %v", kind, n, time.Since(begin).Round(time.Millisecond))
	return n
}

// threadIDs returns the kernel's ids of the threads with the given idents.
func threadIDs(t *testing.T, p *Process, idents []uint64) []int32 {
	t.Helper()
	states, err := p.ThreadStates()
	if err != nil {
		t.Fatal(err)
	}
	tids := make([]int32, len(idents))
	for _, s := range states {
		for n, ident := range idents {
			if s.Ident == ident {
				tids[n] = s.TID
			}
		}
	}
	return tids
}

// judge counts the verdict on a thread, if it waits on gil->switch_cond now and
// still does after its stack was read.
func judge(p *Process, tid int32, gil uint64, c *dropCounts) {
	before := systemCall(p.PID, tid)
	if len(before) != 9 || before[0] != "202" { // futex
		return
	}
	var word, op, sp, pc uint64
	fmt.Sscanf(strings.Join(append(before[1:3:3], before[7:]...), " "), "0x%x 0x%x 0x%x 0x%x", &word, &op, &sp, &pc)
	wait := op&0x7f == 0 || op&0x7f == 9          // FUTEX_WAIT, FUTEX_WAIT_BITSET
	cond := gil + 120 + uint64(p.Layout.GILShift) // gil->switch_cond
	if !wait || word < cond || word >= cond+48 {
		return
	}
	stack := make([]byte, 4096)
	if p.Read(sp, stack) != nil || strings.Join(systemCall(p.PID, tid), " ") != strings.Join(before, " ") {
		return
	}
	for _, f := range p.unwind(registers{pc: pc, sp: sp}, stack, nil) {
		if m, ok := p.mapping(f.pc); !ok || m.Path != p.Build.Path {
			continue
		}
		switch forced, known := p.ForcedDrop(f.pc, f.sp, stack[f.sp-sp:]); {
		case !known:
			c.unknown++
		case forced:
			c.forced++
		default:
			c.voluntary++
		}
		return
	}
	c.unknown++
}

// systemCall returns the fields of /proc/PID/task/TID/syscall.
func systemCall(pid int, tid int32) []string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/syscall", pid, tid))
	return strings.Fields(string(b))
}
