/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Everything gilscope runs in the kernel. Scheduling (sched_switch, waking,
 * fork, exec, exit), CPU samples, and the GIL: without a trap from the futex
 * word a thread sleeps on, or with uprobes on libc's condition variables or on
 * take_gil and drop_gil themselves.
 *
 * Nothing here writes to a target: no probe_write_user, no signal, no override.
 */
#include "kernel.h"
#include "wire.h"
#include "maps.h"
#include "walk.h"
#include "sched.h"
#include "lifecycle.h"
#include "sample.h"
#include "gil.h"

/* Makes the compiler describe these types, so that Go types can be generated. */
const struct frame *describe_frame __attribute__((unused));
const enum rec_kind *describe_kind __attribute__((unused));

char LICENSE[] SEC("license") = "Dual BSD/GPL";
