package livetest

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gilscope/internal/testpy"
	"gilscope/internal/trace"
)

// TestSignals: the first signal finishes the file.
func TestSignals(t *testing.T) {
	p := startBusy(t)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(sig.String(), func(t *testing.T) {
			r := startRecord(t, "-p", fmt.Sprint(p.PID))
			if err := r.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			r.wait(t)
			if !strings.Contains(r.said(), "(signal)") {
				t.Errorf("it does not say why it ended:\n%s", r.said())
			}
			readTrace(t, r.trace)
		})
	}
	if err := p.Stop(); err != nil {
		t.Errorf("the target was harmed: %v", err)
	}
}

// pauseScript says when it is up and what signals it gets; only SIGTERM ends it.
const pauseScript = `
import signal, sys
signal.signal(signal.SIGINT, lambda *a: sys.stderr.write("not yet\n"))
sys.stderr.write("up\n")
while True: signal.pause()
`

// launchPaused launches pauseScript, and returns once it is up.
func launchPaused(t testing.TB) (cmd *exec.Cmd, said lines, path string) {
	t.Helper()
	stdin, hold, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close(); hold.Close() })
	path = filepath.Join(t.TempDir(), "t.pftrace")
	cmd = command([]string{"record", "-o", path, "--", testpy.One(t, "3.11").Path, "-c", pauseScript})
	cmd.Stdin = stdin
	words, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	said = newLines(words)
	said.await(t, "up")
	return cmd, said, path
}

// TestSecondSignal: while gilscope waits for a command that does not end, the next one ends it at once.
func TestSecondSignal(t *testing.T) {
	cmd, said, path := launchPaused(t)
	tree, _ := exec.Command("ps", "-o", "pid=", "--ppid", fmt.Sprint(cmd.Process.Pid)).Output()
	child, _ := strconv.Atoi(strings.TrimSpace(string(tree)))
	if child <= 0 {
		t.Fatalf("no child: %q", tree)
	}
	defer syscall.Kill(child, syscall.SIGKILL)
	cmd.Process.Signal(syscall.SIGINT)
	said.await(t, "not yet")
	cmd.Process.Signal(syscall.SIGINT)
	begun := time.Now()
	state, _ := cmd.Process.Wait()
	if ws := state.Sys().(syscall.WaitStatus); !ws.Signaled() || time.Since(begun) > 300*time.Millisecond {
		t.Errorf("after a second SIGINT it went on for %v and ended with %v", time.Since(begun), state)
	}
	if _, err := trace.ReadFile(path); err != nil {
		t.Error(err)
	}
}

// TestLaunchTerminated: a SIGTERM goes on to the command, and the file is finished.
func TestLaunchTerminated(t *testing.T) {
	cmd, said, path := launchPaused(t)
	cmd.Process.Signal(syscall.SIGTERM)
	said.await(t, "wrote "+path)
	if code := exitOf(t, cmd.Wait()); code != 128+int(syscall.SIGTERM) {
		t.Errorf("exit code %d, want that of a command ended by SIGTERM", code)
	}
	readTrace(t, path)
}

// TestNobodyListens: words that nobody reads any more do not end the recording.
func TestNobodyListens(t *testing.T) {
	first, second := testpy.Start(t, testpy.One(t, "3.10"), endScript), startBusy(t)
	path := filepath.Join(t.TempDir(), "t.pftrace")
	cmd := command([]string{"record", "-o", path, "-d", "500ms", "-p", fmt.Sprint(first.PID), "-p", fmt.Sprint(second.PID)})
	words, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(words).ReadString('\n'); !strings.HasPrefix(line, "recording ") {
		t.Fatalf("it says %q: %v", line, err)
	}
	words.Close()
	first.Send(t, "exit") // which gilscope remarks on
	first.Stop()
	if code := exitOf(t, cmd.Wait()); code != 0 {
		t.Errorf("exit code %d", code)
	}
	readTrace(t, path)
}
