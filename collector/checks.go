package collector

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"gilscope/probes"
)

// Kernel names the running kernel.
func Kernel() string {
	u := uname()
	return "Linux " + u.release + " " + u.machine
}

// CheckKernel returns an error if the kernel is older than what the programs need.
func CheckKernel() error {
	var major, minor int
	if n, _ := fmt.Sscanf(uname().release, "%d.%d", &major, &minor); n != 2 {
		return nil // a release that says nothing; loading will tell
	}
	if major < 5 || major == 5 && minor < 15 {
		return fmt.Errorf("%s: %w: gilscope needs Linux 5.15 or newer", Kernel(), probes.ErrKernel)
	}
	return nil
}

// CheckTarget returns an error if the process is in a state in which it cannot be recorded.
func CheckTarget(pid int) error { return checkTarget(pid, false) }

// CheckMemory reads memory the way targets are read, from the parent process:
// reading one's own is allowed to everybody and would prove nothing.
func CheckMemory() error {
	var b [8]byte
	local := []unix.Iovec{{Base: &b[0], Len: uint64(len(b))}}
	// An address that is never mapped: permission is checked before the address.
	remote := []unix.RemoteIovec{{Base: uintptr(unsafe.Sizeof(b)), Len: len(b)}}
	_, err := unix.ProcessVMReadv(os.Getppid(), local, remote, 0)
	if err == nil || errors.Is(err, unix.EFAULT) || errors.Is(err, unix.ESRCH) {
		return nil
	}
	return fmt.Errorf("read memory of pid %d: %w (%w): run as root, or grant CAP_SYS_PTRACE", os.Getppid(), probes.ErrPermission, err)
}
