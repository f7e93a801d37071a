/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Workers of executors as the scheduler meets them. A worker without work sleeps
 * in the get of its queue, which is a futex or, in a worker process, a pipe; it does
 * so once for each time it runs out of work, and there it shows its stack. The rest
 * of its sleeps is its jobs' and costs nothing, but for poll, in which a lookup of a
 * host waits.
 */

#define EARLY_ASKS 8

/* Whether the reader should look at this sleep of a thread that is no worker yet:
 * at the first ones, and then ever more seldom. */
static __always_inline bool asks_worker(u32 tid, struct worker *w)
{
	struct worker fresh = {.asked = 1};

	if (!w)
		return !bpf_map_update_elem(&workers, &tid, &fresh, BPF_NOEXIST);
	w->asked++;
	return w->asked <= EARLY_ASKS || !(w->asked & (w->asked - 1));
}

/* A thread of t leaves the CPU; the record of that is in s. */
static __always_inline void worker_leaves_cpu(const struct target *t, struct scratch *s, struct task_struct *prev)
{
	s64 nr = SYSCALL_NR((struct pt_regs *)bpf_task_pt_regs(prev));
	u32 tid = s->rec.tid;
	struct worker *w;

	if (!(s->rec.flags & F_ASLEEP) || s->rec.word || (nr != NR_FUTEX && nr != NR_READ && !is_poll(nr)))
		return;
	w = bpf_map_lookup_elem(&workers, &tid);
	if (w && w->on ? nr == NR_READ && !w->reads : !asks_worker(tid, w))
		return;
	walk_own(t, s);
}

/* The number may become another thread's. */
static __always_inline void worker_ends(u32 tid)
{
	struct worker *w = bpf_map_lookup_elem(&workers, &tid);

	if (w)
		w->on = w->asked = 0;
}
