/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The waits of event loops. loop_waits and loop_goes_on get registers and then a
 * number, of which they use the second only at the end of a call, so they fit the
 * kernel's functions behind single system calls (fentry, fexit) as well as the
 * tracepoints of all. The former is how the reader attaches them where the kernel
 * lets it. Else the tracepoints of single calls come, which slow down every call of
 * the machine by some 50 ns, and without tracefs those of all, by 0.15 to 0.35 us.
 * Either comes only once there is a loop.
 */

#define LOOP_TELL_NS 1000000000ull

static __always_inline void was_late(struct loop *l, u64 due, u64 now)
{
	if (due && now > due && now - due > l->told.late_max)
		l->told.late_max = now - due;
}

/* NULL once the process is no target any more. */
static __always_inline struct scratch *begin_loop_rec(const struct loop *l, u8 kind, u32 tid)
{
	u32 zero = 0;
	struct scratch *s = bpf_map_lookup_elem(&loop_scratches, &zero);

	if (!s || !bpf_map_lookup_elem(&targets, &l->tgid))
		return NULL;
	begin_rec(&s->rec, kind, l->tgid, tid);
	return s;
}

static __always_inline void tell_block(const struct loop *l, struct task_struct *me, u64 now, u64 cpu)
{
	struct scratch *s = begin_loop_rec(l, REC_BLOCK, me->pid);
	struct loop_at at = {.begin = l->begin, .cpu = cpu > l->cpu ? cpu - l->cpu : 0, .nr = l->nr, .fd = l->fd};

	if (!s)
		return;
	s->rec.ts = now;
	s->rec.flags = F_LOOP;
	__builtin_memcpy(s->data, &at, sizeof(at));
	send(&s->rec, sizeof(struct rec) + sizeof(at));
}

/* Tells of the loop, with its stack, and begins to count anew. */
static __always_inline void tell_loop(struct loop *l, u32 tid, u64 now)
{
	struct target *t = bpf_map_lookup_elem(&targets, &l->tgid);
	struct scratch *s = t ? begin_loop_rec(l, REC_LOOP, tid) : NULL;
	struct loop_told fresh = {.since = now};
	u32 frames;

	if (!s || !t)
		return;
	s->rec.ts = now;
	if (t->places_n)
		walk_own(t, s);
	frames = s->rec.nframes * sizeof(struct frame);
	if (frames > (MAX_FRAMES + 1) * sizeof(struct frame)) /* cannot be; for the verifier */
		return;
	l->told.nr = l->nr;
	__builtin_memcpy(&s->data[frames], &l->told, sizeof(l->told));
	s->rec.nstack = sizeof(l->told);
	l->told = fresh;
	send(&s->rec, sizeof(struct rec) + frames + sizeof(struct loop_told));
}

/* A loop whose epoll instance is closed is over: what the thread does next is no
 * iteration, and the number may soon be that of another instance. */
static __always_inline void closes(u32 tid, s32 fd)
{
	struct loop *l = loop_of(tid);

	if (l && l->on && fd == l->fd)
		l->nr = l->begin = l->entered = 0;
}

/* Counts the calls of a CPU; an interrupted program may count one less. The reader
 * lets this run now and then, to know what the tracepoints cost. */
SEC("tp_btf/sys_enter")
int count_calls(u64 *ctx)
{
	u32 zero = 0;
	struct counts *c = bpf_map_lookup_elem(&counters, &zero);
	s64 nr = SYSCALL_NR((struct pt_regs *)ctx[0]);

	if (!c)
		return 0;
	c->calls++;
	if (is_wait(nr) || nr == NR_CLOSE)
		c->waits++;
	return 0;
}

static __always_inline int call_begins(struct pt_regs *regs)
{
	s64 nr = SYSCALL_NR(regs);
	struct task_struct *me;
	struct loop *l;
	u64 now, took;
	s64 timeout;

	if (!is_wait(nr) && nr != NR_CLOSE)
		return 0;
	me = bpf_get_current_task_btf();
	if (nr == NR_CLOSE) {
		closes(me->pid, CALL_ARG1(regs));
		return 0;
	}
	l = loop_of(me->pid);
	if (!l || !l->on || !is_its_wait(l, me->pid, nr, is_epoll(nr) ? (s32)CALL_ARG1(regs) : -1))
		return 0;
	now = bpf_ktime_get_boot_ns();
	if (l->begin) {
		took = now - l->begin;
		l->told.busy += took;
		l->told.iterations++;
		was_late(l, l->deadline, now);
		if (took >= block_ns)
			tell_block(l, me, now, cpu_time(me, l, now));
	}
	l->early = 0;
	timeout = timeout_of(regs, nr);
	l->deadline = timeout > 0 ? now + timeout : 0;
	l->begin = 0;
	l->entered = now;
	if (now - l->told.since >= LOOP_TELL_NS) {
		tell_loop(l, me->pid, now);
		tell_lag(l, me->pid, now);
	}
	return 0;
}

static __always_inline int call_ends(struct pt_regs *regs, s64 ret)
{
	s64 nr = SYSCALL_NR(regs);
	struct task_struct *me;
	struct loop *l;
	u64 now;

	if (!is_wait(nr))
		return 0;
	me = bpf_get_current_task_btf();
	l = loop_of(me->pid);
	if (!l || !l->on || !was_its_wait(l, me->pid, nr, (s32)CALL_ARG1(regs)))
		return 0;
	now = bpf_ktime_get_boot_ns();
	if (l->entered) /* else the kernel did not run the program at its begin */
		l->told.idle += now - l->entered;
	if (ret > 0)
		l->told.events += ret;
	if (l->deadline && now >= l->deadline) {
		was_late(l, l->deadline, now);
		l->deadline = 0; /* its lateness is known */
	}
	l->entered = 0;
	l->cpu = cpu_time(me, l, now);
	l->begin = now;
	return 0;
}

SEC("tp_btf/sys_enter")
int loop_waits(u64 *ctx)
{
	return call_begins((struct pt_regs *)ctx[0]);
}

SEC("tp_btf/sys_exit")
int loop_goes_on(u64 *ctx)
{
	return call_ends((struct pt_regs *)ctx[0], ctx[1]);
}

/* What programs get at the tracepoint of a single call's end: struct syscall_tp_t in
 * the kernel's kernel/trace/trace_syscalls.c. */
struct call_end {
	u64 entry;
	s32 nr;
	u32 pad;
	s64 ret;
};

SEC("tracepoint")
int loop_waits_here(void *ctx)
{
	return call_begins((struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf()));
}

SEC("tracepoint")
int loop_goes_on_here(struct call_end *ctx)
{
	return call_ends((struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf()), ctx->ret);
}
