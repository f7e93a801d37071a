package cpython

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"gilscope/internal/testpy"
)

// coder prints, for many code objects, what CPython itself says about them:
// address, name, file, first line, and the line of each code unit.
const coder = `
import sys, ctypes, types
import threading, argparse, json.decoder, asyncio, decimal, dataclasses, inspect, tarfile
line_of = ctypes.pythonapi.PyCode_Addr2Line
line_of.argtypes = [ctypes.py_object, ctypes.c_int]
odd = compile("\n" * 70000 + "def \u00e4\u65e5():\n" + "\n" * 400 + "  return (1 +\n" + "\n" * 3000 + "x)\n", "d\u00e4\ud800r/\U0001f40d.py", "exec")
keep, todo = [], [odd, compile("try:\n  a()\nfinally:\n  b()\nwith c as d:\n  pass\n", "short.py", "exec")]
for m in (threading, argparse, json.decoder, asyncio.base_events, dataclasses, inspect, tarfile):
    for v in list(vars(m).values()):
        for f in (list(vars(v).values()) if isinstance(v, type) else [v]):
            if isinstance(f, types.FunctionType): todo.append(f.__code__)
while todo:
    c = todo.pop()
    keep.append(c)
    todo += [k for k in c.co_consts if isinstance(k, types.CodeType)]
keep = list({id(c): c for c in keep}.values())
hexed = lambda s: s.encode("utf-8", "replace_surrogates").hex()
import codecs
codecs.register_error("replace_surrogates", lambda e: ("\ufffd".encode() * (e.end - e.start), e.end))
print("ready")
for c in keep:
    lines = [line_of(c, i) for i in range(0, len(c.co_code), 2)]
    name = getattr(c, "co_qualname", c.co_name)
    print(id(c), hexed(name), hexed(c.co_filename), c.co_firstlineno, ",".join(map(str, lines)))
print("end")
sys.stdin.read()
`

// keyAt builds the key of the code object at addr as the probe does.
func keyAt(t testing.TB, p *Process, addr uint64) CodeKey {
	t.Helper()
	l := &p.Layout
	b := make([]byte, 256)
	if err := p.Read(addr, b); err != nil {
		t.Fatal(err)
	}
	name := l.CodeName
	if l.CodeQualname != None {
		name = l.CodeQualname
	}
	return CodeKey{addr, CodeIdent(le32(b, l.CodeFirstLine), le64(b, l.CodeFilename), le64(b, name), le64(b, l.CodeLineTable))}
}

func TestCodeLines(t *testing.T) {
	eachBuild(t, func(t *testing.T, i testpy.Interpreter) {
		proc := testpy.Start(t, i, coder)
		p := open(t, proc.PID)
		objects, units := 0, 0
		var spent time.Duration
		for line := proc.Line(t); line != "end"; line = proc.Line(t) {
			f := strings.Split(line, " ")
			addr, _ := strconv.ParseUint(f[0], 10, 64)
			key := keyAt(t, p, addr)
			begin := time.Now()
			c, err := p.Code(key)
			spent += time.Since(begin)
			if err != nil {
				t.Fatal(err)
			}
			objects++
			units += compareCode(t, c, f)
		}
		if objects < 300 || units < 20000 {
			t.Errorf("compared only %d code objects, %d instructions", objects, units)
		}
		t.Logf("%d code objects, %d instructions, %v per Code", objects, units, spent/time.Duration(objects))
	})
}

// compareCode compares c with a line of coder and returns the instructions compared.
func compareCode(t *testing.T, c *Code, f []string) int {
	t.Helper()
	if name, file := fmt.Sprintf("%x", c.Function), fmt.Sprintf("%x", c.File); name != f[1] || file != f[2] || strconv.Itoa(c.FirstLine) != f[3] {
		t.Errorf("%s in %s line %d, want %v", c.Function, c.File, c.FirstLine, f[1:4])
	}
	if c.Line(-2) != c.FirstLine {
		t.Errorf("line before the first instruction is %d, want %d", c.Line(-2), c.FirstLine)
	}
	lines := strings.Split(f[4], ",")
	for i, want := range lines {
		got := strconv.Itoa(c.Line(int32(2 * i)))
		if want == "-1" {
			want = "0"
		}
		if got != want {
			t.Fatalf("%s (%s) instruction %d: line %s, want %s", c.Function, c.File, i, got, want)
		}
	}
	return len(lines)
}

func TestCodeStale(t *testing.T) {
	proc := testpy.Start(t, testpy.One(t, "3.12"), coder)
	p := open(t, proc.PID)
	addr, _ := strconv.ParseUint(strings.Split(proc.Line(t), " ")[0], 10, 64)
	key := keyAt(t, p, addr)
	for _, bad := range []CodeKey{{key.Addr, key.Ident + 1}, {key.Addr + 16, key.Ident}, {p.interp, key.Ident}} {
		if _, err := p.Code(bad); !errors.Is(err, ErrStale) {
			t.Errorf("Code(%+v): error %v, want ErrStale", bad, err)
		}
	}
	if _, err := p.Code(CodeKey{Addr: 8}); !errors.Is(err, ErrUnmapped) {
		t.Errorf("Code at address 8: error %v, want ErrUnmapped", err)
	}
	proc.Kill()
	if _, err := p.Code(key); !errors.Is(err, ErrGone) {
		t.Errorf("Code of an ended process: error %v, want ErrGone", err)
	}
}
