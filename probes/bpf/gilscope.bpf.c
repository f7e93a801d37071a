/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Everything gilscope runs in the kernel. Scheduling (sched_switch, waking,
 * fork, exec, exit), CPU samples, and the GIL: without a trap from the futex
 * word a thread sleeps on, or with uprobes on libc's condition variables or on
 * take_gil and drop_gil themselves. And event loops: the system calls by which
 * they wait.
 *
 * Nothing here writes to a target: no probe_write_user, no signal, no override.
 */
#include "kernel.h"
#include "wire.h"
#include "maps.h"
#include "walk.h"
#include "loop.h"
#include "worker.h"
#include "parked.h"
#include "lock.h"
#include "sched.h"
#include "lifecycle.h"
#include "sample.h"
#include "gil.h"
#include "lag.h"
#include "rare.h"
#include "loopwait.h"
#include "loopcalls.h"

/* Makes the compiler describe these types, so that Go types can be generated. */
const struct frame *describe_frame __attribute__((unused));
const struct loop_at *describe_loop_at __attribute__((unused));
const struct loop_told *describe_loop_told __attribute__((unused));
const struct lag_told *describe_lag_told __attribute__((unused));
const enum rare_kind *describe_rare __attribute__((unused));
const enum rec_kind *describe_kind __attribute__((unused));

char LICENSE[] SEC("license") = "Dual BSD/GPL";
