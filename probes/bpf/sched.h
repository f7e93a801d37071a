/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Scheduling of the targets' threads, and the GIL without a trap: a thread that
 * leaves the CPU asleep in futex(FUTEX_WAIT) on a word inside the GIL waits for
 * it; the word tells the phase. Every such moment samples the GIL's fields,
 * from which the collector rebuilds who held it when.
 */

/* Futex words by offset in the GIL (glibc's pthread_cond_t and pthread_mutex_t),
 * as on x86-64: records have these everywhere, see WIDER.
 * In newer glibc (upstream since 2.41) __g_signals lies 8 bytes lower. There the
 * older ones have a lock and a count, on which nobody waits by FUTEX_WAIT_BITSET:
 * so who does gives the newer ones away. */
#define NEWER_SHIFT	8
#define IS_NEWER(word)	(((word) & ~4ull) == 64 || ((word) & ~4ull) == 152)
#define WORD_COND_LO   72 /* a wait slice: __g_signals of gil->cond */
#define WORD_COND_HI   76
#define WORD_MUTEX     80 /* gil->mutex */
#define WORD_SWITCH_LO 160 /* a taker signals switch_cond, a dropper waits on it */
#define WORD_SWITCH_HI 164
#define GIL_WORDS_LO   32
#define GIL_WORDS_HI   (208 + 2 * WIDER)
/* How much wider than there the mutex is, behind which switch_cond lies. */
#define WIDER	       (MUTEX_BYTES - 40)

/* If regs are those of a futex call on a word of a GIL, note word, op and place. */
static __always_inline void read_futex(struct target *t, struct task_struct *task, struct rec *r)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	u64 addr;
	u32 place;

	if (!t->places_n || SYSCALL_NR(regs) != NR_FUTEX)
		return;
	addr = ARG1(regs);
	place = place_at(t, addr, GIL_WORDS_LO, GIL_WORDS_HI);
	if (place >= MAX_PLACES)
		return;
	r->place = place;
	r->word = addr - in_gil(t, place, 0);
	if (r->word >= WORD_MUTEX + MUTEX_BYTES)
		r->word -= WIDER;
	r->op = ARG2(regs) & OP_MASK;
	if (!IS_NEWER(r->word))
		return;
	if (r->op == OP_WAIT_BITSET)
		t->cond_shift = NEWER_SHIFT;
	r->word += t->cond_shift;
}

/* Notes what a thread in this address space has to do with a GIL: the futex
 * word, if any, and the GIL's fields. */
static __always_inline void observe(struct target *t, struct task_struct *task, struct rec *r)
{
	u32 tid = r->tid;
	struct thread *th;

	read_futex(t, task, r);
	if (t->places_n > 1) {
		th = thread_of(tid);
		if (!r->word)
			r->place = place_held(t, tid, th ? th->place : 0);
		else if (th && th->place != r->place)
			th->tstate = 0;
		if (th)
			th->place = r->place;
	}
	read_gil(t, r);
}

static __always_inline bool waits(const struct rec *r)
{
	return r->word && (r->op == OP_WAIT || r->op == OP_WAIT_BITSET) && (r->flags & F_ASLEEP);
}

static __always_inline bool holds(const struct rec *r)
{
	return (r->flags & F_LOCKED) && r->holder_tid == r->tid;
}

/* Whoever wakes a waiter and was the last to hold the GIL is dropping it. */
static __always_inline bool drops(const struct rec *r)
{
	return (r->word == WORD_COND_LO || r->word == WORD_COND_HI) && r->op == OP_WAKE && r->holder_tid == r->tid;
}

/* Where the target notes which hold of the record's GIL was looked at. */
static __always_inline u32 *seen_at(struct target *t, const struct rec *r)
{
	return &t->places[r->place & (MAX_PLACES - 1)].seen;
}

/* The stacks worth having when a thread goes to sleep: its own when its wait
 * begins or when it sleeps holding the GIL, the holder's whenever it waits. */
static __always_inline void stacks_at_block(struct target *t, struct scratch *s, struct task_struct *prev)
{
	struct rec *r = &s->rec;
	bool mine = holds(r);
	bool taking = waits(r) && r->word >= WORD_COND_LO && r->word <= WORD_MUTEX && !mine;
	struct thread *th;

	if (!(r->flags & F_ASLEEP))
		return;
	th = thread_of(r->tid);
	if (!th)
		return;
	taking |= th->slice;
	th->slice = 0;
	th->word = 0;
	if (!taking) {
		if (!mine && !r->word)
			lock_at_block(t, s, prev, th);
		if (!mine || r->word)
			return;
		th->tstate = r->holder;
		th->place = r->place;
		r->nframes = walk(t, s, th, r->holder, 0);
		r->pc = PC((struct pt_regs *)bpf_task_pt_regs(prev));
		r->sp = SP((struct pt_regs *)bpf_task_pt_regs(prev));
		return;
	}
	r->nframes = walk(t, s, th, tstate_of(t, th, r->tid, r->place), 0);
	if (!(r->flags & F_LOCKED))
		return;
	r->hframes = walk(t, s, bpf_map_lookup_elem(&threads, &r->holder_tid), r->holder, r->nframes);
	*seen_at(t, r) = r->switches;
}

