package collector

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"gilscope/probes"
)

// capabilities is a set of Linux capabilities: bit n stands for number n of
// linux/capability.h.
type capabilities uint64

func capabilitiesOf(numbers ...int) capabilities {
	var c capabilities
	for _, n := range numbers {
		c |= 1 << n
	}
	return c
}

// loading is what takes the kernel to load and attach BPF programs. It does not
// let a process look into others.
var loading = capabilitiesOf(unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_SYS_ADMIN)

// recording is what a recording needs to its end: programs are attached to what
// a target becomes by an exec, to its children, and again when detail auto tries
// full; code objects and names are read, and files of targets are opened, when
// they are first seen in a stack.
var recording = capabilitiesOf(unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_SYS_PTRACE, unix.CAP_CHECKPOINT_RESTORE, unix.CAP_DAC_READ_SEARCH)

// privileges are the sets of capabilities(7) of a thread. All our threads have the same.
type privileges struct {
	permitted, effective, inheritable capabilities
}

func ownPrivileges() (privileges, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return privileges{}, fmt.Errorf("read our own capabilities: %w: a seccomp filter may forbid it, allow capget", err)
	}
	join := func(low, high uint32) capabilities { return capabilities(low) | capabilities(high)<<32 }
	return privileges{
		join(data[0].Permitted, data[1].Permitted), join(data[0].Effective, data[1].Effective), join(data[0].Inheritable, data[1].Inheritable),
	}, nil
}

// ambient is the set of those that our caller has, too, up to the last that the
// kernel knows: a program gets it from whoever starts it, and the kernel empties
// it for a file with its own.
func ambient() capabilities {
	var c capabilities
	for n := range uintptr(64) {
		yes, err := unix.PrctlRetInt(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_IS_SET, n, 0, 0)
		if err != nil {
			break
		}
		c |= capabilities(yes) << n
	}
	return c
}

// LimitToCaller makes the program's own privileges no way around the kernel's
// rules for its caller. If the caller is not root and the capabilities come from
// the program's file (setcap), it keeps those that load BPF programs and gives
// up the others, with which it would read what the caller may not: from then on
// the kernel judges by the caller. A setuid or setgid program is refused. To be
// called first of all.
func LimitToCaller() error {
	if unix.Getuid() != unix.Geteuid() || unix.Getgid() != unix.Getegid() {
		return fmt.Errorf("gilscope is installed setuid or setgid: %w: chmod u-s,g-s it; use sudo, or setcap cap_bpf,cap_perfmon+ep", probes.ErrPermission)
	}
	if unix.Getuid() == 0 {
		return nil
	}
	own, err := ownPrivileges()
	if err != nil || own.permitted == 0 {
		return err
	}
	keep := loading | ambient()
	if own.permitted&^keep != 0 {
		own.permitted &= keep
		own.effective &= keep
		if err := own.set(); err != nil {
			return err
		}
	}
	// The kernel has closed /proc/self to a program with capabilities of its file,
	// but loading BPF programs reads the kernel's version there. To others of the
	// caller's processes we remain closed: they have fewer capabilities.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("open /proc/self to ourselves: %w: a seccomp filter may forbid it, allow prctl", err)
	}
	return nil
}

// kept are the capabilities that this recording needs to its end, given our own.
func (s *session) kept(own privileges) capabilities {
	keep := recording
	if len(s.o.Command) > 0 {
		keep |= capabilitiesOf(unix.CAP_KILL) // it may run as another user
	}
	bpf := capabilitiesOf(unix.CAP_BPF, unix.CAP_PERFMON)
	if own.permitted&bpf != bpf || probes.KernelBefore(6, 6) {
		keep |= capabilitiesOf(unix.CAP_SYS_ADMIN) // in their place, or for uprobes without uprobe_multi
	}
	return keep
}

// giveUp gives up what is not needed any more once all is loaded, attached and
// opened, for good, so that a mistake of ours later on can do less.
func (s *session) giveUp() error {
	own, err := ownPrivileges()
	if err != nil {
		return err
	}
	keep := s.kept(own)
	return privileges{permitted: own.permitted & keep, effective: own.effective & keep}.set()
}

// set makes the permitted, effective and inheritable sets those of all threads.
// The kernel takes what they lack from the ambient set.
func (p privileges) set() error {
	header, data := p.words()
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data)), 0)
	return onAllThreads("set capabilities", errno)
}

// words are the sets as capset(2) takes them.
func (p privileges) words() (header unix.CapUserHeader, data [2]unix.CapUserData) {
	for i := range data {
		data[i] = unix.CapUserData{
			Effective: uint32(p.effective >> (32 * i)), Permitted: uint32(p.permitted >> (32 * i)), Inheritable: uint32(p.inheritable >> (32 * i)),
		}
	}
	return unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, data
}

// noNewPrivileges makes sure that no program that we would start gains any.
func noNewPrivileges() error {
	_, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0)
	return onAllThreads("refuse new privileges", errno)
}

func onAllThreads(what string, errno syscall.Errno) error {
	switch errno {
	case 0:
		return nil
	case syscall.ENOTSUP:
		return fmt.Errorf("%s of all threads: %w: this gilscope was built with cgo, build it with CGO_ENABLED=0", what, errno)
	}
	return fmt.Errorf("%s of all threads: %w: a seccomp filter may forbid it, allow capset and prctl", what, errno)
}
