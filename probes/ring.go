package probes

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// MinRingBytes is the least size of a ring: what 10,000 events need.
const MinRingBytes = 1 << 20

// objects are what is loaded.
type objects struct {
	bpfObjects
	bss
}

type bss struct {
	Data *ebpf.Map `ebpf:".bss"` // variables that the reader changes
}

// onSingle and onAll are the programs on tracepoints of system calls, of single ones and of all. They are loaded
// when they turn out to be needed: to prove them takes the kernel a quarter of the time that attaching takes.
var onSingle, onAll = []string{bpfProgLoopWaitsHere, bpfProgLoopGoesOnHere}, []string{bpfProgLoopWaits, bpfProgLoopGoesOn}

// load loads all but the programs on tracepoints of system calls. To prove that programs are harmless takes
// the kernel most of the time, so two halves, about as dear, are loaded at a time.
func (o *objects) load(spec *ebpf.CollectionSpec, types *btf.Cache) error {
	bare := *spec
	bare.Programs = nil
	all, err := ebpf.NewCollectionWithOptions(&bare, ebpf.CollectionOptions{Cache: types})
	if err != nil {
		return err
	}
	defer all.Close()
	if err := errors.Join(all.Assign(&o.bpfMaps), all.Assign(&o.bpfVariables), all.Assign(&o.bss)); err != nil {
		return err
	}
	halves := [2]map[string]*ebpf.ProgramSpec{{}, {}}
	for name, p := range spec.Programs {
		if !slices.Contains(onSingle, name) && !slices.Contains(onAll, name) {
			halves[half[name]][name] = p
		}
	}
	done := make(chan error)
	go func() { done <- o.programs(spec, halves[1], types) }()
	err = o.programs(spec, halves[0], types)
	return errors.Join(err, <-done)
}

// half says which programs are in the second half, the first being as dear.
var half = map[string]int{bpfProgSchedSwitch: 1, bpfProgCpuSample: 1}

// programs loads some programs, with the maps that are loaded.
func (o *objects) programs(spec *ebpf.CollectionSpec, some map[string]*ebpf.ProgramSpec, types *btf.Cache) error {
	part := *spec
	part.Programs = some
	all, err := ebpf.NewCollectionWithOptions(&part, ebpf.CollectionOptions{MapReplacements: o.maps(), Cache: types})
	if err != nil {
		return err
	}
	o.take(all)
	all.Close()
	return nil
}

// take takes programs over from a collection.
func (o *objects) take(all *ebpf.Collection) {
	fields := reflect.ValueOf(&o.bpfPrograms).Elem()
	for i := range fields.NumField() {
		if p := all.DetachProgram(fields.Type().Field(i).Tag.Get("ebpf")); p != nil {
			fields.Field(i).Set(reflect.ValueOf(p))
		}
	}
}

// add loads more programs, with the constants and maps of the others.
func (s *Session) add(names []string) error {
	some := map[string]*ebpf.ProgramSpec{}
	for _, name := range names {
		some[name] = s.spec.Programs[name]
	}
	if err := s.objs.programs(s.spec, some, s.types); err != nil {
		return fmt.Errorf("load programs for tracepoints of system calls: %w", permission(err))
	}
	return nil
}

// maps are all maps but constants, by name.
func (o *objects) maps() map[string]*ebpf.Map {
	all := map[string]*ebpf.Map{".bss": o.Data}
	fields := reflect.ValueOf(o.bpfMaps)
	for i := range fields.NumField() {
		all[fields.Type().Field(i).Tag.Get("ebpf")] = fields.Field(i).Interface().(*ebpf.Map)
	}
	return all
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
		err := s.objs.load(spec, s.types)
		if err != nil {
			s.objs.Close()
			s.objs = objects{}
		}
		if !errors.Is(err, unix.ENOMEM) || ring.MaxEntries <= MinRingBytes {
			return err
		}
		ring.MaxEntries /= 2
	}
}

// RingBytes is the size that the ring has.
func (s *Session) RingBytes() int { return int(s.objs.Ring.MaxEntries()) }
