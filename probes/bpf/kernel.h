/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The few kernel types that the programs look into. Offsets are relocated at
 * load time (CO-RE), so only the names of the fields matter here.
 */
#ifndef GILSCOPE_KERNEL_H
#define GILSCOPE_KERNEL_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define CORE __attribute__((preserve_access_index))
#define NULL ((void *)0)
/* A context must be read field by field; the compiler may not merge the reads. */
#define READ_ONCE(x) (*(volatile typeof(x) *)&(x))

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int s32;
typedef long long s64;
typedef _Bool bool;

struct mm_struct;

typedef struct { int counter; } CORE atomic_t;

struct signal_struct {
	atomic_t live;
	int group_exit_code;
} CORE;

struct thread_struct {
	unsigned long fsbase;
} CORE;

struct upid {
	int nr;
	void *ns;
} CORE;

struct pid {
	unsigned int level;
	struct upid numbers[1];
} CORE;

struct inode {
	unsigned short i_mode;
} CORE;

struct file {
	struct inode *f_inode;
} CORE;

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
} CORE;

struct files_struct {
	struct fdtable *fdt;
} CORE;

struct sched_entity {
	u64 sum_exec_runtime;
} CORE;

struct task_struct {
	unsigned int __state;
	int exit_state;
	int exit_code;
	int pid;
	int tgid;
	int wake_cpu;
	struct mm_struct *mm;
	struct pid *thread_pid;
	struct signal_struct *signal;
	struct files_struct *files;
	struct sched_entity se;
	struct thread_struct thread;
} CORE;

/* x86-64. Everything that depends on the machine stands in this struct and
 * the macros below it. */
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8;
	unsigned long ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
} CORE;

/* What uprobe and perf_event programs get: the same registers, at offsets that
 * are part of the kernel's interface and need no relocation. */
struct ctx_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8;
	unsigned long ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};

struct perf_ctx {
	struct ctx_regs regs;
	u64 sample_period;
	u64 addr;
};

#define NR_FUTEX       202
#define NR_CLOSE       3
#define NR_POLL	       7
#define NR_SELECT      23
#define NR_EPOLL_WAIT  232
#define NR_PSELECT6    270
#define NR_PPOLL       271
#define NR_EPOLL_PWAIT 281
#define NR_EPOLL_PWAIT2 441
#define USER_MODE(regs) ((regs)->cs & 3)

#endif
