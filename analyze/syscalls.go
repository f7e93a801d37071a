package analyze

import "strconv"

// syscallNames are the system calls in which threads block (x86-64,
// arch/x86/entry/syscalls/syscall_64.tbl).
var syscallNames = map[int64]string{
	0: "read", 1: "write", 2: "open", 4: "stat", 5: "fstat", 6: "lstat", 7: "poll", 9: "mmap", 17: "pread64", 18: "pwrite64",
	19: "readv", 20: "writev", 21: "access", 23: "select", 26: "msync", 34: "pause", 35: "nanosleep", 40: "sendfile", 42: "connect", 43: "accept",
	44: "sendto", 45: "recvfrom", 46: "sendmsg", 47: "recvmsg", 61: "wait4", 65: "semop", 72: "fcntl", 73: "flock", 74: "fsync", 75: "fdatasync",
	76: "truncate", 77: "ftruncate", 78: "getdents", 82: "rename", 83: "mkdir", 84: "rmdir", 87: "unlink", 202: "futex",
	217: "getdents64", 230: "clock_nanosleep", 232: "epoll_wait", 247: "waitid", 257: "openat", 262: "newfstatat", 263: "unlinkat", 264: "renameat",
	270: "pselect6", 271: "ppoll", 277: "sync_file_range", 281: "epoll_pwait", 285: "fallocate", 288: "accept4", 295: "preadv", 296: "pwritev",
	299: "recvmmsg", 307: "sendmmsg", 326: "copy_file_range", 332: "statx", 426: "io_uring_enter", 437: "openat2", 441: "epoll_pwait2", 449: "futex_waitv",
}

// syscallName names a system call; one that is not in the table by its number.
func syscallName(nr int64) string {
	if name := syscallNames[nr]; name != "" {
		return name
	}
	if nr >= 1<<16 { // probes.callNumber
		return "arm64 syscall " + strconv.FormatInt(nr-1<<16, 10)
	}
	return "syscall " + strconv.FormatInt(nr, 10)
}
