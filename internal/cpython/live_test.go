package cpython

import (
	"debug/elf"
	"errors"
	"fmt"
	"testing"
	"time"

	"gilscope/internal/testpy"
)

// waiter ends when its stdin is closed.
const waiter = `
import sys, threading
go = threading.Event()
names = ["alpha", "b\u00e9ta", "\u65e5\u672c"]
started = []
def body():
    started.append(threading.get_ident())
    go.wait()
threads = [threading.Thread(target=body, name=n, daemon=n != "alpha") for n in names]
for t in threads: t.start()
while len(started) < len(threads): pass
print("ready")
print(sys.getswitchinterval())
for t in threading.enumerate(): print(t.ident, getattr(t, "native_id", 0), t.name.encode("utf-8").hex(), str(t.daemon).lower())
print("end")
sys.stdin.read()
go.set()
`

// each runs a test for every interpreter of the machine that has a GIL.
func each(t *testing.T, test func(t *testing.T, i testpy.Interpreter)) {
	for _, i := range testpy.All(t) {
		t.Run(i.Name, func(t *testing.T) { test(t, i) })
	}
}

// eachBuild runs a test for every one, also without a GIL.
func eachBuild(t *testing.T, test func(t *testing.T, i testpy.Interpreter)) {
	each(t, test)
	for _, i := range testpy.FreeThreaded(t) {
		t.Run(i.Name, func(t *testing.T) { test(t, i) })
	}
}

