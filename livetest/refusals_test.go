package livetest

import (
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"gilscope/internal/testpy"
)

// TestRefusedTargets: what cannot be recorded is refused with its exit code and a remedy.
func TestRefusedTargets(t *testing.T) {
	out := filepath.Join(t.TempDir(), "t.pftrace")
	record := func(pid any, options ...func(*exec.Cmd)) outcome {
		return run(t, []string{"record", "-d", "100ms", "-o", out, "-p", fmt.Sprint(pid)}, options...)
	}
	t.Run("not Python", func(t *testing.T) {
		record(startSleep(t)).wants(t, 4, "sleep", "pick the process that runs Python")
	})
	t.Run("gone", func(t *testing.T) {
		cmd := exec.Command("true")
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		record(cmd.Process.Pid).wants(t, 4, "no such process")
	})
	t.Run("no process", func(t *testing.T) {
		record(0).wants(t, 2, "-p 0", "give the number of a process")
		record(-5).wants(t, 2, "-p -5", "give the number of a process")
		record("abc").wants(t, 2, "abc", "gilscope record --help")
		record(99999999).wants(t, 4, "no such process")
		run(t, []string{"record"}).wants(t, 2, "give -p PID")
	})
	t.Run("unprivileged", func(t *testing.T) {
		record(startBusy(t).PID, asNobody).wants(t, 4, "not permitted", "root")
		run(t, []string{"record", "-o", "/tmp/never.pftrace", "--", "/usr/bin/python3.11", "-c", "pass"}, asNobody).wants(t, 4,
			"not permitted", "run as root (sudo)", "CAP_BPF")
	})
	for _, version := range []string{"3.6.15", "3.7.16", "2.7.18"} {
		path := oldPython(t, version)
		if path == "" {
			t.Logf("NOT TESTED: Python %s is not on this machine", version)
			continue
		}
		t.Run(version, func(t *testing.T) {
			p := testpy.StartCommand(t, exec.Command(path, "-u", "-c", readyScript))
			record(p.PID).wants(t, 4, "Python", "3.8")
		})
	}
	if _, err := os.Stat(out); err == nil {
		t.Errorf("a refused recording left a file")
	}
}

func startSleep(t testing.TB) int {
	t.Helper()
	cmd := exec.Command("sleep", "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd.Process.Pid
}

// oldPython is where an interpreter that gilscope refuses is, "" if this machine
// has none. CI must have it.
func oldPython(t testing.TB, version string) string {
	t.Helper()
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(home, ".pyenv/versions", version, "bin/python"+version[:3])
	if _, err := os.Stat(path); err == nil {
		return path
	} else if os.Getenv("CI") != "" {
		t.Fatalf("%v: run: pyenv install %s", err, version)
	}
	return ""
}

// TestRefusedStates: stopped and traced targets are refused, recorded with --force, and go on afterwards.
func TestRefusedStates(t *testing.T) {
	t.Run("stopped", func(t *testing.T) {
		p := startBusy(t)
		if err := syscall.Kill(p.PID, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		var info unix.Siginfo
		if err := unix.Waitid(unix.P_PID, p.PID, &info, unix.WSTOPPED|unix.WNOWAIT, nil); err != nil {
			t.Fatal(err)
		}
		refusedThenForced(t, p, "is stopped", fmt.Sprintf("kill -CONT %d", p.PID), "--force")
		if err := syscall.Kill(p.PID, syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		if err := p.Stop(); err != nil {
			t.Errorf("the target was harmed: %v", err)
		}
	})
	t.Run("traced", func(t *testing.T) {
		p := startBusy(t)
		seize(t, p.PID)
		refusedThenForced(t, p, "is being traced by pid", "detach the tracer", "--force")
		if err := p.Stop(); err != nil {
			t.Errorf("the target was harmed: %v", err)
		}
	})
}

func refusedThenForced(t testing.TB, p *testpy.Proc, words ...string) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "t.pftrace")
	args := []string{"record", "-d", "100ms", "-o", out, "-p", fmt.Sprint(p.PID)}
	run(t, args).wants(t, 4, words...)
	run(t, []string{"doctor", "-p", fmt.Sprint(p.PID)}).wants(t, 4, words[0])
	run(t, append(args, "--force")).wants(t, 0, "wrote "+out)
}

// seize traces a process, without stopping it, until the test ends.
func seize(t testing.TB, pid int) {
	t.Helper()
	attached, done := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine, and with it the tracing
		attached <- unix.PtraceSeize(pid)
		<-done
	}()
	if err := <-attached; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(done) })
}

