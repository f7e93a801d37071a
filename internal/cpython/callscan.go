package cpython

import (
	"debug/elf"
	"encoding/binary"
	"slices"
	"strings"
)

// maxCode bounds the code of one section that is searched for calls.
const maxCode = 64 << 20

// lockCalls are the imports by which take_gil and drop_gil are recognised.
var lockCalls = []string{"pthread_cond_signal", "pthread_cond_wait", "pthread_cond_timedwait", "pthread_mutex_lock", "__errno_location"}

// callCounts is how often one function (or part) calls each of lockCalls.
type callCounts [5]int

func (c callCounts) signal() int    { return c[0] }
func (c callCounts) wait() int      { return c[1] }
func (c callCounts) timedwait() int { return c[2] }
func (c callCounts) lock() int      { return c[3] }
func (c callCounts) errno() int     { return c[4] }

// isTake: the rule for take_gil, unique in each of 15 files examined (facts,
// section 3); 3.8 has two, both right.
func (c callCounts) isTake() bool {
	return c.timedwait() >= 1 && c.errno() >= 1 && c.lock() >= 2 && c.signal() >= 1 && c.wait() == 0
}

// isDrop: the rule for drop_gil and for functions that it was inlined into.
func (c callCounts) isDrop() bool {
	return c.signal() >= 1 && c.wait() >= 1 && c.lock() >= 2 && c.timedwait() == 0
}

// scanLockCalls finds the calls of lockCalls in the file and counts them by
// function part, keyed by its start. Sections of the BOLT optimizer that hold
// the dead original code are skipped.
func (m *module) scanLockCalls() map[uint64]callCounts {
	slots := m.importSlots(lockCalls)
	stubs := m.stubs(slots)
	found := map[uint64]callCounts{}
	note := func(at uint64, name string) {
		if start, _, ok := m.bounds(at); ok {
			c := found[start]
			c[slices.Index(lockCalls, name)]++
			found[start] = c
		}
	}
	for i := range m.img.sects {
		s := &m.img.sects[i]
		if s.flags&elf.SHF_EXECINSTR == 0 || strings.HasPrefix(s.name, ".plt") || strings.HasPrefix(s.name, ".bolt.org") {
			continue
		}
		code, err := m.img.data(s, maxCode)
		if err != nil {
			continue
		}
		scanCalls(code, s.addr, slots, stubs, note)
	}
	return found
}

// scanCalls reports the calls and jumps in code, which lies at addr, that lead
// to one of the stubs or through one of the slots.
func scanCalls(code []byte, addr uint64, slots, stubs map[uint64]string, note func(at uint64, name string)) {
	for i := 0; i+6 <= len(code); i++ {
		at := addr + uint64(i)
		switch op := code[i]; {
		case op == 0xe8 || op == 0xe9: // call, jmp rel32
			rel := int64(int32(binary.LittleEndian.Uint32(code[i+1:])))
			if name, ok := stubs[at+5+uint64(rel)]; ok {
				note(at, name)
			}
		case op == 0xff && (code[i+1] == 0x15 || code[i+1] == 0x25): // call, jmp [rip+rel32]
			rel := int64(int32(binary.LittleEndian.Uint32(code[i+2:])))
			if name, ok := slots[at+6+uint64(rel)]; ok {
				note(at, name)
			}
		}
	}
}

// stubs returns the PLT stubs of the slots: a stub is its "jmp [slot]", and may
// begin 4 or 6 bytes before it (endbr64, or the binding code of older linkers).
func (m *module) stubs(slots map[uint64]string) map[uint64]string {
	stubs := map[uint64]string{}
	for i := range m.img.sects {
		s := &m.img.sects[i]
		if s.flags&elf.SHF_EXECINSTR == 0 || !strings.HasPrefix(s.name, ".plt") && s.name != ".iplt" {
			continue
		}
		code, err := m.img.data(s, 1<<20)
		if err != nil {
			continue
		}
		scanCalls(code, s.addr, slots, nil, func(at uint64, name string) {
			stubs[at], stubs[at-4], stubs[at-5], stubs[at-6] = name, name, name, name
		})
	}
	return stubs
}
