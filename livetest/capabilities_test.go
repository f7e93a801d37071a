package livetest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

var setLine = regexp.MustCompile(`(?m)^(Cap(?:Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs):\s*(\S+)$`)

// setsOf are the lines about privileges of each thread of a process.
func setsOf(t testing.TB, pid int) []map[string]string {
	t.Helper()
	paths, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	var all []map[string]string
	for _, path := range paths {
		if b, err := os.ReadFile(path); err == nil {
			all = append(all, parseSets(string(b)))
		}
	}
	if len(all) == 0 {
		t.Fatalf("pid %d has no threads", pid)
	}
	return all
}

func parseSets(status string) map[string]string {
	sets := map[string]string{}
	for _, m := range setLine.FindAllStringSubmatch(status, -1) {
		sets[m[1]] = m[2]
	}
	return sets
}

// checkSets holds every thread of a process to the set it may have, in all sets.
func checkSets(t testing.TB, pid int, names ...string) {
	t.Helper()
	for _, sets := range setsOf(t, pid) {
		for _, name := range []string{"CapPrm", "CapEff"} {
			if sets[name] != bitsOf(names...) {
				t.Errorf("%s %s, want %s", name, sets[name], bitsOf(names...))
			}
		}
		if sets["CapInh"] != bitsOf() || sets["CapAmb"] != bitsOf() || sets["NoNewPrivs"] != "1" {
			t.Errorf("what it starts could have more: %v", sets)
		}
	}
}

// kept is what a recorder keeps here while it records.
func kept(t testing.TB, more ...string) []string {
	names := append([]string{"BPF", "PERFMON", "SYS_PTRACE", "CHECKPOINT_RESTORE", "DAC_READ_SEARCH"}, more...)
	if !hasMulti(t) {
		names = append(names, "SYS_ADMIN")
	}
	return names
}

// TestPrivilegesGivenUp: a running recorder has what it needs and no more, in
// each of its threads.
func TestPrivilegesGivenUp(t *testing.T) {
	p := startBusy(t)
	for _, detail := range []string{"waits", "full", "auto"} {
		t.Run(detail, func(t *testing.T) {
			r := startRecord(t, "-p", fmt.Sprint(p.PID), "--detail", detail)
			checkSets(t, r.cmd.Process.Pid, kept(t)...)
			if err := r.cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			r.wait(t)
		})
	}
}

const tellSets = `
print(open("/proc/self/status").read(), flush=True)
import sys; sys.stdin.read()
`

// TestPrivilegesOfCommand: a launched command has what it would have without
// gilscope, while the recorder has given up the rest.
func TestPrivilegesOfCommand(t *testing.T) {
	mine := setsOf(t, os.Getpid())[0]
	caller := []string{"BPF", "PERFMON", "SYS_PTRACE"}
	for _, c := range []struct {
		name     string
		option   func(*exec.Cmd)
		recorder []string
		command  map[string]string
	}{
		{"root", func(*exec.Cmd) {}, kept(t, "KILL"), mine},
		{"sudo", underSudo, kept(t, "KILL"), ofUser(mine["CapBnd"])},
		{"capabilities", having(caller...), caller, ofUser(mine["CapBnd"], caller...)},
		{"file", asCaller(withFileCapabilities(t, "BPF", "PERFMON", "SYS_PTRACE", "DAC_READ_SEARCH")), []string{"BPF", "PERFMON"}, ofUser(mine["CapBnd"])},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd, status := startTelling(t, c.option)
			for name, want := range c.command {
				if got := parseSets(status)[name]; got != want {
					t.Errorf("the command has %s %s, want %s", name, got, want)
				}
			}
			checkSets(t, cmd.Process.Pid, c.recorder...)
			// The recorder may still signal a command that is another user's.
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if code := exitOf(t, cmd.Wait()); code != 143 {
				t.Errorf("after a SIGTERM it ended with %d, want the command's 143", code)
			}
		})
	}
}

// ofUser are the sets of an ordinary process of a user who was given capabilities.
func ofUser(bounding string, names ...string) map[string]string {
	sets := map[string]string{"CapBnd": bounding, "NoNewPrivs": "0"}
	for _, name := range []string{"CapPrm", "CapEff", "CapInh", "CapAmb"} {
		sets[name] = bitsOf(names...)
	}
	return sets
}

// startTelling records a command that tells its privileges and then waits.
func startTelling(t testing.TB, as func(*exec.Cmd)) (cmd *exec.Cmd, status string) {
	t.Helper()
	cmd = command(nil, as)
	dir := t.TempDir() // root's
	if cmd.SysProcAttr.Credential != nil {
		dir = dirOf(t, nobody)
	}
	cmd.Args = append(cmd.Args, "record", "-o", filepath.Join(dir, "t.pftrace"), "--", system, "-u", "-c", tellSets)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close(); cmd.Process.Kill(); cmd.Wait() })
	told := newLines(stdout)
	return cmd, readUntil(t, told, "CapAmb:") + readUntil(t, told, "NoNewPrivs:")
}

// readUntil returns the lines up to one that begins with the text.
func readUntil(t testing.TB, l lines, begin string) string {
	t.Helper()
	var seen []string
	for line := range l {
		if seen = append(seen, line); strings.HasPrefix(line, begin) {
			return strings.Join(seen, "\n") + "\n"
		}
	}
	t.Fatalf("no line begins with %q:\n%s", begin, strings.Join(seen, "\n"))
	return ""
}

// TestPrivilegesOfAnalysis: a program with file capabilities reads and writes
// with those of its caller only.
func TestPrivilegesOfAnalysis(t *testing.T) {
	r := startRecord(t, "-p", fmt.Sprint(startBusy(t).PID), "-d", "100ms")
	r.wait(t)
	private := filepath.Join(publicDir(t), "private")
	copyFile(t, r.trace, private)
	if err := os.Chmod(private, 0o600); err != nil {
		t.Fatal(err)
	}
	as := asCaller(withFileCapabilities(t, everything...))
	for _, args := range [][]string{{"report", private}, {"export", private, "--to", "text"}, {"view", private, "--no-open"}} {
		run(t, args, as).wants(t, 5, "permission denied")
	}
}

// withFileCapabilities is a copy of gilscope whose file has capabilities, as
// setcap gives them (linux/capability.h, struct vfs_cap_data).
func withFileCapabilities(t testing.TB, names ...string) string {
	t.Helper()
	path := filepath.Join(publicDir(t), "gilscope")
	copyFile(t, gilscope, path)
	const revision2, effective = 0x02000000, 1
	var permitted uint64
	for _, n := range names {
		permitted |= 1 << capabilityNumbers[n]
	}
	var data []byte
	for _, word := range []uint32{revision2 | effective, uint32(permitted), 0, uint32(permitted >> 32), 0} {
		data = append(data, byte(word), byte(word>>8), byte(word>>16), byte(word>>24))
	}
	if err := unix.Setxattr(path, "security.capability", data, 0); err != nil {
		t.Fatalf("give %s capabilities: %v: is %s on a file system with extended attributes?", path, err, os.TempDir())
	}
	out, err := exec.Command("setpriv", fmt.Sprint("--reuid=", nobody), "--clear-groups", path, "version").CombinedOutput()
	if err != nil || !slices.Contains(strings.Fields(string(out)), "gilscope") {
		t.Fatalf("%s does not start: %v\n%s", path, err, out)
	}
	return path
}
