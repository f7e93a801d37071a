package collector

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"gilscope/internal/cpython"
	"gilscope/probes"
)

// CheckTarget returns an error if the process is in a state in which it cannot be recorded.
func CheckTarget(pid int) error { return checkTarget(pid, false) }

// initialPIDNamespace is the inode of the first pid namespace (the kernel's
// include/linux/proc_ns.h, PROC_PID_INIT_INO).
const initialPIDNamespace = "pid:[4026531836]"

// CheckNamespace returns an error if we are in a pid namespace of our own: the
// kernel numbers threads by the host's, and we would know none of them.
func CheckNamespace() error {
	ns, err := os.Readlink("/proc/self/ns/pid")
	if err != nil || ns == initialPIDNamespace {
		return nil
	}
	return fmt.Errorf("gilscope runs in the pid namespace %s: %w: run it on the host, or in a container that shares the host's (--pid=host)", ns, probes.ErrKernel)
}

// CheckFile returns an error if the interpreter's file on disk is another one
// than the process has mapped: it was deleted or replaced since.
func CheckFile(p *cpython.Process) error {
	path := strings.TrimSuffix(p.Build.Path, " (deleted)")
	for _, m := range p.Maps() {
		if m.Path != p.Build.Path || m.Inode == 0 {
			continue
		}
		var st unix.Stat_t
		if err := unix.Stat(fmt.Sprintf("/proc/%d/root%s", p.PID, path), &st); err == nil && st.Ino == m.Inode {
			return nil
		}
		return fmt.Errorf("%s was deleted or replaced since the start of pid %d; the file that it has mapped is used (needs CAP_CHECKPOINT_RESTORE or root)", path, p.PID)
	}
	return nil
}

// FrozenBy is the cgroup that keeps the process frozen, "" if none does.
func FrozenBy(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for _, f := range freezers {
			state, err := os.ReadFile(f.mount + parts[2] + f.file)
			if parts[1] == f.controller && err == nil && strings.Contains(string(state), f.mark) {
				return parts[2]
			}
		}
	}
	return ""
}

// freezers are the places where a cgroup says that it is frozen.
var freezers = []struct{ controller, mount, file, mark string }{
	{"", "/sys/fs/cgroup", "/cgroup.events", "frozen 1"},
	{"", "/sys/fs/cgroup/unified", "/cgroup.events", "frozen 1"},  // beside version 1
	{"freezer", "/sys/fs/cgroup/freezer", "/freezer.state", "FR"}, // FROZEN, or FREEZING still
}

// Children are the processes that the process has started and that still run.
func Children(pid int) []int {
	all := []int{}
	tids, _ := tasks(pid)
	for _, tid := range tids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, tid))
		if err != nil {
			continue
		}
		for _, f := range strings.Fields(string(b)) {
			if child, err := strconv.Atoi(f); err == nil {
				all = append(all, child)
			}
		}
	}
	return all
}

// CheckMemory reads memory the way targets are read, from the parent process:
// reading one's own is allowed to everybody and would prove nothing.
func CheckMemory() error {
	err := tryRead(os.Getppid())
	if err == nil || errors.Is(err, unix.EFAULT) || errors.Is(err, unix.ESRCH) {
		return nil
	}
	return fmt.Errorf("read memory of pid %d: %w (%w): run as root, or grant CAP_SYS_PTRACE", os.Getppid(), probes.ErrPermission, err)
}
