/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What lag.bpf.c counts is told here, with what else a loop has done lately. */
#include "lagmap.h"

static __always_inline void tell_lag(const struct loop *l, u32 tid, u64 now)
{
	struct lag *lag = bpf_map_lookup_elem(&lags, &tid);

	if (!lag || lag->tgid != l->tgid || (!lag->told.reads && !lag->told.unseen))
		return;
	begin_rec(&lag->rec, REC_LAG, l->tgid, tid);
	lag->rec.ts = now;
	lag->rec.nstack = sizeof(lag->told);
	send(&lag->rec, sizeof(lag->rec) + sizeof(lag->told));
	__builtin_memset(&lag->told, 0, sizeof(lag->told));
	lag->told.since = now;
}