// open opens the process of a script for the time of the test.
func open(t testing.TB, pid int) *Process {
	t.Helper()
	p, err := Open(pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func TestOpen(t *testing.T) {
	eachBuild(t, func(t *testing.T, i testpy.Interpreter) {
		proc := testpy.Start(t, i, waiter)
		begin := time.Now()
		p := open(t, proc.PID)
		if d := time.Since(begin); d > 60*time.Millisecond {
			t.Errorf("Open took %v", d)
		}
		b := p.Build
		if b.Stripped != i.Stripped || b.Shared != i.Shared || b.FreeThreaded != i.FreeThreaded || b.GILEnabled != i.GIL {
			t.Errorf("build %+v of %+v", b, i)
		}
		if want := i.Shared || i.FreeThreaded; b.PIE != want { // who packs static builds links them at a fixed address
			t.Errorf("position independent: %v, want %v", b.PIE, want)
		}
		if p.Version.String() != i.Version {
			t.Errorf("version %v, want %s", p.Version, i.Version)
		}
		if p.CodeType == 0 || p.PthreadTID != 720 || p.Start == 0 {
			t.Errorf("CodeType %#x, PthreadTID %d, Start %d", p.CodeType, p.PthreadTID, p.Start)
		}
		interps, err := p.Interpreters()
		if err != nil || len(interps) != 1 || interps[0].ID != 0 || interps[0].Interval != 5*time.Millisecond {
			t.Errorf("interpreters %+v, error %v", interps, err)
		}
		checkThreads(t, p, proc)
	})
}

// checkThreads compares the threads and their names with what the script says.
func checkThreads(t *testing.T, p *Process, proc *testpy.Proc) {
	t.Helper()
	proc.Line(t) // the switch interval
	want := map[string]bool{}
	for line := proc.Line(t); line != "end"; line = proc.Line(t) {
		want[line] = true
	}
	states, err := p.ThreadStates()
	if err != nil {
		t.Fatal(err)
	}
	names, err := p.ThreadObjects()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, s := range states {
		is := names[s.Ident]
		if is.Daemon == nil {
			t.Fatalf("it is not known whether thread %q is a daemon", is.Name)
		}
		got[fmt.Sprintf("%d %d %x %v", s.Ident, s.TID, is.Name, *is.Daemon)] = true
	}
	if len(got) != len(want) {
		t.Errorf("threads %v, want %v", got, want)
	}
	for line := range want {
		if !got[line] {
			t.Errorf("no thread %s in %v", line, got)
		}
	}
}

func TestLibcSites(t *testing.T) {
	each(t, func(t *testing.T, i testpy.Interpreter) {
		p := open(t, testpy.Start(t, i, waiter).PID)
		sites, err := p.LibcSites("pthread_cond_signal", "pthread_cond_timedwait", "pthread_cond_wait")
		if err != nil {
			t.Fatal(err)
		}
		for n, s := range sites {
			if s.Cost != Emulated || s.Addr-uint64(s.Skip) != defaultVersion(t, p, s.Name) {
				t.Errorf("site %d %+v, want the default version", n, s)
			}
		}
		if c := p.Libc(); c.Kind != Glibc || c.Version == "" {
			t.Errorf("C library %+v", c)
		}
		if _, err := p.LibcSites("no_such_function"); !errors.Is(err, ErrNoSymbol) {
			t.Errorf("no_such_function: error %v, want ErrNoSymbol", err)
		}
	})
}

// defaultVersion returns the address of libc's name@@VERSION, found with the
// reader of the Go library instead of our own.
func defaultVersion(t *testing.T, p *Process, name string) uint64 {
	t.Helper()
	for _, m := range p.Maps() {
		if !m.Exec || m.Path != p.Libc().Path {
			continue
		}
		f, err := elf.Open(m.Path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		symbols, err := f.DynamicSymbols()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range symbols {
			if s.Name == name && !s.VersionIndex.IsHidden() && s.Section != elf.SHN_UNDEF {
				return m.Start - m.Offset + s.Value // libc's text has equal offset and address
			}
		}
	}
	t.Fatalf("no %s in %q", name, p.Libc().Path)
	return 0
}

// TestCollecting: the flag of the garbage collector is found, and is set while it works.
func TestCollecting(t *testing.T) {
	for _, in := range testpy.All(t) {
		t.Run(in.Name, func(t *testing.T) {
			script := `import gc, sys, threading, time
class Slow:
    def __del__(self): print("collecting", flush=True); sys.stdin.readline()
a = Slow(); a.me = a
print("ready", flush=True)
sys.stdin.readline()
del a
gc.collect()
print("over", flush=True)
sys.stdin.read()`
			child := testpy.Start(t, in, script)
			p, err := Open(child.PID)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			base := p.interp
			if p.Layout.GCInRuntime {
				base = p.Runtime
			}
			want := func(v uint32, when string) {
				t.Helper()
				var b [4]byte
				if err := p.Read(base+uint64(p.Layout.GCCollecting), b[:]); err != nil || le32(b[:], 0) != v {
					t.Errorf("%s: %d, %v; want %d", when, le32(b[:], 0), err, v)
				}
			}
			want(0, "before")
			child.Send(t, "")
			child.Line(t)
			want(1, "while it collects")
			child.Send(t, "")
			child.Line(t)
			want(0, "after")
		})
	}
}

// TestStackOf: the stack of a thread that sleeps, with which functions are coroutines.
func TestStackOf(t *testing.T) {
	for _, in := range testpy.All(t) {
		t.Run(in.Name, func(t *testing.T) {
			script := `import asyncio, sys
async def inner(): sys.stdin.readline()
async def outer(): await inner()
print("ready", flush=True)
asyncio.run(outer())`
			child := testpy.Start(t, in, script)
			p, err := Open(child.PID)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
				states, err := p.ThreadStates()
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, c := range p.StackOf(states[0], map[CodeKey]*Code{}) {
					if c.Coroutine {
						got = append(got, c.Function)
					} else if c.Function == "<module>" {
						got = append(got, "module")
					}
				}
				if len(got) >= 3 && got[0] == "inner" && got[1] == "outer" && got[len(got)-1] == "module" {
					return
				}
				if time.Now().After(end) {
					t.Fatalf("stack %v", got)
				}
			}
		})
	}
}
