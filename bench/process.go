package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"gilscope/internal/trace"
)

// child is a program that talks to us in lines.
type child struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines chan string // closed at its end
	said  []string
	err   error // how it ended, once ended is closed
	ended chan struct{}
}

// Where a child speaks.
const (
	fromStdout = iota
	fromStderr
)

// start starts a program; the end of ctx kills it.
func start(ctx context.Context, from int, path string, args ...string) (*child, error) {
	c := &child{cmd: exec.CommandContext(ctx, path, args...), lines: make(chan string, 64), ended: make(chan struct{})}
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // if we are killed, it must not stay behind
	var pipe io.ReadCloser
	var err1, err2 error
	if from == fromStdout {
		c.cmd.Stderr = os.Stderr
		pipe, err1 = c.cmd.StdoutPipe()
	} else {
		pipe, err1 = c.cmd.StderrPipe()
	}
	c.stdin, err2 = c.cmd.StdinPipe()
	if err := errors.Join(err1, err2, c.cmd.Start()); err != nil {
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	go c.listen(pipe)
	return c, nil
}

func (c *child) listen(pipe io.Reader) {
	for s := bufio.NewScanner(pipe); s.Scan(); {
		c.lines <- s.Text()
	}
	close(c.lines)
	c.err = c.cmd.Wait()
	close(c.ended)
}

// until returns the next line with a prefix.
func (c *child) until(prefix string) (string, error) {
	for line := range c.lines {
		c.said = append(c.said, line)
		if strings.HasPrefix(line, prefix) {
			return line, nil
		}
	}
	return "", fmt.Errorf("%s never said %q: %w", strings.Join(c.cmd.Args, " "), prefix, c.failure())
}

// wait waits for the program to end by itself and to succeed.
func (c *child) wait() error {
	for line := range c.lines {
		c.said = append(c.said, line)
	}
	if <-c.ended; c.err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", strings.Join(c.cmd.Args, " "), c.failure())
}

// failure says how an ended program ended, and what it said.
func (c *child) failure() error {
	<-c.ended
	return fmt.Errorf("it ended (%v); it said:\n%s", c.cmd.ProcessState, strings.Join(c.said, "\n"))
}

// kill ends a program that may still run.
func (c *child) kill() {
	c.cmd.Process.Kill()
	for range c.lines {
	}
	<-c.ended
}

// finish lets a program do its work, returns what it measured, and waits for its end.
func finish(program *child) (sample, error) {
	s, err := measureOnly(program)
	if err != nil {
		return sample{}, err
	}
	return s, program.wait()
}

// measureOnly lets a program do its work, and returns what it measured.
func measureOnly(program *child) (sample, error) {
	if _, err := fmt.Fprintln(program.stdin, "go"); err != nil {
		return sample{}, fmt.Errorf("let the program begin: %w", errors.Join(err, program.wait()))
	}
	line, err := program.until("{")
	if err != nil {
		return sample{}, err
	}
	var s sample
	if err := json.Unmarshal([]byte(line), &s); err != nil {
		return sample{}, fmt.Errorf("understand %q of %s: %w", line, program.cmd.Args, err)
	}
	if s.WallNS <= 0 || s.CPUNS <= 0 || s.Operations <= 0 {
		return sample{}, fmt.Errorf("%s measured nothing: %q", program.cmd.Args, line)
	}
	return s, nil
}

// footer reads what the recorder wrote about itself at the end of a trace.
func footer(path string) (recorded, error) {
	t, err := trace.ReadFile(path)
	if err != nil {
		return recorded{}, err
	}
	var r recorded
	for _, n := range t.Notes {
		if n.Name != trace.NoteEnd {
			continue
		}
		for _, a := range n.Args {
			switch a.Key {
			case "recorder_cpu_ns":
				r.RecorderCPUNS = a.Num
			case "events":
				r.Events = a.Num
			case "lost":
				r.Lost = a.Num
			}
		}
	}
	if !t.Complete || r.Events == 0 {
		return recorded{}, fmt.Errorf("%s has no footer, or no events: the recorder did not end well; run it by hand", path)
	}
	return r, nil
}
