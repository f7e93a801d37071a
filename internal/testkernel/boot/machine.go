package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"gilscope/internal/testapt"
	"gilscope/internal/testkernel"
)

// machine is a virtual machine of an ordinary kind, with the kernel and the root
// folder in its memory, and nothing else: no disk, no network.
type machine struct {
	emulator     emulator
	kernel, root string
	dir          string // for what it says
}

// emulator is QEMU for a kind of machine, in a folder with all it needs, of
// Debian 13. That of Debian 12 (7.2) has two faults that are the end of kernels
// from time to time: one CPU executes what another one has just replaced (the
// kernel patches itself when a tracepoint is attached), and cmpxchg16b leaves
// nonsense in the flags.
type emulator struct {
	arch
	dir string
}

func emulatorOf(cache string, a arch) (emulator, error) {
	dir, err := cached(cache, "qemu-"+a.name, "trixie", hostArch, func(s testapt.Suite, target string) error {
		return install(s, target, a.qemu)
	})
	return emulator{a, dir}, err
}

// hostArch is the machine that this runs on, for which QEMU is got: the loader
// below is this one's.
const hostArch = "amd64"

// command starts QEMU with the libraries that came with it.
func (e emulator) command(args ...string) []string {
	lib := filepath.Join(e.dir, "usr/lib/x86_64-linux-gnu")
	command := []string{
		filepath.Join(lib, "ld-linux-x86-64.so.2"), "--library-path", lib, filepath.Join(e.dir, "usr/bin", e.program),
	}
	for _, dir := range e.firmware {
		command = append(command, "-L", filepath.Join(e.dir, dir))
	}
	return append(append(command, e.machine...), args...)
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
	if _, err := testapt.Output(cmd); err != nil {
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
		"-accel", m.emulator.accelerator(), "-cpu", "max", "-smp", "2", "-m", "1024",
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-kernel", m.kernel, "-initrd", m.root, "-append", fmt.Sprintf("console=%s panic=-1 loglevel=4 %s=/dev/%s", m.emulator.ports[0], testkernel.PortArg, m.emulator.ports[1]),
		"-serial", "file:" + console, "-serial", "file:" + lines,
	}
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
