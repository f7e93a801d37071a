package collector

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"syscall"
)

// StubCommand is the hidden command that waits on file 3 and then becomes the
// program that follows it: so a launched program is a target before it runs.
const StubCommand = "launch-stub"

// launched is a command under our care.
type launched struct {
	cmd  *exec.Cmd
	gate *os.File
	done chan struct{}
}

// findCommand returns an error if there is no such command.
func findCommand(name string) error {
	if _, err := exec.LookPath(name); err != nil {
		return fmt.Errorf("launch %s: %w: %w: check its name and PATH", name, ErrTarget, err)
	}
	return nil
}

// launch starts the command behind a gate and makes it a target.
func (s *session) launch(ctx context.Context) (*launched, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("launch %s: %w", s.o.Command[0], err)
	}
	defer read.Close()
	cmd := exec.Command("/proc/self/exe", append([]string{StubCommand, "--"}, s.o.Command...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{read}
	if err := asInvokingUser(cmd); err != nil {
		return nil, err
	}
	if err := onCPUs(s.o.CPUs, cmd.Start); err != nil {
		return nil, fmt.Errorf("launch %s: %w", s.o.Command[0], err)
	}
	l := &launched{cmd: cmd, gate: write, done: make(chan struct{})}
	go l.reap(ctx)
	p, err := s.watch(cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	s.stub, p.stub = true, true
	return l, nil
}

// release lets the program begin.
func (l *launched) release() {
	l.gate.Write([]byte{1})
	l.gate.Close()
}

// ErrTerminated is the cause of a context that a SIGTERM cancelled.
var ErrTerminated = errors.New("terminated")

// reap waits for the command. A signal that ends the recording goes on to the
// command, except for a Ctrl-C, which the terminal has sent to both.
func (l *launched) reap(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() {
		switch {
		case errors.Is(context.Cause(ctx), ErrTerminated):
			l.cmd.Process.Signal(syscall.SIGTERM)
		case !isTerminal(os.Stdin):
			l.cmd.Process.Signal(syscall.SIGINT)
		}
	})
	l.cmd.Wait()
	stop()
	close(l.done)
}

// wait returns how the command ended.
func (l *launched) wait() *os.ProcessState {
	<-l.done
	return l.cmd.ProcessState
}

// asInvokingUser makes the command run as who called sudo, not as root.
func asInvokingUser(cmd *exec.Cmd) error {
	uid, gid := os.Getenv("SUDO_UID"), os.Getenv("SUDO_GID")
	if os.Geteuid() != 0 || uid == "" || uid == "0" {
		return nil
	}
	u, err1 := strconv.ParseUint(uid, 10, 32)
	g, err2 := strconv.ParseUint(gid, 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("launch as the invoking user: SUDO_UID=%q SUDO_GID=%q: %w: unset both to run as root", uid, gid, err)
	}
	cred := &syscall.Credential{Uid: uint32(u), Gid: uint32(g)}
	cmd.Env = os.Environ()
	if who, err := user.LookupId(uid); err == nil {
		cred.Groups = groupsOf(who)
		cmd.Env = replaceEnv(cmd.Env, "HOME="+who.HomeDir, "USER="+who.Username, "LOGNAME="+who.Username)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
	return nil
}

func groupsOf(who *user.User) []uint32 {
	ids, err := who.GroupIds()
	if err != nil {
		return nil
	}
	var out []uint32
	for _, id := range ids {
		if n, err := strconv.ParseUint(id, 10, 32); err == nil {
			out = append(out, uint32(n))
		}
	}
	return out
}

func replaceEnv(env []string, pairs ...string) []string {
	out := make([]string, 0, len(env)+len(pairs))
	for _, e := range env {
		if !overridden(e, pairs) {
			out = append(out, e)
		}
	}
	return append(out, pairs...)
}

func overridden(e string, pairs []string) bool {
	name, _, _ := strings.Cut(e, "=")
	for _, p := range pairs {
		if n, _, _ := strings.Cut(p, "="); n == name {
			return true
		}
	}
	return false
}

// RunStub is the body of StubCommand.
func RunStub(command []string) error {
	gate := os.NewFile(3, "gate")
	var b [1]byte
	if n, _ := gate.Read(b[:]); n != 1 {
		return errors.New("launch: the recorder went away before the start")
	}
	gate.Close()
	path, err := exec.LookPath(command[0])
	if err != nil {
		return fmt.Errorf("launch %s: %w", command[0], err)
	}
	return fmt.Errorf("launch %s: %w", path, syscall.Exec(path, command, os.Environ()))
}