// TestRefusedOutput: nothing but a file of one's own is written to.
func TestRefusedOutput(t *testing.T) {
	p, dir := startBusy(t), t.TempDir()
	victim, link, fifo := filepath.Join(dir, "victim"), filepath.Join(dir, "link"), filepath.Join(dir, "fifo")
	second, open := filepath.Join(dir, "second"), filepath.Join(dir, "open")
	for _, err := range []error{
		os.WriteFile(victim, []byte("precious"), 0o644), os.Symlink(victim, link), os.Link(victim, second),
		unix.Mkfifo(fifo, 0o644), os.Mkdir(open, 0o777), os.Chmod(open, 0o777),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ path, says string }{
		{filepath.Join(dir, "missing", "t.pftrace"), "create it first"},
		{link, "choose another -o FILE"},
		{fifo, "choose another -o FILE"},
		{second, "hard link"},
		{dir, "choose another -o FILE"},
		{"/dev/null", "choose another -o FILE"},
		{"/proc/t.pftrace", "choose another -o FILE"},
		{filepath.Join(open, "t.pftrace"), "chmod o-w"},
	} {
		t.Run(c.path, func(t *testing.T) {
			run(t, []string{"record", "-d", "100ms", "-p", fmt.Sprint(p.PID), "-o", c.path}).wants(t, 5, c.path[:3], c.says)
		})
	}
	if b, _ := os.ReadFile(victim); string(b) != "precious" {
		t.Errorf("the victim was written to: %q", b)
	}
	if err := p.Stop(); err != nil {
		t.Errorf("the target was harmed: %v", err)
	}
}

// TestRefusedFiles: what cannot be read or written by an analysis, without privileges.
func TestRefusedFiles(t *testing.T) {
	dir := publicDir(t)
	write := func(name string, data []byte, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	random := make([]byte, 4096)
	rand.Read(random)
	random[0] = 0xff // never the tag of a packet
	r := startRecord(t, "-p", fmt.Sprint(startBusy(t).PID), "-d", "100ms")
	r.wait(t)
	ours, err := os.ReadFile(r.trace)
	if err != nil {
		t.Fatal(err)
	}
	private, public := write("private", ours, 0o600), write("public", ours, 0o644)
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"report", write("random", random, 0o644)}, "not a Perfetto trace"},
		{[]string{"report", write("empty", nil, 0o644)}, "not a"},
		{[]string{"report", write("other", []byte{0x0a, 0x02, 0x40, 0x01}, 0o644)}, "not a gilscope recording"}, // one packet: timestamp 1
		{[]string{"view", write("other2", []byte{0x0a, 0x02, 0x40, 0x01}, 0o644), "--no-open", "--port", "0"}, "not a gilscope recording"},
		{[]string{"report", filepath.Join(dir, "missing")}, "gilscope record"},
		{[]string{"report", dir}, "directory"},
		{[]string{"report", private}, "permission denied"},
		{[]string{"report", public, "-o", filepath.Join(dir, "report.txt")}, "choose a directory you may write to"},
		{[]string{"export", public, "--to", "pprof", "-o", filepath.Join(dir, "p.pb.gz")}, "choose a directory you may write to"},
		{[]string{"check", public, "--assert", "gil.wait.max<1h", "--out", "junit=" + filepath.Join(dir, "x", "j.xml")}, "create it first"},
	} {
		t.Run(strings.Join(c.args[:2], " "), func(t *testing.T) {
			run(t, c.args, asNobody).wants(t, 5, c.says)
		})
	}
	run(t, []string{"report", public}, asNobody).wants(t, 0, "GIL")
}

// TestNoBTF covers the kernel's type information for one process, and wants to be told what is missing.
func TestNoBTF(t *testing.T) {
	hide := func(cmd *exec.Cmd) {
		cmd.Args = append([]string{"unshare", "-m", "sh", "-c", `mount -t tmpfs none /sys/kernel/btf && exec "$@"`, "sh", gilscope}, cmd.Args[1:]...)
		path, err := exec.LookPath("unshare")
		if err != nil {
			t.Fatalf("%v: install util-linux", err)
		}
		cmd.Path = path
	}
	for _, args := range [][]string{{"doctor"}, {"record", "-d", "100ms", "-p", fmt.Sprint(startBusy(t).PID), "-o", filepath.Join(t.TempDir(), "t")}} {
		run(t, args, hide).wants(t, 4, "no kernel BTF at /sys/kernel/btf/vmlinux", "CONFIG_DEBUG_INFO_BTF=y")
	}
}
