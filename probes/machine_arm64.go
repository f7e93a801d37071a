package probes

import "gilscope/internal/cpython"

// switchCond is where in the GIL the condition variable lies that a take signals
// (bpf/machine.h).
const switchCond = 128

// PlannedCosts are the kinds of sites that a plan may have here. Functions begin
// with an instruction that the kernel single-steps, and nothing else will do: what
// that costs is measured, and detail auto keeps within its budget.
var PlannedCosts = []cpython.Cost{cpython.Emulated, cpython.SingleStepped}

func hitEmulated(cond uintptr)
func hitSingleStepped(cond uintptr)
func addrEmulated() uintptr
func addrSingleStepped() uintptr

// skipMove is the length of the instruction before the probed one.
const skipMove = 4

var kinds = []kind{
	{cpython.Emulated, hitEmulated, func() uintptr { return addrEmulated() + skipMove }},
	{cpython.SingleStepped, hitSingleStepped, func() uintptr { return addrSingleStepped() + skipMove }},
}
