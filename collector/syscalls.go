package collector

import (
	"gilscope/internal/trace"
	"gilscope/probes"
)

// Numbers of system calls (x86-64, arch/x86/entry/syscalls/syscall_64.tbl) by what
// a thread waits for in them.
var (
	sleepCalls = callSet(35, 230)                    // nanosleep, clock_nanosleep
	lockCalls  = callSet(202, 449, 73, 72, 65)       // futex, futex_waitv, flock, fcntl, semop
	fdCalls    = callSet(0, 1, 19, 20, 217, 40)      // on files too: read, write, readv, writev, getdents64, sendfile
	fileCalls  = callSet(17, 18, 295, 296, 327, 328, // pread64, pwrite64, preadv, pwritev and their second forms
		2, 257, 437, 85, 4, 6, 5, 262, 332, 21, 269, 439, // open and stat and their kin, access
		74, 75, 26, 162, 306, 277, // fsync, fdatasync, msync, sync, syncfs, sync_file_range
		76, 77, 285, 326, 82, 264, 316, 83, 258, 84, 87, 263, 80, 89, 78, // truncate, fallocate, copy_file_range, rename, mkdir, rmdir, unlink, chdir, readlink, getdents
		9, 10, 11, 28) // mmap, mprotect, munmap, madvise: they wait for pages
)

func callSet(numbers ...int32) map[int32]bool {
	m := make(map[int32]bool, len(numbers))
	for _, nr := range numbers {
		m[nr] = true
	}
	return m
}

// Kinds of files by S_IFMT (linux/stat.h).
const (
	modeSocket = 0140000
	modeFile   = 0100000
	modeBlock  = 0060000
	modeDir    = 0040000
	modeChar   = 0020000
	modePipe   = 0010000
)

func fileKind(mode uint16) string {
	switch mode {
	case modeSocket:
		return "socket"
	case modePipe:
		return "pipe"
	case modeFile, modeDir:
		return "file"
	case modeChar, modeBlock:
		return "device"
	}
	return ""
}

// callCause tells what a system call waits for.
func callCause(nr, first int32, mode uint16) trace.BlockCause {
	switch {
	case sleepCalls[nr], first == 0 && (nr == probes.NRSelect || nr == probes.NRPselect6): // of no files: time.sleep before 3.11
		return trace.CauseSleep
	case lockCalls[nr]:
		return trace.CauseLock
	case fileCalls[nr], fdCalls[nr] && (mode == modeFile || mode == modeDir || mode == modeBlock):
		return trace.CauseFile
	}
	return trace.CauseSyscall
}

// taskUninterruptible is the state of a thread that waits for a disk, mostly.
const taskUninterruptible = 2

// sleepCause tells what a thread that goes to sleep waits for.
func sleepCause(r probes.Record, k known) trace.BlockCause {
	switch {
	case k.roles&roleDNS != 0 && !lockCalls[r.At.Call()]:
		return trace.CauseDNS
	case r.At.Call() >= 0:
		return callCause(r.At.Call(), r.At.Fd, r.At.Mode)
	case r.Arg&taskUninterruptible != 0: // a page of a mapped file
		return trace.CauseFile
	}
	return trace.CauseUnknown
}
