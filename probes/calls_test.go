package probes

import (
	"maps"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// mayCall is all that the programs ask of the kernel, and what for. Nothing of it
// changes a process, its memory, registers, files or signals, or how it is scheduled.
var mayCall = map[asm.BuiltinFunc]string{
	asm.FnMapLookupElem:     "our own maps",
	asm.FnMapUpdateElem:     "our own maps",
	asm.FnRingbufOutput:     "our own ring",
	asm.FnRingbufQuery:      "our own ring",
	asm.FnProbeReadKernel:   "reads memory",
	asm.FnProbeReadUser:     "reads memory, if it is there",
	asm.FnTaskPtRegs:        "reads registers",
	asm.FnGetAttachCookie:   "tells which probe was hit",
	asm.FnGetCurrentPidTgid: "tells what runs",
	asm.FnGetCurrentTaskBtf: "tells what runs",
	asm.FnGetSmpProcessorId: "tells what runs",
	asm.FnKtimeGetBootNs:    "tells the time",
	asm.FnSkStorageGet:      "our own storage with a socket",
}

// TestCalls reads the instructions that are part of the program as it is shipped.
func TestCalls(t *testing.T) {
	spec, err := loadBpf()
	if err != nil {
		t.Fatal(err)
	}
	sockets, err := loadBpfSock()
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(spec.Programs, sockets.Programs)
	if len(spec.Programs) < 16 {
		t.Fatalf("%d programs: are these all?", len(spec.Programs))
	}
	seen := map[asm.BuiltinFunc]bool{}
	for name, p := range spec.Programs {
		for i, ins := range p.Instructions {
			f := asm.BuiltinFunc(ins.Constant)
			switch {
			case ins.IsKfuncCall():
				t.Errorf("%s, instruction %d: calls the kernel's own function %s", name, i, ins.Reference())
			case ins.IsBuiltinCall() && mayCall[f] == "":
				t.Errorf("%s, instruction %d: calls %v, which is not in mayCall", name, i, f)
			case ins.IsBuiltinCall():
				seen[f] = true
			}
		}
		// From Linux 6.18 on, programs on uprobes may change the registers of the probed thread.
		if i := writesContext(p.Instructions); p.Type == ebpf.Kprobe && i >= 0 {
			t.Errorf("%s, instruction %d: changes a register of the probed thread, or lets another function do so", name, i)
		}
	}
	for f := range mayCall {
		if !seen[f] {
			t.Errorf("no program calls %v any more: take it out of mayCall", f)
		}
	}
}

// writesContext returns the first instruction that writes where a program's
// argument points to, or passes it on, -1 if none does. It follows copies of the
// pointer through registers and stack slots in the order of the code.
func writesContext(code asm.Instructions) int {
	regs, slots := map[asm.Register]bool{asm.R1: true}, map[int16]bool{}
	for i, ins := range code {
		if i > 0 && ins.Symbol() != "" {
			clear(regs) // another function, which was not passed the pointer
			clear(slots)
		}
		op := ins.OpCode
		switch class := op.Class(); {
		case op.JumpOp() == asm.Call:
			for r := asm.R1; r <= asm.R5; r++ {
				if regs[r] && !ins.IsBuiltinCall() {
					return i
				}
				delete(regs, r)
			}
			delete(regs, asm.R0)
		case class.IsStore() && ins.Dst == asm.RFP:
			slots[ins.Offset] = class == asm.StXClass && regs[ins.Src]
		case class.IsStore() && regs[ins.Dst]:
			return i
		case class.IsLoad():
			regs[ins.Dst] = op.Mode() == asm.MemMode && ins.Src == asm.RFP && slots[ins.Offset]
		case class.IsALU() && op.ALUOp() == asm.Mov:
			regs[ins.Dst] = op.Source() == asm.RegSource && regs[ins.Src]
		}
	}
	return -1
}

func TestWritesContext(t *testing.T) {
	for _, c := range []struct {
		name string
		code asm.Instructions
		want int
	}{
		{"reads", asm.Instructions{asm.LoadMem(asm.R0, asm.R1, 8, asm.DWord), asm.Return()}, -1},
		{"writes", asm.Instructions{asm.StoreMem(asm.R1, 8, asm.R2, asm.DWord), asm.Return()}, 0},
		{"writes a constant", asm.Instructions{asm.StoreImm(asm.R1, 8, 1, asm.Word), asm.Return()}, 0},
		{"through a copy", asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1), asm.FnKtimeGetNs.Call(), asm.StoreMem(asm.R6, 8, asm.R0, asm.DWord)}, 2},
		{"beyond the start", asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1), asm.Add.Imm(asm.R6, 8), asm.StoreMem(asm.R6, 0, asm.R0, asm.DWord)}, 2},
		{"through the stack", asm.Instructions{asm.StoreMem(asm.RFP, -8, asm.R1, asm.DWord), asm.LoadMem(asm.R2, asm.RFP, -8, asm.DWord),
			asm.StoreMem(asm.R2, 0, asm.R0, asm.DWord)}, 2},
		{"in a function", asm.Instructions{asm.Call.Label("other"), asm.Return(), asm.Return().WithSymbol("other")}, 0},
		{"no more", asm.Instructions{asm.Mov.Reg(asm.R1, asm.RFP), asm.StoreMem(asm.R1, -8, asm.R0, asm.DWord)}, -1},
	} {
		if got := writesContext(c.code); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}
