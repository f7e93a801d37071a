package main

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
)

// arch is a kind of machine to boot: what here depends on it.
type arch struct {
	name     string         // as Debian and Go call it
	program  string         // QEMU's
	qemu     string         // the package with it
	machine  []string       // arguments of QEMU for an ordinary machine of the kind
	ports    [2]string      // the kernel's names of the serial ports: the console, and where the guest sends its lines
	kernel   string         // the package that depends on a suite's newest kernel; the variant for clouds is small and has BTF
	kernels  *regexp.Regexp // packages that can have the kernel itself in them; newer suites have it in one of its own
	fast     string         // the word in /proc/cpuinfo that promises KVM; "": there is none
	firmware []string       // folders with QEMU's, below its root
}

var archs = []arch{
	{
		name: "amd64", program: "qemu-system-x86_64", qemu: "qemu-system-x86", machine: []string{"-machine", "pc"},
		ports: [2]string{"ttyS0", "ttyS1"}, kernel: "linux-image-cloud-amd64",
		kernels: regexp.MustCompile(`^linux-(image|binary)-[0-9].*-cloud-amd64$`),
		fast:    "vmx svm", firmware: []string{"usr/share/qemu", "usr/share/seabios"},
	},
	{
		name: "arm64", program: "qemu-system-aarch64", qemu: "qemu-system-arm", machine: []string{"-machine", "virt"},
		ports: [2]string{"ttyAMA0", "ttyAMA1"}, kernel: "linux-image-cloud-arm64",
		kernels:  regexp.MustCompile(`^linux-(image|binary)-[0-9].*-cloud-arm64$`),
		firmware: []string{"usr/share/qemu"},
	},
}

// archOf is the kind of machine with that name.
func archOf(name string) (arch, error) {
	var known []string
	for _, a := range archs {
		if a.name == name {
			return a, nil
		}
		known = append(known, a.name)
	}
	return arch{}, fmt.Errorf("machines of the kind %q are unknown here: choose from %s", name, strings.Join(known, ", "))
}

// accelerator is kvm where the processor has what it takes, else software.
func (a arch) accelerator() string {
	cpu, err := os.ReadFile("/proc/cpuinfo")
	if err != nil || a.name != runtime.GOARCH {
		return "tcg"
	}
	for _, word := range strings.Fields(a.fast) {
		if !strings.Contains(string(cpu), " "+word+" ") {
			continue
		}
		if kvm, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0); err == nil {
			kvm.Close()
			return "kvm"
		}
	}
	return "tcg"
}
