package probes

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// attachSamplers opens the kernel's CPU clock on every CPU, hz times a second,
// and runs the program at each tick. A clock in software works in every VM.
func attachSamplers(prog *ebpf.Program, hz int) ([]closer, error) {
	cpus, err := onlineCPUs()
	if err != nil {
		return nil, err
	}
	var out []closer
	for _, cpu := range cpus {
		c, err := attachSampler(prog, hz, cpu)
		if err != nil {
			return out, fmt.Errorf("sample CPU %d at %d Hz: %w: needs CAP_PERFMON, or record with --hz 0", cpu, hz, permission(err))
		}
		out = append(out, c)
	}
	return out, nil
}

type sampler struct {
	fd   int
	link link.Link
}

func attachSampler(prog *ebpf.Program, hz, cpu int) (*sampler, error) {
	attr := unix.PerfEventAttr{
		Type:   unix.PERF_TYPE_SOFTWARE,
		Config: unix.PERF_COUNT_SW_CPU_CLOCK,
		Sample: uint64(hz),
		Bits:   unix.PerfBitFreq,
	}
	attr.Size = uint32(unsafe.Sizeof(attr))
	fd, err := unix.PerfEventOpen(&attr, -1, cpu, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open perf event: %w", err)
	}
	l, err := link.AttachRawLink(link.RawLinkOptions{Target: fd, Program: prog, Attach: ebpf.AttachPerfEvent})
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("attach cpu_sample: %w", err)
	}
	return &sampler{fd, l}, nil
}

// Close stops the clock.
func (s *sampler) Close() error {
	err := s.link.Close()
	unix.Close(s.fd)
	return err
}

// onlineCPUs reads the kernel's list, such as "0-3,6".
func onlineCPUs() ([]int, error) {
	const path = "/sys/devices/system/cpu/online"
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read online CPUs: %w", err)
	}
	var cpus []int
	for part := range strings.SplitSeq(strings.TrimSpace(string(b)), ",") {
		lo, hi, isRange := strings.Cut(part, "-")
		first, err := strconv.Atoi(lo)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		last := first
		if isRange {
			if last, err = strconv.Atoi(hi); err != nil {
				return nil, fmt.Errorf("read %s: %w", path, err)
			}
		}
		for c := first; c <= last; c++ {
			cpus = append(cpus, c)
		}
	}
	return cpus, nil
}
