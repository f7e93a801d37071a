package probes

import (
	"encoding/binary"
	"fmt"
	"io"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// Offsets in struct usage, see bpf/wire.h.
const (
	usageHits  = int64(unsafe.Offsetof(bpfUsage{}.Hits))
	usageLimit = int64(unsafe.Offsetof(bpfUsage{}.Limit))
	usageRares = int64(unsafe.Offsetof(bpfUsage{}.Rares))
	usageSize  = int64(unsafe.Sizeof(bpfUsage{}))
	usages     = 4096
)

func slot(pid int) int64 { return int64(pid&(usages-1)) * usageSize }

// Hits is how often the probes of a process were hit since it is a target,
// braked hits included.
func (s *Session) Hits(pid int) uint64 { return s.used(pid, usageHits) }

// RareHits is how often the probes on functions that run seldom were hit in a process, or in another one
// that shares its counter: only how much it rises tells something.
func (s *Session) RareHits(pid int) uint64 { return s.used(pid, usageRares) }

func (s *Session) used(pid int, field int64) uint64 {
	var b [8]byte
	if _, err := s.usage.ReadAt(b[:], slot(pid)+field); err != nil {
		return 0
	}
	return binary.NativeEndian.Uint64(b[:])
}

// Allow lets the probes of a process be hit n more times. The next hit makes a
// record of KindBrake, and from then on hits tell nothing, until Allow is called again.
func (s *Session) Allow(pid int, n uint64) {
	s.limit(pid, s.Hits(pid)+max(n, 1))
}

// Spent says that the probes of a process have been hit as often as they may, and
// tell nothing since.
func (s *Session) Spent(pid int) bool {
	limit := s.used(pid, usageLimit)
	return limit != 0 && s.Hits(pid) > limit
}

// AllowAll lets the probes of a process be hit without a limit.
func (s *Session) AllowAll(pid int) { s.limit(pid, 0) }

func (s *Session) limit(pid int, limit uint64) {
	var b [8]byte
	binary.NativeEndian.PutUint64(b[:], limit)
	s.usage.WriteAt(b[:], slot(pid)+usageLimit)
}

// Hush makes the probes of a process tell nothing, and takes them off. That takes
// the kernel some time, so it happens behind the caller's back.
func (s *Session) Hush(pid int) {
	s.limit(pid, 1)
	s.UnhookLater(pid)
}

// UnhookLater is Unhook, but does not wait for the kernel: that takes it a tenth
// of a second and more, in which a program that has just begun would not be seen.
func (s *Session) UnhookLater(pid int) {
	for _, l := range s.hooks[pid] {
		if shared, ok := l.(*sharedHook); ok {
			if l = shared.release(); l == nil {
				continue
			}
		}
		s.leave.Add(1)
		go func() {
			defer s.leave.Done()
			l.Close()
		}()
	}
	delete(s.hooks, pid)
}

// Attach puts a plan's hooks into a process that is observed without them.
func (s *Session) Attach(pid int, plan Plan, shared bool) error {
	for _, g := range groups(plan.Hooks) {
		if err := s.attach(pid, g, shared); err != nil {
			return fmt.Errorf("attach to pid %d: %v: %w: try another --gil-backend", pid, g, permission(err))
		}
	}
	return nil
}

// MeasureRunTime makes the kernel measure how long programs run, until the
// returned value is closed. That costs some 20 ns a run, so it is for samples of time.
func (s *Session) MeasureRunTime() (io.Closer, error) {
	c, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		return nil, fmt.Errorf("measure the run time of BPF programs: %w", permission(err))
	}
	return c, nil
}

// RunTime is how long the programs that serve all targets have run, in all; it
// rises only while MeasureRunTime is on.
func (s *Session) RunTime() time.Duration {
	var sum time.Duration
	for _, p := range append(append(s.always(), s.objs.CpuSample), s.loopPrograms()...) {
		if st, err := p.Stats(); err == nil {
			sum += st.Runtime
		}
	}
	return sum
}
