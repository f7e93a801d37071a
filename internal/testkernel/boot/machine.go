package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"gilscope/internal/testkernel"
)

// machine is a virtual machine of an ordinary kind, with the kernel and the root
// folder in its memory, and nothing else: no disk, no network.
type machine struct {
	emulator     emulator
	kernel, root string
	dir          string // for what it says
}

// emulator is the folder with QEMU and all it needs, of Debian 13. That of Debian
// 12 (7.2) has two faults that are the end of kernels from time to time: one
// CPU executes what another one has just replaced (the kernel patches itself
// when a tracepoint is attached), and cmpxchg16b leaves nonsense in the flags.
type emulator string

func emulatorOf(cache string) (emulator, error) {
	dir, err := cached(cache, "qemu", "trixie", func(s source, target string) error {
		_, err := s.apt("apt-get", "-qq", "install", "--yes", "--download-only", "--no-install-recommends", "qemu-system-x86")
		if err != nil {
			return err
		}
		return s.unpack(target, "cache/archives/*.deb")
	})
	return emulator(dir), err
}

// command starts QEMU with the libraries that came with it.
func (e emulator) command(args ...string) []string {
	lib := filepath.Join(string(e), "usr/lib/x86_64-linux-gnu")
	return append([]string{
		filepath.Join(lib, "ld-linux-x86-64.so.2"), "--library-path", lib,
		filepath.Join(string(e), "usr/bin/qemu-system-x86_64"),
		"-L", filepath.Join(string(e), "usr/share/qemu"), "-L", filepath.Join(string(e), "usr/share/seabios"),
	}, args...)
}

// patience is for one machine: emulated in software, on a host with other work,
// it takes some minutes.
const patience = 40 * time.Minute

// run boots the machine, waits until it is off, and returns what it sent.
func (m machine) run() ([]testkernel.Step, error) {
	console, lines := filepath.Join(m.dir, "console"), filepath.Join(m.dir, "steps")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	// As low as can be: others may be measuring.
	cmd := exec.CommandContext(ctx, "nice", append([]string{"-n", "19"}, m.emulator.command(m.arguments(console, lines)...)...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if _, err := output(cmd); err != nil {
		return nil, fmt.Errorf("the machine: %w; its console is in %s", err, console)
	}
	text, err := os.ReadFile(lines)
	if err != nil {
		return nil, err
	}
	steps, err := parse(text)
	if err != nil {
		return steps, fmt.Errorf("%w; its console is in %s", err, console)
	}
	return steps, nil
}

func (m machine) arguments(console, lines string) []string {
	return []string{
		"-accel", accelerator(), "-cpu", "max", "-smp", "2", "-m", "1024",
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-kernel", m.kernel, "-initrd", m.root, "-append", "console=ttyS0 panic=-1 loglevel=4",
		"-serial", "file:" + console, "-serial", "file:" + lines,
	}
}

// accelerator is kvm where the processor has what it takes, else software.
func accelerator() string {
	cpu, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "tcg"
	}
	flags := strings.Fields(string(cpu))
	for _, f := range flags {
		if f != "vmx" && f != "svm" {
			continue
		}
		if kvm, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0); err == nil {
			kvm.Close()
			return "kvm"
		}
	}
	return "tcg"
}

// parse reads the guest's lines; it is an error if it did not come to its end.
func parse(text []byte) ([]testkernel.Step, error) {
	var steps []testkernel.Step
	for line := range bytes.Lines(text) {
		var s testkernel.Step
		if err := json.Unmarshal(line, &s); err != nil {
			return steps, fmt.Errorf("line %d of the guest: %w", len(steps)+1, err)
		}
		steps = append(steps, s)
	}
	switch last := len(steps) - 1; {
	case last < 0:
		return nil, fmt.Errorf("the guest said nothing: the kernel did not come up")
	case steps[last].Name == testkernel.Failed:
		return steps, fmt.Errorf("the guest could not go on: %s", steps[last].Error)
	case steps[last].Name != testkernel.Done:
		return steps, fmt.Errorf("the guest went down after the step %s", steps[last].Name)
	}
	return steps, nil
}