/* Appends native stack bytes and sends the record that s holds. */
static __always_inline void send_scratch(struct scratch *s)
{
	u32 frames = (s->rec.nframes + s->rec.hframes) * sizeof(struct frame);
	u64 len = sizeof(struct rec) + frames;
	bool asks = 0;

	if (frames > 2 * (MAX_FRAMES + 1) * sizeof(struct frame))
		return;
	if (s->rec.sp && (s->rec.word || !(s->rec.op & LOCK_ANY)) && !bpf_probe_read_user(&s->data[frames], STACK_BYTES, (void *)s->rec.sp)) {
		s->rec.nstack = STACK_BYTES;
		len += STACK_BYTES;
	}
	if (s->rec.flags & F_LOOP) {
		asks = !s->at.begin;
		frames += s->rec.nstack;
		if (frames > sizeof(s->data) - sizeof(struct loop_at))
			return;
		__builtin_memcpy(&s->data[frames], &s->at, sizeof(s->at));
		len += sizeof(s->at);
	}
	if (len > sizeof(struct rec) + sizeof(s->data))
		return;
	if (asks)
		send_now(&s->rec, len); /* the answer should come before it wakes up */
	else
		send(&s->rec, len);
}

SEC("tp_btf/sched_switch")
int sched_switch(u64 *ctx)
{
	bool preempt = ctx[0];
	struct task_struct *prev = (struct task_struct *)ctx[1], *next = (struct task_struct *)ctx[2];
	u32 zero = 0, ptgid = prev->tgid, ntgid = next->tgid;
	struct target *tp = ptgid ? bpf_map_lookup_elem(&targets, &ptgid) : NULL;
	struct target *tn = ntgid ? bpf_map_lookup_elem(&targets, &ntgid) : NULL;
	struct scratch *s;

	if (!tp && !tn)
		return 0;
	s = bpf_map_lookup_elem(&scratches, &zero);
	if (!s)
		return 0;
	begin_rec(&s->rec, REC_SWITCH, tp ? ptgid : ntgid, prev->pid);
	s->rec.peer = next->pid;
	s->rec.arg = preempt ? 0x100 : (prev->__state | prev->exit_state);
	if (tn) {
		s->rec.flags |= F_NEXT;
		loop_gets_cpu(next, s->rec.ts);
	}
	if (!tp) {
		send(&s->rec, sizeof(struct rec));
		return 0;
	}
	s->rec.flags |= F_PREV;
	if (!preempt && prev->__state)
		s->rec.flags |= F_ASLEEP;
	if (prev->mm && tp->places_n) {
		observe(tp, prev, &s->rec);
		stacks_at_block(tp, s, prev);
		loop_leaves_cpu(tp, s, prev);
		worker_leaves_cpu(tp, s, prev);
	}
	send_scratch(s);
	return 0;
}

/* Run on each CPU by the reader: the thread that it interrupts may have been there
 * since before anybody looked. */
SEC("raw_tp/running")
int running(void *ctx)
{
	struct task_struct *me = bpf_get_current_task_btf();
	u32 tgid = me->tgid;
	struct rec r;

	if (!bpf_map_lookup_elem(&targets, &tgid))
		return 0;
	begin_rec(&r, REC_RUNNING, tgid, me->pid);
	send(&r, sizeof(r));
	return 0;
}

SEC("tp_btf/sched_waking")
int sched_waking(u64 *ctx)
{
	struct task_struct *p = (struct task_struct *)ctx[0], *me = bpf_get_current_task_btf();
	u32 zero = 0, tgid = p->tgid;
	struct target *t = bpf_map_lookup_elem(&targets, &tgid), *other = NULL;
	struct thread *woken = NULL;
	struct scratch *s;
	u64 tstate = 0; /* whose stack is worth having */

	if (!t)
		return 0;
	s = bpf_map_lookup_elem(&scratches, &zero);
	if (!s)
		return 0;
	begin_rec(&s->rec, REC_WAKING, tgid, me->pid);
	s->rec.peer = p->pid;
	s->rec.arg = p->wake_cpu;
	if (me->tgid != tgid && me->mm)
		other = gives_to_other(s, me, &woken);
	if (other)
		t = other;
	if ((me->tgid == tgid || other) && me->mm) {
		s->rec.flags |= F_PREV;
		observe(t, me, &s->rec);
		if (other) {
			tstate = lock_at_waking(t, &s->rec, woken);
		} else if (drops(&s->rec)) {
			if (*seen_at(t, &s->rec) != s->rec.switches)
				tstate = s->rec.holder;
			*seen_at(t, &s->rec) = ~s->rec.switches; /* a retake does not change the number */
		} else if (!s->rec.word) {
			tstate = lock_at_waking(t, &s->rec, woken_for_lock(s->rec.peer, me, 0));
		}
		if (tstate)
			s->rec.nframes = walk(t, s, thread_of(s->rec.tid), tstate, 0);
	}
	send_scratch(s);
	return 0;
}

