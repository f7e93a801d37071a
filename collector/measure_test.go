package collector

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

func timed(t *testing.T, ctx context.Context, r Timed) TimedRun {
	t.Helper()
	got, err := RunTimed(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestRunTimed(t *testing.T) {
	all, err := AllowedCPUs()
	if err != nil || len(all) == 0 {
		t.Fatal(all, err)
	}
	last := all[len(all)-1]
	script := `cat; echo "$WORKERS on $(grep Cpus_allowed_list /proc/self/status)"; echo word >&2; exit 3`
	got := timed(t, t.Context(), Timed{Command: []string{"sh", "-c", script}, Env: []string{"WORKERS=7"}, CPUs: []int{last}})
	if want := fmt.Sprintf("7 on Cpus_allowed_list:\t%d\nword\n", last); string(got.Output) != want {
		t.Errorf("the command wrote %q, want %q", got.Output, want)
	}
	if got.State.ExitCode() != 3 || got.Wall <= 0 || got.CPU <= 0 || got.CPU > 10*time.Second {
		t.Errorf("%+v, code %d", got, got.State.ExitCode())
	}
	if again, err := AllowedCPUs(); err != nil || len(again) != len(all) {
		t.Errorf("we may use CPUs %v now, before %v", again, all)
	}
}

// TestRunTimedCPU: the CPU time of children counts, and is what the kernel says.
func TestRunTimedCPU(t *testing.T) {
	got := timed(t, t.Context(), Timed{Command: []string{"sh", "-c", `sh -c 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done'; times`}})
	if got.CPU <= 0 || got.CPU > got.Wall+100*time.Millisecond {
		t.Errorf("one process after another took %v of CPU in %v", got.CPU, got.Wall)
	}
}

// TestRunTimedOutput: however much is written, its end is kept, and nobody waits.
func TestRunTimedOutput(t *testing.T) {
	got := timed(t, t.Context(), Timed{Command: []string{"sh", "-c", "head -c 5000000 /dev/zero; echo end"}})
	if len(got.Output) != keptOutput || !strings.HasSuffix(string(got.Output), "end\n") {
		t.Errorf("%d bytes are kept", len(got.Output))
	}
}

// TestRunTimedLeftBehind: a child that keeps the output open does not keep us.
func TestRunTimedLeftBehind(t *testing.T) {
	got := timed(t, t.Context(), Timed{Command: []string{"sh", "-c", "sleep 60 & echo $!"}})
	if got.Wall > 20*time.Second {
		t.Errorf("took %v", got.Wall)
	}
	var pid int
	if _, err := fmt.Sscan(string(got.Output), &pid); err != nil || pid < 2 {
		t.Fatalf("%q: %v", got.Output, err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil { // our own
		t.Error(err)
	}
}

func TestRunTimedEnds(t *testing.T) {
	if _, err := RunTimed(t.Context(), Timed{Command: []string{"no-such-command"}}); !errors.Is(err, ErrTarget) {
		t.Errorf("no such command: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	got, err := RunTimed(ctx, Timed{Command: []string{"sh", "-c", "sleep 60; sleep 60"}})
	if !errors.Is(err, context.DeadlineExceeded) || got.Wall > 20*time.Second {
		t.Errorf("%v after %v", err, got.Wall)
	}
}

func TestBusy(t *testing.T) {
	const stat = `cpu  100 0 100 100 0 0 0 0 0 0
cpu0 10 1 5 1000 200 2 3 4 5 0
cpu1 20 0 0 1000 200 0 0 0 0 0
intr 5 0
`
	for _, c := range []struct {
		text string
		cpus []int
		want time.Duration
		ok   bool
	}{
		{stat, nil, 450 * time.Millisecond, true},
		{stat, []int{0}, 250 * time.Millisecond, true},
		{stat, []int{1}, 200 * time.Millisecond, true},
		{stat, []int{2}, 0, false},
		{"cpu0 1 2\n", nil, 0, false},
		{"cpu0 1 2 3 4 x 6 7 8\n", nil, 0, false},
		{"", nil, 0, false},
	} {
		if got, ok := parseBusy([]byte(c.text), c.cpus); ok != c.ok || ok && got != c.want {
			t.Errorf("%q, CPUs %v: %v, %v; want %v, %v", c.text, c.cpus, got, ok, c.want, c.ok)
		}
	}
	if _, ok := busyTime(nil); !ok {
		t.Error("the kernel does not tell how busy its CPUs are")
	}
}
