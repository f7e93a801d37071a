/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Functions of free-threaded builds that run seldom: who stops the world and lets it
 * go on (Python/pystate.c), and who turns the GIL on (Python/ceval_gil.c, import.c).
 * Unlike those of the GIL, these programs walk stacks, for which they need a buffer
 * of their own: they can be preempted by each other, and then tell less.
 */
#define RARE_NAME_BYTES 160 /* of a str: header and about a hundred characters */
#define WHICH_SHIFT	8   /* in the attach cookie, which function it is */

struct rare_scratch {
	struct scratch s;
	u64 busy;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct rare_scratch);
} rare_scratches SEC(".maps");

static __always_inline void rare_walk(struct target *t, struct scratch *s)
{
	struct thread *th = thread_of(s->rec.tid);

	if (!th || !t->places_n)
		return;
	s->rec.place = th->place;
	s->rec.nframes = walk(t, s, th, tstate_of(t, th, s->rec.tid, th->place), 0);
}

/* Sends the record with its frames, and what of the native stack is at sp. */
static __always_inline void rare_send(struct scratch *s, u64 sp)
{
	u32 frames = s->rec.nframes * sizeof(struct frame);
	u64 len = sizeof(struct rec) + frames;

	if (frames > (MAX_FRAMES + 1) * sizeof(struct frame))
		return;
	if (sp && !bpf_probe_read_user(&s->data[frames], STACK_BYTES, (void *)sp)) {
		s->rec.nstack = STACK_BYTES;
		len += STACK_BYTES;
	}
	if (len <= sizeof(struct rec) + sizeof(s->data))
		send(&s->rec, len);
}

static __always_inline void rare_name(struct scratch *s, u64 str)
{
	u64 len = sizeof(struct rec) + RARE_NAME_BYTES;

	if (!bpf_probe_read_user(s->data, RARE_NAME_BYTES, (void *)str))
		s->rec.nstack = RARE_NAME_BYTES;
	else
		len = sizeof(struct rec);
	send(&s->rec, len);
}

static __always_inline void rare_tell(struct target *t, struct rare_scratch *b, struct ctx_regs *ctx, u32 tgid, u32 tid, u32 which)
{
	struct scratch *s = &b->s;

	begin_rec(&s->rec, REC_RARE, tgid, tid);
	s->rec.arg = which;
	if (which == RARE_CHECKS_GIL) {
		rare_name(s, ARG2(ctx));
		return;
	}
	rare_walk(t, s);
	if (which == RARE_STOPS) {
		s->rec.pc = RETURN_PC(ctx);
		s->rec.sp = RETURN_SP(ctx);
	}
	rare_send(s, s->rec.sp);
}

static __always_inline void count_rare(u32 tgid)
{
	u32 slot = tgid & (USAGES - 1);
	struct usage *u = bpf_map_lookup_elem(&usages, &slot);

	if (u)
		__sync_fetch_and_add(&u->rares, 1);
}

static __always_inline int rare_hit(struct ctx_regs *ctx, u32 which)
{
	u32 zero = 0, tgid, tid;
	struct target *t = current_target(&tgid, &tid);
	struct rare_scratch *b;
	struct rec r;

	if (!t)
		return 0;
	count_rare(tgid);
	b = bpf_map_lookup_elem(&rare_scratches, &zero);
	if (!b)
		return 0;
	if (which != RARE_STOPPED && !__sync_fetch_and_add(&b->busy, 1)) {
		rare_tell(t, b, ctx, tgid, tid, which);
		__sync_fetch_and_add(&b->busy, -1);
		return 0;
	}
	if (which != RARE_STOPPED)
		__sync_fetch_and_add(&b->busy, -1);
	begin_rec(&r, REC_RARE, tgid, tid);
	r.arg = which;
	send(&r, sizeof(r));
	return 0;
}

SEC("uprobe.multi/rare")
int rare(struct ctx_regs *ctx)
{
	return rare_hit(ctx, bpf_get_attach_cookie(ctx) >> WHICH_SHIFT & 0xff);
}

SEC("uretprobe.multi/rare")
int rare_return(struct ctx_regs *ctx)
{
	return rare_hit(ctx, RARE_STOPPED);
}
