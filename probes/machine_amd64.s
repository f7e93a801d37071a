#include "textflag.h"

// Functions to be probed: each takes the address of a condition variable, puts it where C passes a first
// argument, and runs one instruction of the kind it is named after. The probe goes there, after the 5 bytes of
// the MOVQ. Nothing else happens, so what a call takes longer with the probe is the probe.

// func hitNOP5(cond uintptr)
TEXT ·hitNOP5(SB), NOSPLIT, $0-8
	MOVQ cond+0(FP), DI
	BYTE $0x0f; BYTE $0x1f; BYTE $0x44; BYTE $0x00; BYTE $0x00
	RET

// func hitEmulated(cond uintptr)
TEXT ·hitEmulated(SB), NOSPLIT, $0-8
	MOVQ cond+0(FP), DI
	BYTE $0x90
	RET

// func hitSingleStepped(cond uintptr)
TEXT ·hitSingleStepped(SB), NOSPLIT, $0-8
	MOVQ cond+0(FP), DI
	MOVQ DI, AX
	RET

// The addresses of the functions themselves: Go's function values are of wrappers.

// func addrNOP5() uintptr
TEXT ·addrNOP5(SB), NOSPLIT, $0-8
	LEAQ ·hitNOP5(SB), AX
	MOVQ AX, ret+0(FP)
	RET

// func addrEmulated() uintptr
TEXT ·addrEmulated(SB), NOSPLIT, $0-8
	LEAQ ·hitEmulated(SB), AX
	MOVQ AX, ret+0(FP)
	RET

// func addrSingleStepped() uintptr
TEXT ·addrSingleStepped(SB), NOSPLIT, $0-8
	LEAQ ·hitSingleStepped(SB), AX
	MOVQ AX, ret+0(FP)
	RET
