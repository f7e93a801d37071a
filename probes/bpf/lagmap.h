/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The lag of each loop, of both objects. */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC); /* a kilobyte for each of few */
	__uint(max_entries, 4096);
	__type(key, u32); /* tid */
	__type(value, struct lag);
} lags SEC(".maps");
