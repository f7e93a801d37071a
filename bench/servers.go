package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The server has one CPU, and what loads and watches it has the other: on one
// CPU the ratio would be that of the whole machine, and the load is not what is
// measured.
const serverCPU, otherCPU = "0", "1"

// serverKind is one of the servers that are loaded.
type serverKind struct {
	Name   string
	module []string       // and its flags
	pid    *regexp.Regexp // what says which process answers
	at     *regexp.Regexp // what says where
}

var serverKinds = []serverKind{
	{"uvicorn + starlette", []string{"-m", "uvicorn", "--port", "0", "--no-access-log", "asgi:app"},
		regexp.MustCompile(`Started server process \[(\d+)\]`), regexp.MustCompile(`http://(127\.0\.0\.1:\d+)`)},
	{"gunicorn + flask, 4 threads", []string{"-m", "gunicorn", "--bind", "127.0.0.1:0", "--worker-class", "gthread",
		"--workers", "1", "--threads", "4", "--keep-alive", "60", "wsgi:app"},
		regexp.MustCompile(`Booting worker with pid: (\d+)`), regexp.MustCompile(`http://(127\.0\.0\.1:\d+)`)},
}

// server is one that runs.
type server struct {
	child *child
	pid   int    // of the process that answers
	addr  string // where
}

// serve starts a server, with a tool inside if that is where it goes.
func (p *peers) serve(ctx context.Context, kind serverKind, t *tool) (*server, error) {
	args := []string{"taskset", "-c", serverCPU, p.rig.python, "-B"}
	child, err := p.start(ctx, fromStderr, append(args, t.command(p, kind.module...)...), t.env)
	if err != nil {
		return nil, err
	}
	s := &server{child: child}
	if err := s.ready(kind); err != nil {
		s.kill()
		return nil, err
	}
	return s, nil
}

// start starts a command with the packages and programs of the benchmark.
func (p *peers) start(ctx context.Context, from int, args, env []string) (*child, error) {
	path := p.packages + ":" + p.programs
	// Hashes are the same in each process, so that the order of dicts and sets is.
	env = append([]string{"PYTHONPATH=" + path, "PYTHONDONTWRITEBYTECODE=1", "PYTHONHASHSEED=0"}, env...)
	return start(ctx, from, "env", append(env, args...)...)
}

// ready waits until the server listens and its worker runs.
func (s *server) ready(kind serverKind) error {
	for s.addr == "" || s.pid == 0 {
		line, err := s.child.until("")
		if err != nil {
			return err
		}
		if m := kind.at.FindStringSubmatch(line); m != nil {
			s.addr = m[1]
		}
		if m := kind.pid.FindStringSubmatch(line); m != nil {
			s.pid, _ = strconv.Atoi(m[1])
		}
	}
	return nil
}

// kill ends the server and its worker at once: what watched from inside must not
// write its file first.
func (s *server) kill() {
	s.child.cmd.Process.Kill()
	if s.pid > 0 && s.pid != s.child.cmd.Process.Pid {
		syscall.Kill(s.pid, syscall.SIGKILL)
	}
	s.child.kill()
}

// stretch is what a server did for one fixed number of requests.
type stretch struct {
	loaded
	CPUNS int64 // of the process that answers
}

// stretch loads the server.
func (p *peers) stretch(ctx context.Context, s *server, requests int) (stretch, error) {
	before, err := cpuOf(s.pid)
	if err != nil {
		return stretch{}, err
	}
	l, err := runLoad(ctx, otherCPU, s.addr, requests)
	if err != nil {
		return stretch{}, err
	}
	after, err := cpuOf(s.pid)
	return stretch{l, after - before}, err
}

// cpuOf is the CPU time of a process with all its threads, also those that
// ended, by its clock (the number of which is made of its pid, see
// clock_getcpuclockid(3)).
func cpuOf(pid int) (int64, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^uint32(pid)<<3|2), &t); err != nil {
		return 0, fmt.Errorf("read the CPU clock of pid %d: %w: it may have ended", pid, err)
	}
	return t.Nano(), nil
}

// watch attaches a tool to a process, and returns what detaches it.
func (p *peers) watch(ctx context.Context, t *tool, pid int) (func() error, error) {
	if t.attach == nil {
		return func() error { return nil }, nil
	}
	c, err := p.start(ctx, t.from, append([]string{"taskset", "-c", otherCPU}, t.attach(p, pid)...), nil)
	if err != nil {
		return nil, err
	}
	if _, err := c.until(t.ready); err != nil {
		c.kill()
		return nil, err
	}
	return func() error {
		defer c.kill()
		if err := c.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("end %s: %w", t.Name, err)
		}
		return c.wait()
	}, nil
}

// scale warms the server up, and says how many requests take it about so long.
func (p *peers) scale(ctx context.Context, s *server, about time.Duration) (int, error) {
	n := 10 * connections
	for range 3 { // each time with a better guess, up to a quarter of a stretch
		l, err := runLoad(ctx, otherCPU, s.addr, n)
		if err != nil {
			return 0, err
		}
		n = max(int(float64(n)*float64(about)/4/float64(l.WallNS)), 2*connections)
	}
	return 4 * n, nil
}

// packagesOf is the folder with the servers and peers for an interpreter.
func packagesOf(py python, dir string) (string, error) {
	minor := strings.Join(strings.SplitN(py.Version, ".", 3)[:2], ".")
	folder := filepath.Join(dir, "servers-"+minor)
	if _, err := os.Stat(filepath.Join(folder, "uvicorn")); err != nil {
		return "", fmt.Errorf("the servers for CPython %s: %w: set PYTHON to a CPython 3.13, and run: go run ./internal/testpy/fetch servers-3.13", py.Version, err)
	}
	return folder, nil
}
