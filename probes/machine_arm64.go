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

// callPrefix is what the kernel's functions behind system calls begin with.
const callPrefix = "__arm64_sys_"

// callNumbers are the numbers of x86-64 by those of this machine (the kernel's
// include/uapi/asm-generic/unistd.h), of the system calls in which threads block.
var callNumbers = map[int32]int32{
	22:  281, // epoll_pwait
	25:  72,  // fcntl
	32:  73,  // flock
	34:  258, // mkdirat
	35:  263, // unlinkat
	38:  264, // renameat
	45:  76,  // truncate
	46:  77,  // ftruncate
	47:  285, // fallocate
	48:  269, // faccessat
	49:  80,  // chdir
	56:  257, // openat
	57:  3,   // close
	61:  217, // getdents64
	63:  0,   // read
	64:  1,   // write
	65:  19,  // readv
	66:  20,  // writev
	67:  17,  // pread64
	68:  18,  // pwrite64
	69:  295, // preadv
	70:  296, // pwritev
	71:  40,  // sendfile
	72:  270, // pselect6
	73:  271, // ppoll
	78:  267, // readlinkat
	79:  262, // newfstatat
	80:  5,   // fstat
	81:  162, // sync
	82:  74,  // fsync
	83:  75,  // fdatasync
	84:  277, // sync_file_range
	95:  247, // waitid
	98:  202, // futex
	101: 35,  // nanosleep
	115: 230, // clock_nanosleep
	193: 65,  // semop
	202: 43,  // accept
	203: 42,  // connect
	206: 44,  // sendto
	207: 45,  // recvfrom
	211: 46,  // sendmsg
	212: 47,  // recvmsg
	215: 11,  // munmap
	222: 9,   // mmap
	226: 10,  // mprotect
	227: 26,  // msync
	233: 28,  // madvise
	242: 288, // accept4
	243: 299, // recvmmsg
	260: 61,  // wait4
	267: 306, // syncfs
	269: 307, // sendmmsg
	276: 316, // renameat2
	285: 326, // copy_file_range
	286: 327, // preadv2
	287: 328, // pwritev2
	291: 332, // statx
	426: 426, // io_uring_enter
	437: 437, // openat2
	439: 439, // faccessat2
	441: 441, // epoll_pwait2
	449: 449, // futex_waitv
}
