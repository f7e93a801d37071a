package cpython

import (
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"gilscope/internal/testpy"
)

const mixed = `
import sys, threading, time, os, tempfile, _thread, zlib
def cpu():
    x = 0
    while True: x += 1
def io():
    f = open("/dev/null", "wb", buffering=0)
    data = b"x" * 100000
    while True:
        time.sleep(0.001); os.stat("/tmp"); os.listdir("/"); f.write(b"x"); open("/etc/hostname").read(); list(os.scandir("/")); zlib.crc32(data)
threads = [threading.Thread(target=f, daemon=True) for f in (cpu, cpu, io)]
for t in threads: t.start()
print("ready")
print(threads[0].ident, threads[1].ident, threads[2].ident)
sys.stdin.read()
`

func TestDbg(t *testing.T) {
	each(t, func(t *testing.T, i testpy.Interpreter) {
		proc := testpy.Start(t, i, mixed)
		p := open(t, proc.PID)
		sites, _ := p.LibcSites("pthread_cond_signal")
		in, _ := p.Interpreters()
		script := fmt.Sprintf(`
import gdb
gdb.execute("set pagination off")
out = open("/tmp/h2w/hits.txt", "w")
class B(gdb.Breakpoint):
    n = 0
    def stop(self):
        r = lambda n: int(gdb.parse_and_eval("(unsigned long)$" + n)) & (2**64-1)
        if r("rdi") == %d:
            sp = r("rsp")
            inf = gdb.selected_inferior()
            try: mem = bytes(inf.read_memory(sp, 6000))
            except gdb.MemoryError: mem = bytes(inf.read_memory(sp, 1500))
            out.write("%%d %%x %%s\n" %% (gdb.selected_thread().ptid[1], sp, mem.hex()))
            B.n += 1
            if B.n >= 300: return True
        return False
B("*%#x")
gdb.execute("continue")
out.close()
gdb.execute("delete")
gdb.execute("detach")
`, in[0].GIL+32, sites[0].Addr)
		os.WriteFile("/tmp/h2w/s.py", []byte(script), 0o644)
		o, err := exec.Command("timeout", "60", "gdb", "-nx", "-batch", "-iex", "set auto-load off", "-iex", "set debuginfod enabled off", "-p", fmt.Sprint(proc.PID), "-x", "/tmp/h2w/s.py").CombinedOutput()
		if err != nil {
			t.Fatal(err, string(o[max(0, len(o)-500):]))
		}
		states, _ := p.ThreadStates()
		names := map[int]int{}
		f := strings.Fields(proc.Line(t))
		for _, s := range states {
			for k, id := range f {
				if fmt.Sprint(s.Ident) == id {
					names[int(s.TID)] = k + 1
				}
			}
		}
		raw, _ := os.ReadFile("/tmp/h2w/hits.txt")
		count := map[string]int{}
		chains := map[string]int{}
		for _, line := range strings.Split(strings.TrimSpace(string(raw)), "\n") {
			var tid int
			var sp uint64
			var h string
			fmt.Sscanf(line, "%d %x %s", &tid, &sp, &h)
			mem, _ := hex.DecodeString(h)
			pc := le64(mem, 0)
			forced, known := p.ForcedDrop(pc, sp+8, mem[8:])
			kind := "cpu"
			if names[tid] == 3 {
				kind = "io"
			} else if names[tid] == 0 {
				kind = "main"
			}
			count[fmt.Sprintf("%s forced=%v known=%v", kind, forced, known)]++
			ch := p.Symbolize(pc-1).Function
			for n, r := range p.unwind(registers{pc: pc, sp: sp + 8, isReturn: true}, mem[8:], nil) {
				if n < 4 {
					s := p.Symbolize(r.pc - 1)
					nm := s.Function
					if nm == "" {
						nm = fmt.Sprintf("%x", s.Start)
					}
					ch += " " + nm
				}
			}
			chains[fmt.Sprintf("%s %v %v %s", kind, forced, known, ch)]++
		}
		t.Log(count)
		for c, n := range chains {
			t.Log(n, c)
		}
	})
}
