/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Threads and processes that begin and end. A child of a target that is
 * followed becomes a target here and now, before its first instruction.
 */
#define SIGNAL_GROUP_EXIT 4 /* linux/sched/signal.h */

/* Remembers which of the host's threads a thread in a pid namespace is. Where
 * its struct pid lies is read as a number: to a pointer, the verifier of Linux
 * 6.1 lets nobody add what depends on an unknown level. */
static __always_inline void number(u32 tgid, u32 level, struct task_struct *task)
{
	struct ns_thread key = {tgid, 0};
	u32 tid = task->pid;
	u64 own;

	if (!level || bpf_core_read(&own, sizeof(own), &task->thread_pid))
		return;
	own += bpf_core_field_offset(struct pid, numbers) + level * bpf_core_type_size(struct upid) +
	       bpf_core_field_offset(struct upid, nr);
	if (!bpf_probe_read_kernel(&key.tid, sizeof(key.tid), (void *)own))
		bpf_map_update_elem(&host_tids, &key, &tid, BPF_ANY);
}

/* The child may spend what its parent has left. */
static __always_inline void inherit_usage(u32 parent, u32 child)
{
	u32 from = parent & (USAGES - 1), to = child & (USAGES - 1);
	struct usage *p = bpf_map_lookup_elem(&usages, &from), *c = bpf_map_lookup_elem(&usages, &to);

	if (!p || !c || p == c)
		return;
	c->hits = 0;
	c->limit = p->limit && p->hits >= p->limit ? 1 : p->limit ? p->limit - p->hits : 0;
}

/* Makes the child a target like its parent, in whose image it is made. */
static __always_inline bool follow(struct target *parent, struct task_struct *child, bool shared)
{
	u32 tgid = child->tgid;
	struct target *t;

	inherit_usage(parent->tgid, tgid);
	if (bpf_map_update_elem(&targets, &tgid, parent, BPF_ANY))
		return 0;
	t = bpf_map_lookup_elem(&targets, &tgid);
	if (!t)
		return 0;
	t->tgid = tgid;
	t->level = child->thread_pid->level;
	if (shared)
		t->places_n = 0; /* it will exec; until then it is a guest in its parent's memory */
	number(tgid, t->level, child);
	return 1;
}

/* Tells of a new thread, with the line that made it: making one costs many times
 * what a stack does. */
static __always_inline void thread_begins(struct target *t, struct scratch *s, struct task_struct *parent, u32 child)
{
	struct thread *th = t->places_n ? thread_of(parent->pid) : NULL;

	begin_rec(&s->rec, REC_FORK, t->tgid, parent->pid);
	s->rec.peer = child;
	s->rec.arg = t->tgid;
	if (th)
		s->rec.nframes = walk(t, s, th, tstate_of(t, th, parent->pid, th->place), 0);
	send_scratch(s);
}

SEC("tp_btf/sched_process_fork")
int sched_process_fork(u64 *ctx)
{
	struct task_struct *parent = (struct task_struct *)ctx[0], *child = (struct task_struct *)ctx[1];
	u32 tgid = parent->tgid;
	struct target *t = bpf_map_lookup_elem(&targets, &tgid);
	bool shared = child->mm == parent->mm;
	struct scratch *s;
	u32 zero = 0;
	struct rec r;

	if (!t)
		return 0;
	if (child->tgid == tgid) {
		number(tgid, t->level, child);
		s = bpf_map_lookup_elem(&fork_scratches, &zero);
		if (s && !s->busy) {
			s->busy = 1;
			thread_begins(t, s, parent, child->pid);
			s->busy = 0;
			return 0;
		}
	}
	begin_rec(&r, REC_FORK, tgid, parent->pid);
	r.peer = child->pid;
	r.arg = child->tgid;
	if (r.arg == tgid) {
		send(&r, sizeof(r));
		return 0;
	}
	if (t->follow && follow(t, child, shared))
		r.flags |= shared ? F_FOLLOWED | F_SHARED : F_FOLLOWED;
	send_now(&r, sizeof(r));
	return 0;
}

SEC("tp_btf/sched_process_exec")
int sched_process_exec(u64 *ctx)
{
	struct task_struct *p = (struct task_struct *)ctx[0];
	u32 tgid = p->tgid;
	struct target *t = bpf_map_lookup_elem(&targets, &tgid);
	struct rec r;

	if (!t)
		return 0;
	t->places_n = 0; /* their addresses mean nothing in the new program */
	loop_ends(p->pid);
	worker_ends(p->pid);
	begin_rec(&r, REC_EXEC, tgid, p->pid);
	send_now(&r, sizeof(r));
	return 0;
}

SEC("tp_btf/sched_process_exit")
int sched_process_exit(u64 *ctx)
{
	struct task_struct *p = (struct task_struct *)ctx[0];
	u32 tgid = p->tgid;
	struct target *t = bpf_map_lookup_elem(&targets, &tgid);
	struct rec r;

	if (!t)
		return 0;
	loop_ends(p->pid);
	worker_ends(p->pid);
	begin_rec(&r, REC_EXIT, tgid, p->pid);
	r.arg = p->signal->group_exit_code ? p->signal->group_exit_code : p->exit_code;
	if (p->signal->flags & SIGNAL_GROUP_EXIT)
		r.flags |= F_WITH_ALL;
	if (p->signal->live.counter) {
		send(&r, sizeof(r));
		return 0;
	}
	t->places_n = 0; /* nothing is read of who gets this pid next */
	r.flags |= F_LAST;
	send_now(&r, sizeof(r));
	return 0;
}
