package livetest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// tracer is a running strace or gdb that has a process.
type tracer struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	said  *bufio.Scanner
}

// startTracer starts a tracer, and returns once it has said that it is attached.
func startTracer(t testing.TB, attached string, name string, args ...string) *tracer {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%v: run: apt-get install %s", err, name)
	}
	x := &tracer{cmd: exec.Command(path, args...)}
	x.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if x.stdin, err = x.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, in := io.Pipe()
	x.cmd.Stdout, x.cmd.Stderr = in, in
	if err := x.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.cmd.Process.Kill(); go io.Copy(io.Discard, out); x.cmd.Wait() })
	x.said = bufio.NewScanner(out)
	x.await(t, attached)
	go io.Copy(io.Discard, out)
	return x
}

func (x *tracer) await(t testing.TB, words string) {
	t.Helper()
	var all strings.Builder
	for x.said.Scan() {
		fmt.Fprintln(&all, x.said.Text())
		if strings.Contains(x.said.Text(), words) {
			return
		}
	}
	t.Fatalf("%s does not say %q:\n%s", x.cmd.Path, words, all.String())
}

// strace traces all threads of a process, and lets them run.
func strace(t testing.TB, pid int) (detach func()) {
	x := startTracer(t, "attached", "strace", "-f", "-e", "trace=none", "-p", fmt.Sprint(pid))
	return func() {
		x.cmd.Process.Signal(syscall.SIGINT)
		x.cmd.Wait()
	}
}

// gdb stops all threads of a process.
func gdb(t testing.TB, pid int) (detach func()) {
	x := startTracer(t, "attached, stopped", "gdb", "-nx", "-q", "-iex", "set debuginfod enabled off", "-iex", "set auto-load off",
		"-iex", "set auto-solib-add off", "-p", fmt.Sprint(pid), "-ex", `echo attached, stopped\n`)
	return func() {
		io.WriteString(x.stdin, "detach\nquit\n")
		x.cmd.Wait()
	}
}

// TestTracers: who is under strace or gdb is refused, with a word; once the
// tracer is gone it is recorded. A tracer that comes while we record, and goes, harms nobody.
func TestTracers(t *testing.T) {
	for name, attach := range map[string]func(testing.TB, int) func(){"strace": strace, "gdb": gdb} {
		t.Run(name, func(t *testing.T) {
			p := startWorker(t)
			path := filepath.Join(t.TempDir(), "refused.pftrace")
			detach := attach(t, p.PID)
			run(t, []string{"record", "-d", "100ms", "-o", path, "-p", fmt.Sprint(p.PID)}).wants(t, 4,
				fmt.Sprintf("pid %d is being traced by pid", p.PID), "detach the tracer, or pass --force")
			if _, err := os.Stat(path); err == nil {
				t.Error("a refused recording left a file")
			}
			if name == "strace" { // else it stands still
				o := run(t, []string{"record", "-d", "300ms", "--detail", "full", "-o", path, "-p", fmt.Sprint(p.PID), "--force"})
				o.wants(t, 0, "wrote "+path)
				checkExact(t, readTrace(t, path))
			}
			detach()
			r := startRecord(t, "-p", fmt.Sprint(p.PID), "--detail", "full")
			attach(t, p.PID)()
			answers(t, p, turns)
			r.finish(t)
			unharmed(t, p)
			checkTurns(t, r.trace)
		})
	}
}

// checkTurns: takes were recorded, as many as an answer needs, and nothing is amiss.
func checkTurns(t testing.TB, path string) {
	t.Helper()
	tr := readTrace(t, path)
	checkExact(t, tr)
	if n := note(t, tr, "gil totals")["takes"]; n < turns {
		t.Errorf("%d takes were recorded, want %d and more", n, turns)
	}
	if errs := tr.Validate(); len(errs) > 0 {
		t.Errorf("the trace breaks %d rules, the first: %v", len(errs), errs[0])
	}
}

// seccompScript ends itself at each system call that tracers and probes could
// make it do, and then is a worker.
const seccompScript = `
import ctypes, struct
calls = 101, 155, 298, 310, 311, 321, 335, 336 # ptrace, pivot_root, perf_event_open, process_vm_*, bpf, uretprobe, uprobe
ins = [(0x20, 0, 0, 0)] + [(0x15, len(calls) - i, 0, n) for i, n in enumerate(calls)] + [(6, 0, 0, 0x7fff0000), (6, 0, 0, 0x80000000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *i) for i in ins))
prog = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(ins), ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, prog, 0, 0) == 0, ctypes.get_errno()
` + workerScript

// TestSeccomp: a target whose seccomp filter kills it at calls that it does not
// make itself is recorded by every way, and lives.
func TestSeccomp(t *testing.T) {
	for _, w := range []way{{"waits", "futex"}, {"full", "condvar"}, {"full", "take_gil"}} {
		t.Run(fmt.Sprint(w), func(t *testing.T) {
			p := startOwnLibc(t, seccompScript)
			if s := stateOf(p.PID); !strings.Contains(s, "Seccomp:\t2\n") {
				t.Fatalf("there is no filter:\n%s", s)
			}
			r := startRecord(t, "-p", fmt.Sprint(p.PID), "--detail", w.detail, "--gil-backend", w.backend)
			answers(t, p, turns)
			r.finish(t)
			unharmed(t, p)
			if w.detail == "full" {
				checkTurns(t, r.trace)
			}
		})
	}
}
