package testpy

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Proc is a running script.
type Proc struct {
	PID   int
	Lines <-chan string // what it prints after "ready"; closed at its end
	Last  string        // its last line, once Stop has returned

	cmd   *exec.Cmd
	stdin io.WriteCloser
	once  sync.Once
}

// startTimeout bounds the wait for a script's "ready".
const startTimeout = 60 * time.Second

// Start runs script (Python source text) with args and returns once it has
// printed the line "ready". The script should end when its stdin is closed.
// The test's end stops it.
func Start(t testing.TB, interp Interpreter, script string, args ...string) *Proc {
	t.Helper()
	return StartCommand(t, interp.Command(append([]string{"-u", "-c", script}, args...)...))
}

// StartScript is Start for a script in a file.
func StartScript(t testing.TB, interp Interpreter, path string, args ...string) *Proc {
	t.Helper()
	return StartCommand(t, interp.Command(append([]string{"-u", path}, args...)...))
}

// StartCommand is Start for a prepared command.
func StartCommand(t testing.TB, cmd *exec.Cmd) *Proc {
	t.Helper()
	cmd.Stderr = os.Stderr
	// If the test is killed, the script must not stay behind.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	lines := make(chan string, 65536)
	p := &Proc{PID: cmd.Process.Pid, Lines: lines, cmd: cmd, stdin: stdin}
	t.Cleanup(p.Kill)
	go func() {
		defer close(lines)
		s := bufio.NewScanner(stdout)
		s.Buffer(nil, 16<<20)
		for s.Scan() {
			lines <- s.Text()
		}
	}()
	if line := p.Line(t); line != "ready" {
		t.Fatalf("%s printed %q, not \"ready\"", cmd.Path, line)
	}
	return p
}

// Line returns the next line that the script prints.
func (p *Proc) Line(t testing.TB) string {
	t.Helper()
	select {
	case line, ok := <-p.Lines:
		if !ok {
			t.Fatalf("the script (pid %d) ended", p.PID)
		}
		return line
	case <-time.After(startTimeout):
		t.Fatalf("the script (pid %d) printed nothing for %v", p.PID, startTimeout)
	}
	return ""
}

// Send writes a line to the script's stdin.
func (p *Proc) Send(t testing.TB, line string) {
	t.Helper()
	if _, err := fmt.Fprintln(p.stdin, line); err != nil {
		t.Fatalf("write to the script (pid %d): %v", p.PID, err)
	}
}

// Stop closes the script's stdin, waits for its end and returns its error.
func (p *Proc) Stop() (err error) {
	p.once.Do(func() {
		p.stdin.Close()
		for line := range p.Lines {
			p.Last = line
		}
		err = p.cmd.Wait()
	})
	return err
}

// Kill ends the script at once and reaps it.
func (p *Proc) Kill() {
	p.cmd.Process.Kill()
	p.Stop()
}
