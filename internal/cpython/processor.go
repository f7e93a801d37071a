package cpython

import (
	"debug/elf"
	"runtime"
)

// processor is what reading code and unwinding depend on: the two that are known
// stand in x86.go and arm64.go.
type processor struct {
	machine    elf.Machine
	name       string
	imports    [2]uint32 // types of relocations that put the address of an import into a slot
	fp, sp, ra uint64    // DWARF numbers of the registers that rules are kept for
	pushed     int64     // bytes that a call leaves on the stack: the return address, or nothing
	highest    uint64    // address of user space
	signed     bool      // a return address may have a signature above those bits
	branch     func(code []byte, off uint32) (branch, bool)
	plan       func(code []byte) (sitePlan, error)
	called     func(p *Process, c *candidate, ret uint64) (uint64, bool)
	layouts    bool // layouts.go fits its glibc: else only builds that bring a table of offsets
	callSites  bool // calls of imports can be found in its code
}

var processors = map[string]*processor{"amd64": &x86, "arm64": &arm64}

// ourProcessor is the processor that this program runs on, and with it its targets.
func ourProcessor() *processor { return processors[runtime.GOARCH] }

// cpu is the processor that the process runs on.
func (p *Process) cpu() *processor { return ourProcessor() }

// processorOf is the one that a file is for; nil if it is none of ours.
func processorOf(machine elf.Machine) *processor {
	for _, p := range processors {
		if p.machine == machine {
			return p
		}
	}
	return nil
}

// branchKind is where an instruction goes on.
type branchKind uint8

// Kinds of branches.
const (
	goesOn      branchKind = iota // at the next instruction
	jumps                         // at the target
	jumpsMaybe                    // at one of the two
	jumpsAway                     // wherever a register or memory says
	callsTarget                   // after the target's return
	callsAway
	returns
)

// branch is an instruction as far as it matters to where the code goes.
type branch struct {
	kind   branchKind
	length uint32
	rel    int64 // the target, from the next instruction on
}

// direct says that the branch names its target.
func (b branch) direct() bool {
	return b.kind == jumps || b.kind == jumpsMaybe || b.kind == callsTarget
}
