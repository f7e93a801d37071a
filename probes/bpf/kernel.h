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
	unsigned int flags;
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
} CORE;

#include "machine.h"

/* What a perf_event program gets. */
struct perf_ctx {
	struct ctx_regs regs;
	u64 sample_period;
	u64 addr;
};

/* Futex operations (linux/futex.h) without their flags. */
#define OP_MASK	       0x7f
#define OP_WAIT	       0
#define OP_WAKE	       1
#define OP_WAIT_BITSET 9

#endif
