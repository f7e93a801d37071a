package probes

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"
)

// needed names the kernels that gilscope runs on, for messages.
const needed = "gilscope needs Linux 5.15 or newer"

// need is a helper that the programs call, and the first Linux that has it (the
// kernel's include/uapi/linux/bpf.h, by release).
type need struct {
	helper asm.BuiltinFunc
	since  string
}

// needs are the newest of the helpers; a kernel with these has the others too.
var needs = []need{
	{asm.FnRingbufOutput, "5.8"},
	{asm.FnGetCurrentTaskBtf, "5.11"},
	{asm.FnTaskPtRegs, "5.15"},
	{asm.FnGetAttachCookie, "5.15"},
}

// String is the helper as C names it: FnTaskPtRegs is bpf_task_pt_regs.
func (n need) String() string {
	name := []byte("bpf")
	for _, c := range []byte(strings.TrimPrefix(n.helper.String(), "Fn")) {
		if c >= 'A' && c <= 'Z' {
			name = append(name, '_', c-'A'+'a')
		} else {
			name = append(name, c)
		}
	}
	return fmt.Sprintf("%s (Linux %s)", name, n.since)
}

// Kernel names the running kernel.
func Kernel() string {
	release, machine := uname()
	return "Linux " + release + " " + machine
}

// CheckKernel returns an error that wraps ErrKernel if the kernel is too old for
// the programs; it names what is missing. Distributions bring new things to old
// releases, so one before 5.15 is asked for each of them rather than refused.
func CheckKernel() error {
	release, _ := uname()
	if !before(release, 5, 15) {
		return nil // what else can be wrong, loading tells
	}
	return refusal(release, features.HaveProgramHelper)
}

// KernelBefore says whether the running kernel is older than the version.
func KernelBefore(major, minor int) bool {
	release, _ := uname()
	return before(release, major, minor)
}

// before says that the release is older; one that has no number is not.
func before(release string, major, minor int) bool {
	var x, y int
	n, _ := fmt.Sscanf(release, "%d.%d", &x, &y)
	return n == 2 && (x < major || x == major && y < minor)
}

// refusal says what a kernel lacks; have asks the kernel for a helper.
func refusal(release string, have func(ebpf.ProgramType, asm.BuiltinFunc) error) error {
	var missing []string
	asked := true
	for _, n := range needs {
		err := have(ebpf.Kprobe, n.helper)
		if errors.Is(err, ebpf.ErrNotSupported) {
			missing = append(missing, n.String())
		} else if err != nil {
			asked = false // without privileges, for example: then the number has to do
		}
	}
	switch {
	case len(missing) > 0:
		return fmt.Errorf("%w: this is Linux %s, without %s: %s", ErrKernel, release, strings.Join(missing, ", "), needed)
	case !asked:
		return fmt.Errorf("%w: this is Linux %s: %s", ErrKernel, release, needed)
	}
	return nil
}

func uname() (release, machine string) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", ""
	}
	return unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:])
}
