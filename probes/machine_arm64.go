package probes

import "gilscope/internal/cpython"

// switchCond is where in the GIL the condition variable lies that a take signals
// (bpf/machine.h).
const switchCond = 128

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
