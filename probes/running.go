package probes

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// onCPU makes the kernel run a program on the CPU that is named (BPF_F_TEST_RUN_ON_CPU, linux/bpf.h).
const onCPU = 1

// AskRunning asks for a KindRunning of each thread of a target that is on a CPU now. Otherwise a thread
// that was there when its recording began would not be known to run until it leaves: with a CPU to itself,
// after seconds.
func (s *Session) AskRunning() error {
	cpus, err := onlineCPUs()
	if err != nil {
		return err
	}
	for _, cpu := range cpus {
		_, err := s.objs.Running.Run(&ebpf.RunOptions{Flags: onCPU, CPU: uint32(cpu)})
		if err != nil && !errors.Is(err, unix.ENXIO) { // gone offline
			return fmt.Errorf("ask which thread is on CPU %d: %w", cpu, permission(err))
		}
	}
	return nil
}
