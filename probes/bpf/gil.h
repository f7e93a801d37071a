/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The GIL by uprobes. libc's condition variables, filtered by address, see every
 * take and drop whatever the compiler inlined (Python/ceval_gil.c: drop_gil
 * signals gil->cond, take_gil signals gil->switch_cond once it has the GIL);
 * take_gil and drop_gil themselves serve where libc has no such symbols.
 *
 * These programs can be preempted, so they build records on their own stack.
 */

#define COND_OFF	32
#define SWITCH_COND_OFF 120

static __always_inline struct target *current_target(u32 *tgid, u32 *tid)
{
	u64 id = bpf_get_current_pid_tgid();

	*tgid = id >> 32;
	*tid = (u32)id;
	return bpf_map_lookup_elem(&targets, tgid);
}

static __always_inline u32 drop_requested(const struct target *t, const struct rec *r)
{
	if (t->drop_base == 0)
		return read_u32(t->runtime + t->drop_request);
	if (t->drop_base == 1)
		return read_u32(t->interp + t->drop_request);
	return read_u32(r->holder + t->drop_request) & 1;
}

static __always_inline void took(const struct target *t, u32 tgid, u32 tid)
{
	struct rec r;

	begin_rec(&r, REC_TAKE, tgid, tid);
	read_own_gil(t, &r);
	send(&r, sizeof(r));
}

struct drop_rec {
	struct rec rec;
	u8 stack[DROP_STACK];
};

/* A drop is forced only if a drop request is pending, so only then the callers
 * matter: they are the return addresses on the stack. */
static __always_inline void dropped(const struct target *t, u32 tgid, u32 tid, u64 sp, u8 flags)
{
	struct drop_rec r;

	begin_rec(&r.rec, REC_DROP, tgid, tid);
	read_own_gil(t, &r.rec);
	r.rec.flags |= flags;
	r.rec.arg = drop_requested(t, &r.rec);
	if (!r.rec.arg || bpf_probe_read_user(r.stack, sizeof(r.stack), (void *)(sp + 8))) {
		send(&r.rec, sizeof(r.rec));
		return;
	}
	r.rec.pc = read_u64(sp);
	r.rec.sp = sp + 8;
	r.rec.nstack = DROP_STACK;
	send(&r.rec, sizeof(r));
}

/* If the GIL is taken, the thread is about to sleep: sched_switch then walks
 * the stacks, where there is room for them. */
static __always_inline void wait_begins(const struct target *t, u8 kind, u32 tgid, u32 tid)
{
	struct thread *th = thread_of(tid);
	struct rec r;

	begin_rec(&r, kind, tgid, tid);
	read_gil(t, &r);
	if (th && r.locked)
		th->slice = 1;
	send(&r, sizeof(r));
}

SEC("uprobe.multi/cond_signal")
int cond_signal(struct ctx_regs *ctx)
{
	u32 tgid, tid;
	struct target *t = current_target(&tgid, &tid);
	u64 off;

	if (!t || !t->gil)
		return 0;
	off = ctx->di - t->gil - t->gil_shift;
	if (off == SWITCH_COND_OFF)
		took(t, tgid, tid);
	else if (off == COND_OFF)
		dropped(t, tgid, tid, ctx->sp, 0);
	else
		count_hit();
	return 0;
}

SEC("uprobe.multi/cond_timedwait")
int cond_timedwait(struct ctx_regs *ctx)
{
	u32 tgid, tid;
	struct target *t = current_target(&tgid, &tid);

	if (!t || !t->gil)
		return 0;
	if (ctx->di - t->gil - t->gil_shift == COND_OFF)
		wait_begins(t, REC_SLICE, tgid, tid);
	else
		count_hit();
	return 0;
}

/* Attach cookie: which argument register holds the thread state (1, 2 or 3). */
static __always_inline u64 tstate_arg(struct ctx_regs *ctx)
{
	u64 arg = bpf_get_attach_cookie(ctx);

	return arg == 1 ? ctx->di : arg == 2 ? ctx->si : ctx->dx;
}

SEC("uprobe.multi/take_gil")
int take_gil(struct ctx_regs *ctx)
{
	u32 tgid, tid;
	struct target *t = current_target(&tgid, &tid);

	if (!t || !t->gil)
		return 0;
	wait_begins(t, REC_ENTER, tgid, tid);
	return 0;
}

SEC("uretprobe.multi/take_gil")
int take_gil_return(struct ctx_regs *ctx)
{
	u32 tgid, tid;
	struct target *t = current_target(&tgid, &tid);

	if (!t || !t->gil)
		return 0;
	took(t, tgid, tid);
	return 0;
}

SEC("uprobe.multi/drop_gil")
int drop_gil(struct ctx_regs *ctx)
{
	u32 tgid, tid;
	struct target *t = current_target(&tgid, &tid);

	if (!t || !t->gil)
		return 0;
	dropped(t, tgid, tid, ctx->sp, F_CALLER);
	return 0;
}
