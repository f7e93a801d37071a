package probes

import "gilscope/internal/cpython"

// switchCond is where in the GIL the condition variable lies that a take signals
// (bpf/machine.h).
const switchCond = 120

// PlannedCosts are the kinds of sites that a plan may have here.
var PlannedCosts = []cpython.Cost{cpython.NOP5, cpython.Emulated}

func hitNOP5(cond uintptr)
func hitEmulated(cond uintptr)
func hitSingleStepped(cond uintptr)
func addrNOP5() uintptr
func addrEmulated() uintptr
func addrSingleStepped() uintptr

// skipMove is the length of the instruction before the probed one.
const skipMove = 5

var kinds = []kind{
	{cpython.NOP5, hitNOP5, func() uintptr { return addrNOP5() + skipMove }},
	{cpython.Emulated, hitEmulated, func() uintptr { return addrEmulated() + skipMove }},
	{cpython.SingleStepped, hitSingleStepped, func() uintptr { return addrSingleStepped() + skipMove }},
}

// callPrefix is what the kernel's functions behind system calls begin with.
const callPrefix = "__x64_sys_"

// callNumbers are the numbers of x86-64 by those of this machine; nil: they are the same.
var callNumbers map[int32]int32
