package cpython

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"gilscope/internal/testpy"
)

// pretender writes to its own _Py_DebugOffsets: for each line of its stdin, a
// word of the table and a value.
const pretender = `
import ctypes, sys, threading
table = (ctypes.c_uint64 * 111).in_dll(ctypes.pythonapi, "_PyRuntime")
def pretend(word, value): table[word] = value
class Reader:
    def lines(self):
        for line in sys.stdin:
            yield line
def body():
    print("ready")
    for line in Reader().lines():
        pretend(*map(int, line.split()))
        print("done")
end = threading.Event()
for n in range(2): threading.Thread(target=end.wait, daemon=True).start()
body()
`

// tabled runs a test for every build with a _Py_DebugOffsets.
func tabled(t *testing.T, test func(t *testing.T, i testpy.Interpreter)) {
	eachBuild(t, func(t *testing.T, i testpy.Interpreter) {
		if i.Minor >= 13 {
			test(t, i)
		}
	})
}

// TestNewerMinor opens builds that say they are 3.16. One whose table has the
// newest form that is known is read; the others are refused, not misread.
func TestNewerMinor(t *testing.T) {
	tabled(t, func(t *testing.T, i testpy.Interpreter) {
		script := strings.Replace(waiter, "import sys, threading", `import ctypes, sys, threading
ctypes.c_uint64.from_address(ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, "_PyRuntime")) + 8).value = 0x031000f0`, 1)
		proc := testpy.Start(t, i, script)
		p, err := Open(proc.PID)
		if i.Minor < 15 {
			if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "has not the form") {
				t.Errorf("a 3.%d that says it is 3.16: error %v, want ErrUnsupported by its table", i.Minor, err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if p.Version != MakeVersion(3, 16, 0) {
			t.Errorf("version %v", p.Version)
		}
		checkThreads(t, p, proc)
	})
}

// wrongOffsets are errors in a table that a live process gives away, as the
// difference to the true value. What is beside a field can be of the same kind
// (a name beside a qualified name), which nothing can tell.
var wrongOffsets = map[string][]int{
	"runtime_state.interpreters_head":     {-8, 8, 16},
	"interpreter_state.threads_head":      {-8, 8, 16},
	"interpreter_state.ceval_gil":         {-8, 8, 16},
	"thread_state.interp":                 {-8, 8},
	"thread_state.current_frame":          {-8, 8, 16}, // no frames, so no proof
	"thread_state.native_thread_id":       {-8, 8, 16},
	"interpreter_frame.previous":          {-8, 8, 16},
	"interpreter_frame.executable":        {8, 16},
	"interpreter_frame.instr_ptr":         {-8, 8},
	"interpreter_frame.owner":             {16},
	"code_object.filename":                {-8, 32},
	"code_object.qualname":                {8, 16},
	"code_object.linetable":               {-8, 8, 16},
	"pyobject.ob_type":                    {-8, 8},
	"unicode_object.length":               {-8, 8, 16},
	"unicode_object.state":                {-8, 8},
	"unicode_object.asciiobject_size":     {64},
	"bytes_object.ob_size":                {-8, 8},
	"interpreter_state.gil_runtime_state": {-8, 8},
}

// TestWrongOffsets changes one offset after the other in the table of a live
// process: Open must refuse each, and take the true one again. In versions that
// are known, no thread with frames is no reason to refuse, so the process says
// it is newer where its table has the newest form.
func TestWrongOffsets(t *testing.T) {
	for _, i := range append(testpy.Some(t, "3.13", "3.14", "debian-3.15"), testpy.FreeThreaded(t)...) {
		if i.Minor >= 13 {
			t.Run(i.Name, func(t *testing.T) { wrongOffsetsIn(t, i) })
		}
	}
}

func wrongOffsetsIn(t *testing.T, i testpy.Interpreter) {
	proc := testpy.Start(t, i, pretender)
	p := open(t, proc.PID)
	table, err := p.readDebugOffsets()
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, v uint64) {
		proc.Send(t, fmt.Sprint(table.shape.pos[name], " ", v))
		if line := proc.Line(t); line != "done" {
			t.Fatalf("the script printed %q", line)
		}
	}
	newest := table.shape == shape315
	if newest {
		write("header.version", uint64(MakeVersion(3, 16, 0)))
	}
	for name, errs := range wrongOffsets {
		honest := table.value(name)
		for _, by := range errs {
			if !newest && (name == "thread_state.native_thread_id" || name == "thread_state.current_frame" && by > 0) {
				continue
			}
			write(name, uint64(int64(honest)+int64(by)))
			if err := reopen(proc.PID); !errors.Is(err, ErrUnsupported) && !errors.Is(err, ErrNotReady) {
				t.Errorf("%s %+d: error %v, want ErrUnsupported", name, by, err)
			}
		}
		write(name, honest)
	}
	if err := reopen(proc.PID); err != nil {
		t.Errorf("the true table: %v", err)
	}
}

func reopen(pid int) error {
	p, err := Open(pid)
	if err == nil {
		p.Close()
	}
	return err
}

// TestNewerMinorCode compares code objects of a build that says it is 3.16.
func TestNewerMinorCode(t *testing.T) {
	proc := testpy.Start(t, testpy.One(t, "debian-3.15"), coder)
	p := open(t, proc.PID)
	if p.Version.Minor() == 15 {
		p.Version = MakeVersion(3, 16, 0)
	}
	for range 50 {
		f := strings.Split(proc.Line(t), " ")
		addr, _ := strconv.ParseUint(f[0], 10, 64)
		c, err := p.Code(keyAt(t, p, addr))
		if err != nil {
			t.Fatal(err)
		}
		compareCode(t, c, f)
	}
}
