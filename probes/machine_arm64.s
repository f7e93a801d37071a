#include "textflag.h"

// Functions to be probed: each takes the address of a condition variable, puts it where C passes a first
// argument, and runs one instruction of the kind it is named after. The probe goes there, after the 4 bytes of
// the MOVD. Nothing else happens, so what a call takes longer with the probe is the probe.

// func hitEmulated(cond uintptr)
TEXT ·hitEmulated(SB), NOSPLIT|NOFRAME, $0-8
	MOVD cond+0(FP), R0
	WORD $0x10000001 // adr x1, .
	RET

// func hitSingleStepped(cond uintptr)
TEXT ·hitSingleStepped(SB), NOSPLIT|NOFRAME, $0-8
	MOVD cond+0(FP), R0
	MOVD R0, R1
	RET

// The addresses of the functions themselves: Go's function values are of wrappers.

// func addrEmulated() uintptr
TEXT ·addrEmulated(SB), NOSPLIT|NOFRAME, $0-8
	MOVD $·hitEmulated(SB), R0
	MOVD R0, ret+0(FP)
	RET

// func addrSingleStepped() uintptr
TEXT ·addrSingleStepped(SB), NOSPLIT|NOFRAME, $0-8
	MOVD $·hitSingleStepped(SB), R0
	MOVD R0, ret+0(FP)
	RET
