package probes

import (
	"fmt"
	"os"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"gilscope/internal/cpython"
)

// PerHit is what a hit of a probe costs the thread that hits it.
type PerHit struct {
	Cost   cpython.Cost
	Alone  time.Duration // of a hit that tells nothing (a foreign condition variable)
	Record time.Duration // of a take, with its record
}

// kind is a kind of site, and private functions of which the first one, when it
// is called with the address of a condition variable, runs an instruction of the
// kind at the address that the second one tells. They are in calibrate_*.s, for
// each machine those that it has.
type kind struct {
	cost cpython.Cost
	hit  func(cond uintptr)
	addr func() uintptr
}

// Calibrate measures what a hit costs on this machine, for each kind of site,
// on private functions of this very process. It takes some milliseconds (single-stepped
// ones: 50) and needs a session that records nothing else. Its probes stay until
// EndCalibration: the kernel may take its time to take them off.
func (s *Session) Calibrate(costs ...cpython.Cost) ([]PerHit, error) {
	gil, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("calibrate: memory for a GIL: %w", err)
	}
	defer unix.Munmap(gil)
	gil[0] = 1 // there is a page now, for the programs cannot fault it in
	addr := uintptr(unsafe.Pointer(&gil[0]))
	pid := os.Getpid()
	self := bpfTarget{Tgid: uint32(pid), PlacesN: 1}
	self.Places[0].Gil = uint64(addr)
	if err := s.put(pid, &self); err != nil {
		return nil, fmt.Errorf("calibrate: %w", err)
	}
	defer s.objs.Targets.Delete(uint32(pid))
	var out []PerHit
	for _, k := range kinds {
		if !slices.Contains(costs, k.cost) {
			continue
		}
		hit, err := s.calibrate(pid, k.cost, k.hit, k.addr(), addr)
		if err != nil {
			return out, fmt.Errorf("calibrate %v sites: %w", k.cost, permission(err))
		}
		out = append(out, hit)
	}
	return out, nil
}

// EndCalibration takes the probes off that Calibrate left, behind the caller's back.
func (s *Session) EndCalibration() { s.UnhookLater(os.Getpid()) }

func (s *Session) calibrate(pid int, cost cpython.Cost, hit func(uintptr), addr, gil uintptr) (PerHit, error) {
	const foreign = 4096 // offset of a condition variable that is none of the GIL's
	site, err := ownSite(addr)
	if err != nil {
		return PerHit{}, err
	}
	base := shortest(hit, gil+foreign)
	if err := s.attach(pid, group{{Program: bpfProgCondSignal, Site: site}}, false); err != nil {
		return PerHit{}, err
	}
	return PerHit{cost, shortest(hit, gil+foreign) - base, shortest(hit, gil+switchCond) - base}, nil
}

// shortest is how long one call takes at best: of some batches the fastest, the
// others were disturbed.
func shortest(hit func(uintptr), cond uintptr) time.Duration {
	const batches, calls = 40, 25
	best := time.Hour
	for range batches {
		begin := time.Now()
		for range calls {
			hit(cond)
		}
		best = min(best, time.Since(begin)/calls)
	}
	return best
}
