package collector

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Timed is a command to be run and timed, without a recording.
type Timed struct {
	Command []string
	Env     []string // "NAME=value" beside our own
	CPUs    []int    // that it may use; nil: all that we may
	AsUs    bool     // not as the invoking user: it is ours, and needs our privileges
}

// TimedRun is how a run went.
type TimedRun struct {
	Wall   time.Duration  // from its start to its end
	CPU    time.Duration  // user and system, with the children that it waited for
	Busy   *time.Duration // for how long its CPUs ran anything, it included, to some 10 ms; nil: unknown
	State  *os.ProcessState
	Output []byte // the end of what it wrote to stdout and stderr
}

// keptOutput bounds what is kept of a run's output.
const keptOutput = 1 << 20

// drainFor is how long the output of a run that has ended is still read: children
// that it left behind may hold it open for ever.
const drainFor = 200 * time.Millisecond

// RunTimed runs a command as the invoking user, with no input, and times it.
// That it failed is in its State; the end of the context ends the command and
// all of its process group.
func RunTimed(ctx context.Context, t Timed) (TimedRun, error) {
	name := t.Command[0]
	if err := findCommand(name); err != nil {
		return TimedRun{}, err
	}
	cmd := exec.Command(name, t.Command[1:]...)
	if !t.AsUs {
		if err := asInvokingUser(cmd); err != nil {
			return TimedRun{}, err
		}
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.Env = replaceEnv(cmd.Environ(), t.Env...)
	read, write, err := os.Pipe()
	if err != nil {
		return TimedRun{}, fmt.Errorf("run %s: %w", name, err)
	}
	defer read.Close()
	cmd.Stdout, cmd.Stderr = write, write
	busy, known := busyTime(t.CPUs)
	begin := time.Now()
	err = onCPUs(t.CPUs, cmd.Start)
	write.Close()
	if err != nil {
		return TimedRun{}, fmt.Errorf("run %s: %w: %w: check its permissions", name, ErrTarget, err)
	}
	output := keepTail(read)
	wall, err := ended(ctx, cmd.Process.Pid, begin)
	if err != nil {
		return TimedRun{}, err
	}
	after, still := busyTime(t.CPUs)
	// Only a failure of the program is left to be told here, and State has it.
	if err := cmd.Wait(); err != nil && cmd.ProcessState == nil {
		return TimedRun{}, fmt.Errorf("run %s: wait for its end: %w", name, err)
	}
	state := cmd.ProcessState
	run := TimedRun{Wall: wall, CPU: state.UserTime() + state.SystemTime(), State: state, Output: output(read)}
	if busy = after - busy; known && still && busy >= 0 {
		run.Busy = &busy
	}
	return run, context.Cause(ctx)
}

// ended waits for a child's end and leaves it to be reaped: as long as that is
// so its number, and that of its group, is no one else's.
func ended(ctx context.Context, pid int, begin time.Time) (time.Duration, error) {
	var mu sync.Mutex
	over := false
	stop := context.AfterFunc(ctx, func() {
		mu.Lock()
		defer mu.Unlock()
		if !over {
			syscall.Kill(-pid, syscall.SIGKILL)
		}
	})
	defer stop()
	var info unix.Siginfo
	for {
		err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT, nil)
		wall := time.Since(begin)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		mu.Lock()
		over = true
		mu.Unlock()
		if err != nil {
			return 0, fmt.Errorf("wait for pid %d: %w", pid, err)
		}
		return wall, nil
	}
}

// keepTail reads in the background, so that the program never waits for us, and
// keeps the end. What it returns stops that and gives it.
func keepTail(r *os.File) func(*os.File) []byte {
	done := make(chan []byte, 1)
	go func() {
		var kept []byte
		buf := make([]byte, 64<<10)
		for {
			n, err := r.Read(buf)
			if kept = append(kept, buf[:n]...); len(kept) > 2*keptOutput {
				kept = append(kept[:0], kept[len(kept)-keptOutput:]...)
			}
			if err != nil { // io.EOF, or the time is over
				done <- kept[max(0, len(kept)-keptOutput):]
				return
			}
		}
	}()
	return func(r *os.File) []byte {
		if err := r.SetReadDeadline(time.Now().Add(drainFor)); err != nil {
			r.Close()
		}
		return <-done
	}
}

// onCPUs calls start on a thread that may use these CPUs only. A child has the
// affinity of the thread that forks it, from its first instruction on.
func onCPUs(cpus []int, start func() error) error {
	if len(cpus) == 0 {
		return start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("read our CPU affinity: %w", err)
	}
	for _, c := range cpus {
		set.Set(c)
	}
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("limit the command to CPUs %v: %w", cpus, err)
	}
	err := start()
	return errors.Join(err, unix.SchedSetaffinity(0, &before))
}

// AllowedCPUs are the CPUs that we, and what we start, may use.
func AllowedCPUs() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("read our CPU affinity: %w", err)
	}
	var all []int
	for c := range len(set) * 64 {
		if set.IsSet(c) {
			all = append(all, c)
		}
	}
	return all, nil
}
