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
#define SWITCH_COND_OFF (80 + MUTEX_BYTES)

/* Attach cookie: the site is a call of the function, not its entry, so there is
 * no return address on the stack yet. */
#define AT_CALL	   4

static __always_inline struct target *current_target(u32 *tgid, u32 *tid)
{
	u64 id = bpf_get_current_pid_tgid();

	*tgid = id >> 32;
	*tid = (u32)id;
	return bpf_map_lookup_elem(&targets, tgid);
}

/* Counts a hit, and says whether it is one too many. */
static __always_inline bool braked(u32 tgid, u32 tid)
{
	u32 slot = tgid & (USAGES - 1);
	struct usage *u = bpf_map_lookup_elem(&usages, &slot);
	struct rec r;
	u64 n, limit;

	if (!u)
		return 0;
	n = __sync_fetch_and_add(&u->hits, 1);
	limit = READ_ONCE(u->limit);
	if (!limit || n < limit)
		return 0;
	if (n == limit) {
		begin_rec(&r, REC_BRAKE, tgid, tid);
		send_now(&r, sizeof(r));
	}
	return 1;
}

/* The target whose probe was hit, if the hit is to be told. */
static __always_inline struct target *hit_target(u32 *tgid, u32 *tid)
{
	struct target *t = current_target(tgid, tid);

	return t && t->places_n && !braked(*tgid, *tid) ? t : NULL;
}

static __always_inline u32 drop_requested(const struct target *t, const struct rec *r)
{
	if (t->drop_base == 0)
		return read_u32(t->runtime + t->drop_request);
	if (t->drop_base == 1)
		return read_u32(read_u64(r->holder + t->thread_interp) + t->drop_request);
	return read_u32(r->holder + t->drop_request) & 1;
}

static __always_inline void took(const struct target *t, u32 tgid, u32 tid, u32 place)
{
	struct rec r;

	begin_rec(&r, REC_TAKE, tgid, tid);
	r.place = place;
	read_own_gil(t, &r);
	send(&r, sizeof(r));
}

struct drop_rec {
	struct rec rec;
	u8 stack[DROP_STACK];
};

/* A drop is forced only if a drop request is pending, so only then the callers
 * matter: they are the return addresses on the stack. */
static __always_inline void dropped(const struct target *t, u32 tgid, u32 tid, u32 place, u64 pc, u64 sp)
{
	struct drop_rec r;

	begin_rec(&r.rec, REC_DROP, tgid, tid);
	r.rec.place = place;
	read_own_gil(t, &r.rec);
	r.rec.arg = drop_requested(t, &r.rec);
	if (!r.rec.arg || bpf_probe_read_user(r.stack, sizeof(r.stack), (void *)sp)) {
		send(&r.rec, sizeof(r.rec));
		return;
	}
	r.rec.pc = pc;
	r.rec.sp = sp;
	r.rec.nstack = DROP_STACK;
	send(&r.rec, sizeof(r));
}

/* If the GIL is taken, the thread is about to sleep: sched_switch then walks
 * the stacks, where there is room for them. */
static __always_inline void wait_begins(const struct target *t, u8 kind, u32 tgid, u32 tid, u32 place)
{
	struct thread *th = thread_of(tid);
	struct rec r;

	begin_rec(&r, kind, tgid, tid);
	r.place = place;
	read_gil(t, &r);
	if (th && r.flags & F_LOCKED) {
		th->slice = 1;
		th->tstate = th->place == place ? th->tstate : 0;
		th->place = place;
	}
	send(&r, sizeof(r));
}

SEC("uprobe.multi/cond_signal")
int cond_signal(struct ctx_regs *ctx)
{
	u32 tgid, tid, place;
	struct target *t = hit_target(&tgid, &tid);
	u64 addr = ARG1(ctx);

	if (!t)
		return 0;
	place = place_at(t, addr, COND_OFF, SWITCH_COND_OFF + 1);
	if (place >= MAX_PLACES)
		count_hit();
	else if (addr == in_gil(t, place, SWITCH_COND_OFF))
		took(t, tgid, tid, place);
	else if (addr == in_gil(t, place, COND_OFF) && bpf_get_attach_cookie(ctx) & AT_CALL)
		dropped(t, tgid, tid, place, PC(ctx) + CALL_BYTES, SP(ctx));
	else if (addr == in_gil(t, place, COND_OFF))
		dropped(t, tgid, tid, place, RETURN_PC(ctx), RETURN_SP(ctx));
	else
		count_hit();
	return 0;
}

SEC("uprobe.multi/cond_timedwait")
int cond_timedwait(struct ctx_regs *ctx)
{
	u32 tgid, tid, place;
	struct target *t = hit_target(&tgid, &tid);
	u64 addr = ARG1(ctx);

	if (!t)
		return 0;
	place = place_at(t, addr, COND_OFF, COND_OFF + 1);
	if (place < MAX_PLACES)
		wait_begins(t, REC_SLICE, tgid, tid, place);
	else
		count_hit();
	return 0;
}

/* Attach cookie: which argument register holds the thread state (1, 2 or 3). */
#define TSTATE_ARG 3

static __always_inline u64 tstate_arg(struct ctx_regs *ctx)
{
	u64 arg = bpf_get_attach_cookie(ctx) & TSTATE_ARG;
	u64 first = READ_ONCE(ARG1(ctx)), second = READ_ONCE(ARG2(ctx)), third = READ_ONCE(ARG3(ctx));

	return arg == 1 ? first : arg == 2 ? second : third;
}

/* The place that the thread state in the argument registers belongs to. */
static __always_inline u32 place_of_arg(const struct target *t, struct ctx_regs *ctx)
{
	u64 interp;

	if (t->places_n < 2)
		return 0;
	interp = read_u64(tstate_arg(ctx) + t->thread_interp);
	for (u32 i = 0; i < MAX_PLACES && i < t->places_n; i++) {
		if (t->places[i].interp == interp)
			return place_at(t, in_gil(t, i, 0), 0, 1); /* the first that has this GIL */
	}
	return 0;
}

SEC("uprobe.multi/take_gil")
int take_gil(struct ctx_regs *ctx)
{
	u32 tgid, tid;
	struct target *t = hit_target(&tgid, &tid);

	if (t)
		wait_begins(t, REC_ENTER, tgid, tid, place_of_arg(t, ctx));
	return 0;
}

/* The thread state is not in a register any more: it is the holder. */
SEC("uretprobe.multi/take_gil")
int take_gil_return(struct ctx_regs *ctx)
{
	u32 tgid, tid;
	struct target *t = hit_target(&tgid, &tid);

	if (t)
		took(t, tgid, tid, place_held(t, tid, 0));
	return 0;
}

SEC("uprobe.multi/drop_gil")
int drop_gil(struct ctx_regs *ctx)
{
	u32 tgid, tid;
	struct target *t = hit_target(&tgid, &tid);

	if (t)
		dropped(t, tgid, tid, place_held(t, tid, 0), RETURN_PC(ctx), RETURN_SP(ctx));
	return 0;
}
