package probes

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// MinRingBytes is the least size of a ring: what 10,000 events need.
const MinRingBytes = 1 << 20

// objects are what is loaded.
type objects struct {
	bpfObjects
	Data *ebpf.Map `ebpf:".bss"` // variables that the reader changes
}

// maps are all maps but constants, by name.
func (o *objects) maps() map[string]*ebpf.Map {
	return map[string]*ebpf.Map{
		bpfMapCounters: o.Counters, bpfMapHostTids: o.HostTids, bpfMapLoopScratches: o.LoopScratches, bpfMapLoops: o.Loops, bpfMapLags: o.Lags,
		bpfMapRing: o.Ring, bpfMapScratches: o.Scratches, bpfMapTargets: o.Targets, bpfMapThreads: o.Threads, bpfMapUsages: o.Usages,
		".bss": o.Data,
	}
}

// Close lets the kernel have back what is loaded.
func (o *objects) Close() error { return errors.Join(o.bpfObjects.Close(), o.Data.Close()) }

// loadWithRing loads everything, with half the ring as long as the kernel has not
// enough memory, or may not use it for us (the limit of a cgroup).
func (s *Session) loadWithRing(spec *ebpf.CollectionSpec, bytes int) error {
	ring := spec.Maps[bpfMapRing]
	if bytes != 0 {
		ring.MaxEntries = uint32(bytes)
	}
	for {
		if err := spec.Variables[bpfVarWakeAt].Set(uint64(ring.MaxEntries / 4)); err != nil {
			return fmt.Errorf("set when to wake the reader: %w", err)
		}
		err := spec.LoadAndAssign(&s.objs, nil)
		if !errors.Is(err, unix.ENOMEM) || ring.MaxEntries <= MinRingBytes {
			return err
		}
		ring.MaxEntries /= 2
	}
}

// RingBytes is the size that the ring has.
func (s *Session) RingBytes() int { return int(s.objs.Ring.MaxEntries()) }
