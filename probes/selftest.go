package probes

import (
	"fmt"
	"os"
	"reflect"
	"runtime"
	"strings"
	"time"

	"gilscope/internal/cpython"
)

// Check is the outcome of one operation of SelfTest.
type Check struct {
	Name   string
	Err    error  // nil: it worked
	Detail string // what was seen
}

// SelfTest performs the operations that recording needs, on this program
// itself, one by one: what a capability promises and what the kernel then does
// are two things. It also returns what hits cost, if that could be measured.
func SelfTest() ([]Check, []PerHit) {
	s, err := Open(Options{SampleHz: 999, RingBytes: 1 << 20})
	checks := []Check{{Name: "load and attach BPF programs", Err: err, Detail: "sched, fork, exec, exit, CPU clock"}}
	if err != nil {
		return checks, nil
	}
	defer s.Close()
	pid := os.Getpid()
	self := bpfTarget{Tgid: uint32(pid), PlacesN: 1} // no GIL is there: reads fail, hits count
	if err := s.put(pid, &self); err != nil {
		return append(checks, Check{Name: "describe a target", Err: err}), nil
	}
	checks = append(checks, s.checkUprobe(pid))
	checks = append(checks, s.checkRecords()...)
	cost, hits := s.checkCost()
	return append(checks, cost), hits
}

// checkCost measures what hits cost here.
func (s *Session) checkCost() (Check, []PerHit) {
	c := Check{Name: "cost of a probe hit"}
	hits, err := s.Calibrate(cpython.NOP5, cpython.Emulated, cpython.SingleStepped)
	if err != nil {
		c.Err = err
		return c, hits
	}
	var parts []string
	for _, h := range hits {
		parts = append(parts, fmt.Sprintf("%s %.2f us (with its record %.2f us)", h.Cost, us(h.Alone), us(h.Record)))
	}
	c.Detail = strings.Join(parts, ", ")
	return c, hits
}

func us(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

// probed is a function to attach to.
//
//go:noinline
func probed(n int) int { return n + 1 }

// checkUprobe attaches to our own probed, calls it and counts the hits.
func (s *Session) checkUprobe(pid int) Check {
	c := Check{Name: "attach a uprobe and count its hits", Detail: "uprobe_multi"}
	if !s.multi {
		c.Detail = "perf uprobe (kernel before 6.6)"
	}
	site, err := ownSite(reflect.ValueOf(probed).Pointer())
	if err == nil {
		err = s.attach(pid, group{{Program: bpfProgCondSignal, Site: site}}, false)
	}
	if err != nil {
		c.Err = permission(err)
		return c
	}
	const calls = 10
	for i := range calls {
		runtime.KeepAlive(probed(i))
	}
	counts, err := s.Counts()
	var hits uint64
	for _, n := range counts {
		hits += n.Hits
	}
	if c.Err = err; err == nil && hits != calls {
		c.Err = fmt.Errorf("%d calls gave %d hits", calls, hits)
	}
	return c
}

// ownSite finds where the function at addr lies in our own file.
func ownSite(addr uintptr) (cpython.Site, error) {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return cpython.Site{}, err
	}
	for line := range strings.Lines(string(maps)) {
		var from, to, off uint64
		var perms string
		if n, _ := fmt.Sscanf(line, "%x-%x %s %x", &from, &to, &perms, &off); n == 4 && uint64(addr) >= from && uint64(addr) < to {
			return cpython.Site{Name: "probed", Path: "/proc/self/exe", File: "gilscope", Offset: uint64(addr) - from + off}, nil
		}
	}
	return cpython.Site{}, fmt.Errorf("address %#x is in no mapping", addr)
}

// checkRecords keeps a CPU busy and looks for the records that this must leave.
func (s *Session) checkRecords() []Check {
	sched := Check{Name: "receive scheduling records", Detail: "through the ring buffer", Err: fmt.Errorf("none in 2 s")}
	sample := Check{Name: "receive CPU samples", Detail: "perf's CPU clock", Err: fmt.Errorf("none in 2 s: is the CPU clock of perf available?")}
	var b Batch
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end) && (sched.Err != nil || sample.Err != nil); {
		for begun := time.Now(); time.Since(begun) < 5*time.Millisecond; {
			runtime.KeepAlive(probed(1))
		}
		if err := s.Read(&b, time.Millisecond); err != nil {
			sched.Err, sample.Err = err, err
			break
		}
		for r, ok := b.Next(true); ok; r, ok = b.Next(true) {
			switch r.Kind {
			case KindSwitch:
				sched.Err = nil
			case KindSample:
				sample.Err = nil
			}
		}
	}
	return []Check{sched, sample}
}
