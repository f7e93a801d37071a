package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"gilscope/internal/testkernel"
)

// patience is for one program in an emulated machine on a busy host.
const patience = 5 * time.Minute

// gilscope runs gilscope; started, if any, is called once it says that it records.
func gilscope(started func(), args ...string) testkernel.Run {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, testkernel.Gilscope, args...)
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	run := testkernel.Run{Args: args, Exit: -1}
	words, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		run.Stderr = err.Error()
		return run
	}
	begin := time.Now()
	s := bufio.NewScanner(words)
	s.Buffer(nil, 1<<20) // the kernel's verifier may have a lot to say
	for s.Scan() {
		run.Stderr += s.Text() + "\n"
		if started != nil && strings.HasPrefix(s.Text(), "recording ") {
			started()
			started = nil
		}
	}
	cmd.Wait() // its exit code tells
	run.Exit, run.Stdout, run.Took = cmd.ProcessState.ExitCode(), stdout.String(), time.Since(begin)
	return run
}

// program is a running program of testdata.
type program struct {
	cmd   *exec.Cmd
	stdin io.Closer
	out   *bufio.Reader
}

// python prepares to run a program; its errors go to the console.
func python(args ...string) *exec.Cmd {
	cmd := exec.Command(testkernel.Python, args...)
	cmd.Stderr = os.Stdout
	return cmd
}

// start starts a program and returns once it is ready.
func start(cmd *exec.Cmd) (*program, error) {
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &program{cmd, stdin, bufio.NewReader(stdout)}
	if line, err := p.out.ReadString('\n'); line != "ready\n" {
		cmd.Process.Kill()
		return nil, fmt.Errorf("%q says %q, not that it is ready: %w", cmd.Args[1:], line, errors.Join(err, cmd.Wait()))
	}
	return p, nil
}

// stop ends the program and returns what it says last.
func (p *program) stop() (string, error) {
	p.stdin.Close()
	rest, err := io.ReadAll(p.out)
	if err := errors.Join(err, p.cmd.Wait()); err != nil {
		return "", fmt.Errorf("%s was harmed: %w", filepath.Base(p.cmd.Args[1]), err)
	}
	lines := strings.Split(strings.TrimSpace(string(rest)), "\n")
	return lines[len(lines)-1], nil
}

const convoy = "truth/convoy.py"

// endless starts a program that runs for as long as recording may take.
func endless(name string) (*program, error) {
	return start(python(testkernel.Programs+"/"+name, fmt.Sprint(patience.Seconds())))
}

// doctor asks gilscope what works here, and for a process.
func (g *guest) doctor() (testkernel.Step, error) {
	s := testkernel.Step{Name: testkernel.Doctor}
	p, err := endless(convoy)
	if err != nil {
		return s, err
	}
	s.Run = gilscope(nil, "doctor", "--json", "-p", fmt.Sprint(p.cmd.Process.Pid))
	_, err = p.stop()
	return s, err
}

// one records a program for a while.
func (g *guest) one(name, of string, args ...string) (testkernel.Step, error) {
	s := testkernel.Step{Name: name}
	p, err := endless(of)
	if err != nil {
		return s, err
	}
	trace := filepath.Join(g.dir, name+".pftrace")
	s.Run = gilscope(nil, append([]string{"record", "-v", "-p", fmt.Sprint(p.cmd.Process.Pid), "-o", trace}, args...)...)
	if s.Left, err = left(p.cmd.Process.Pid); err != nil {
		return s, err
	}
	truth, err := p.stop()
	if err != nil {
		return s, err
	}
	s.Truths = []string{truth}
	return s, report(&s, trace)
}

// family is family.py, which starts children in some ways, each of which leaves
// in dir what it measured.
func family(dir string, ways ...string) []string {
	return append([]string{"-W", "ignore", testkernel.Programs + "/processes/family.py", dir}, ways...)
}

// follow records family.py from its start. One of its children becomes another
// program.
func (g *guest) follow() (testkernel.Step, error) {
	s := testkernel.Step{Name: testkernel.Follow}
	dir, err := os.MkdirTemp(g.dir, s.Name)
	if err != nil {
		return s, err
	}
	trace := filepath.Join(g.dir, s.Name+".pftrace")
	args := []string{"record", "-v", "--detail", "full", "-o", trace, "--", testkernel.Python}
	s.Run = gilscope(nil, append(args, family(dir, "os.fork", "spawn")...)...)
	if s.Truths, err = truths(dir); err != nil {
		return s, err
	}
	return s, report(&s, trace)
}

// contained makes a program the first process of a pid namespace, which the
// host's /proc tells what its numbers are outside (see contend.py).
func contained(cmd *exec.Cmd) error {
	proc, err := os.Open("/proc")
	if err != nil {
		return err
	}
	const first = 3 // descriptor of the first of ExtraFiles
	cmd.ExtraFiles = []*os.File{proc}
	cmd.Env = append(os.Environ(), fmt.Sprintf("HOST_PROC=%d", first))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	return nil
}

// contain records family.py in a pid namespace while it runs, from before its
// first child.
func (g *guest) contain() (testkernel.Step, error) {
	s := testkernel.Step{Name: testkernel.Contain}
	dir, err := os.MkdirTemp(g.dir, s.Name)
	if err != nil {
		return s, err
	}
	cmd := python(family(dir, "os.fork", "busy")...)
	if err := contained(cmd); err != nil {
		return s, err
	}
	p, err := start(cmd)
	if err != nil {
		return s, err
	}
	trace := filepath.Join(g.dir, s.Name+".pftrace")
	begin := func() { p.stdin.Close() }
	s.Run = gilscope(begin, "record", "-v", "-p", fmt.Sprint(cmd.Process.Pid), "--follow", "--detail", "waits", "-o", trace)
	if _, err := p.stop(); err != nil {
		return s, err
	}
	if s.Truths, err = truths(dir); err != nil {
		return s, err
	}
	return s, report(&s, trace)
}

// truths reads what the processes left in a folder.
func truths(dir string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	var all []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		all = append(all, string(text))
	}
	return all, nil
}

// report adds the trace, if there is one, and gilscope's report of it.
func report(s *testkernel.Step, trace string) (err error) {
	s.Trace, err = os.ReadFile(trace)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	s.Report = gilscope(nil, "report", "--format", "json", trace)
	return errors.Join(err, os.Remove(trace))
}
