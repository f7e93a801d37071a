/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Everything in these programs that depends on the machine: where registers are,
 * what a call leaves behind, and how large glibc's mutex is, which lies in the
 * GIL between its two condition variables.
 *
 * struct pt_regs is the kernel's own, for which offsets are relocated at load
 * time; struct ctx_regs are the same registers as uprobe and perf_event programs
 * get them, at offsets that are part of the kernel's interface.
 */
#ifndef GILSCOPE_MACHINE_H
#define GILSCOPE_MACHINE_H

#ifdef __TARGET_ARCH_x86

struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8;
	unsigned long ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
} CORE;

struct ctx_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8;
	unsigned long ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};

#define NR_READ 0
#define NR_CLOSE 3
#define NR_POLL 7
#define NR_SELECT 23
#define NR_FUTEX 202
#define NR_EPOLL_WAIT 232
#define NR_PSELECT6 270
#define NR_PPOLL 271
#define NR_EPOLL_PWAIT 281
#define NR_EPOLL_PWAIT2 441
#define SYSCALL_NR(regs) ((regs)->orig_ax)
/* Arguments of system calls, and of functions where they begin. */
#define ARG1(regs) ((regs)->di)
#define ARG2(regs) ((regs)->si)
#define ARG3(regs) ((regs)->dx)
/* Of system calls only; the first also when the call is over. */
#define CALL_ARG1(regs) ((regs)->di)
#define CALL_ARG4(regs) ((regs)->r10)
#define CALL_ARG5(regs) ((regs)->r8)
#define PC(regs) ((regs)->ip)
#define SP(regs) ((regs)->sp)
#define USER_MODE(regs) ((regs)->cs & 3)
/* Where a function begins: where it will return to, and its caller's stack. */
#define RETURN_PC(regs) read_u64(SP(regs))
#define RETURN_SP(regs) (SP(regs) + 8)
/* The same where the call itself is probed. */
#define CALL_BYTES 5
#define MUTEX_BYTES 40

#else /* arm64 */

struct user_pt_regs {
	u64 regs[31];
	u64 sp, pc, pstate;
} CORE;

struct pt_regs {
	struct user_pt_regs user_regs;
	u64 orig_x0;
	s32 syscallno;
} CORE;

struct ctx_regs {
	u64 regs[31];
	u64 sp, pc, pstate;
};

#define NR_ABSENT 0x10000 /* poll, select and epoll_wait: libc makes them of the others */
#define NR_POLL NR_ABSENT
#define NR_SELECT NR_ABSENT
#define NR_EPOLL_WAIT NR_ABSENT
#define NR_EPOLL_PWAIT 22
#define NR_CLOSE 57
#define NR_READ 63
#define NR_PSELECT6 72
#define NR_PPOLL 73
#define NR_FUTEX 98
#define NR_EPOLL_PWAIT2 441
#define SYSCALL_NR(regs) ((regs)->syscallno)
#define REGS(regs) _Generic((regs), struct pt_regs *: &((struct pt_regs *)(regs))->user_regs, struct ctx_regs *: (struct ctx_regs *)(regs))
#define ARG1(r) (REGS(r)->regs[0])
#define ARG2(r) (REGS(r)->regs[1])
#define ARG3(r) (REGS(r)->regs[2])
#define CALL_ARG1(regs) ((regs)->orig_x0)
#define CALL_ARG4(r) (REGS(r)->regs[3])
#define CALL_ARG5(r) (REGS(r)->regs[4])
#define PC(r) (REGS(r)->pc)
#define SP(r) (REGS(r)->sp)
#define USER_MODE(r) (!(REGS(r)->pstate & 0xf)) /* EL0 */
#define RETURN_PC(r) (REGS(r)->regs[30])
#define RETURN_SP(r) SP(r)
#define CALL_BYTES 4
#define MUTEX_BYTES 48

#endif
#endif
