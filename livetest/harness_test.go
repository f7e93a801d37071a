package livetest

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gilscope/analyze"
	"gilscope/internal/testpy"
	"gilscope/internal/trace"
	"gilscope/oracle"
)

// gilscope is the binary under test, built once.
var gilscope string

func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "livetest: needs root to load BPF programs: run `make test`, which asks for sudo")
		os.Exit(1)
	}
	dir, err := os.MkdirTemp("", "gilscope-livetest-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "livetest:", err)
		os.Exit(1)
	}
	if gilscope = os.Getenv("GILSCOPE_BINARY"); gilscope == "" {
		gilscope = filepath.Join(dir, "gilscope")
		buildGilscope()
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// buildGilscope builds the binary. Under sudo the Makefile has done so before,
// as the user: root may have no Go.
func buildGilscope() {
	build := exec.Command("go", "build", "-o", gilscope, "gilscope/cmd/gilscope")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "livetest: build gilscope: %v\n%s", err, out)
		os.Exit(1)
	}
}

// recorder is a running `gilscope record`.
type recorder struct {
	cmd   *exec.Cmd
	words *bytes.Buffer
	mu    sync.Mutex
	ended chan struct{}
	err   error
	trace string
}

// startRecord starts gilscope and returns once it says that it records. Tests
// name the detail that they are about, or mean waits.
func startRecord(t testing.TB, args ...string) *recorder {
	t.Helper()
	if !slices.Contains(args, "--detail") {
		args = append([]string{"--detail", "waits"}, args...)
	}
	path := filepath.Join(t.TempDir(), "t.pftrace")
	return startRecorder(t, path, command(append([]string{"record", "-v", "-o", path, "--no-event-callstacks"}, args...)))
}

// startRecorder starts a command that records to path, and returns once it says so.
func startRecorder(t testing.TB, path string, cmd *exec.Cmd) *recorder {
	t.Helper()
	r := &recorder{cmd: cmd, trace: path, words: new(bytes.Buffer), ended: make(chan struct{})}
	pipe, err := r.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.cmd.Process.Kill()
		<-r.ended
		if t.Failed() {
			keep(t, r.trace)
		}
	})
	live := make(chan struct{})
	go r.listen(bufio.NewScanner(pipe), live)
	select {
	case <-live:
	case <-r.ended:
		t.Fatalf("gilscope %s: %v\n%s", strings.Join(r.cmd.Args[1:], " "), r.err, r.said())
	case <-time.After(runLimit):
		t.Fatalf("gilscope did not say that it records; its threads in the kernel:\n%s\n%s", kernelStacks(r.cmd.Process.Pid), r.quit())
	}
	return r
}

// listen collects what gilscope says, and notes the moment all hooks are live.
func (r *recorder) listen(s *bufio.Scanner, live chan struct{}) {
	told := false
	for s.Scan() {
		r.mu.Lock()
		fmt.Fprintln(r.words, s.Text())
		r.mu.Unlock()
		if !told && strings.HasPrefix(s.Text(), "recording ") {
			told = true
			close(live)
		}
	}
	r.err = r.cmd.Wait()
	close(r.ended)
}

func (r *recorder) said() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.words.String()
}

// wait waits for the recording to end by itself and to succeed.
func (r *recorder) wait(t testing.TB) {
	t.Helper()
	select {
	case <-r.ended:
	case <-time.After(90 * time.Second):
		t.Fatalf("the recording did not end:\n%s", r.said())
	}
	if r.err != nil {
		t.Fatalf("gilscope record: %v\n%s", r.err, r.said())
	}
}

// recording is a finished recording of a truth program.
type recording struct {
	path     string
	trace    *trace.Trace
	report   *analyze.Report
	truth    *oracle.Truth
	from, to int64 // the window in which both saw everything
	words    string
}

// edge is kept away from both ends of a recording when it is compared: waits
// that were under way when it began are seen only from their next sleep on.
const edge = 30e6 // ns

// startProgram starts a truth program, which may have arguments.
func startProgram(t testing.TB, in testpy.Interpreter, program string) *testpy.Proc {
	t.Helper()
	name, args, _ := strings.Cut(program, " ")
	script, err := filepath.Abs(filepath.Join("..", "testdata", "truth", name+".py"))
	if err != nil {
		t.Fatal(err)
	}
	return testpy.StartScript(t, in, script, strings.Fields(args)...)
}

// quit ends a recorder that hangs, and returns all it said, its goroutines' stacks included.
func (r *recorder) quit() string {
	r.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-r.ended:
	case <-time.After(runLimit):
	}
	return r.said()
}

// kernelStacks is where the threads of a process are in the kernel.
func kernelStacks(pid int) string {
	var out strings.Builder
	stacks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stack", pid))
	for _, path := range stacks {
		stack, _ := os.ReadFile(path)
		fmt.Fprintf(&out, "%s\n%s", path, stack)
	}
	return out.String()
}

// keep copies a recording of a failed test to the folder $GILSCOPE_KEEP, if it is set.
func keep(t testing.TB, path string) {
	dir := os.Getenv("GILSCOPE_KEEP")
	data, err := os.ReadFile(path)
	if dir == "" || err != nil {
		return
	}
	kept := filepath.Join(dir, fmt.Sprintf("%s-%d.pftrace", strings.ReplaceAll(t.Name(), "/", "-"), time.Now().UnixNano()))
	if err := os.WriteFile(kept, data, 0o600); err != nil {
		t.Logf("keep the recording of a failed test: %v", err)
	}
	t.Logf("kept %s", kept)
}

// recordTruth runs a truth program and records it for a while.
func recordTruth(t testing.TB, in testpy.Interpreter, program, duration string, args ...string) recording {
	t.Helper()
	p := startProgram(t, in, program)
	r := startRecord(t, append([]string{"-p", fmt.Sprint(p.PID), "-d", duration}, args...)...)
	r.wait(t)
	return open(t, r, truthOf(t, p, program))
}

// truthOf stops a truth program, which must be unharmed, and returns what it measured.
func truthOf(t testing.TB, p *testpy.Proc, program string) *oracle.Truth {
	t.Helper()
	if err := p.Stop(); err != nil {
		t.Fatalf("%s was harmed: %v", program, err)
	}
	truth, err := oracle.ParseTruth([]byte(p.Last))
	if err != nil {
		t.Fatal(err)
	}
	return truth
}

// open reads a recording back and analyses it.
func open(t testing.TB, r *recorder, truth *oracle.Truth) recording {
	t.Helper()
	tr, err := trace.ReadFile(r.trace)
	if err != nil {
		t.Fatal(err)
	}
	if !tr.Complete {
		t.Error("the trace has no footer")
	}
	if errs := tr.Validate(); len(errs) > 0 {
		t.Errorf("the trace breaks %d rules, the first: %v", len(errs), errs[0])
	}
	rec := recording{path: r.trace, trace: tr, report: analyze.Analyze(tr), truth: truth, words: r.said()}
	for _, n := range tr.Notes {
		switch n.Name {
		case trace.NoteTarget:
			rec.from = int64(n.Time) + edge
		case trace.NoteEnd:
			rec.to = int64(n.Time) - edge
		}
	}
	checkSQL(t, rec)
	return rec
}
