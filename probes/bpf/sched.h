/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Scheduling of the targets' threads, and the GIL without a trap: a thread that
 * leaves the CPU asleep in futex(FUTEX_WAIT) on a word inside the GIL waits for
 * it; the word tells the phase. Every such moment samples the GIL's fields,
 * from which the collector rebuilds who held it when.
 */

/* Futex words by offset in the GIL (glibc's pthread_cond_t and pthread_mutex_t). */
#define WORD_COND_LO   72 /* a wait slice: __g_signals of gil->cond */
#define WORD_COND_HI   76
#define WORD_MUTEX     80 /* gil->mutex */
#define WORD_SWITCH_LO 160 /* a taker signals switch_cond, a dropper waits on it */
#define WORD_SWITCH_HI 164
#define GIL_WORDS_LO   32
#define GIL_WORDS_HI   208

#define OP_MASK 0x7f
#define OP_WAIT 0
#define OP_WAKE 1
#define OP_WAIT_BITSET 9

/* If regs are those of a futex call on a word of the GIL, note word and op. */
static __always_inline void read_futex(const struct target *t, struct task_struct *task, struct rec *r)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	u64 word;

	if (!t->gil || regs->orig_ax != NR_FUTEX)
		return;
	word = regs->di - t->gil - t->gil_shift;
	if (word < GIL_WORDS_LO || word >= GIL_WORDS_HI)
		return;
	r->word = word;
	r->op = regs->si & OP_MASK;
}

static __always_inline bool waits(const struct rec *r)
{
	return r->word && (r->op == OP_WAIT || r->op == OP_WAIT_BITSET) && (r->flags & F_ASLEEP);
}

/* Whoever wakes a waiter and was the last to hold the GIL is dropping it. */
static __always_inline bool drops(const struct rec *r)
{
	return (r->word == WORD_COND_LO || r->word == WORD_COND_HI) && r->op == OP_WAKE && r->holder_tid == r->tid;
}

/* The stacks worth having when a thread goes to sleep: its own when its wait
 * begins or when it sleeps holding the GIL, the holder's whenever it waits. */
static __always_inline void stacks_at_block(struct target *t, struct scratch *s, struct task_struct *prev)
{
	struct rec *r = &s->rec;
	bool mine = r->locked && r->holder_tid == r->tid;
	bool taking = waits(r) && r->word >= WORD_COND_LO && r->word <= WORD_MUTEX && !mine;
	struct thread *th;

	if (!(r->flags & F_ASLEEP))
		return;
	th = thread_of(r->tid);
	if (!th)
		return;
	taking |= th->slice;
	th->slice = 0;
	if (!taking) {
		if (!mine || r->word)
			return;
		th->tstate = r->holder;
		r->nframes = walk(t, s, th, r->holder, 0);
		r->pc = ((struct pt_regs *)bpf_task_pt_regs(prev))->ip;
		r->sp = ((struct pt_regs *)bpf_task_pt_regs(prev))->sp;
		return;
	}
	r->nframes = walk(t, s, th, tstate_of(t, th, r->tid), 0);
	if (!r->locked)
		return;
	r->hframes = walk(t, s, bpf_map_lookup_elem(&threads, &r->holder_tid), r->holder, r->nframes);
	t->seen = r->switches;
}

/* Appends native stack bytes and sends the record that s holds. */
static __always_inline void send_scratch(struct scratch *s)
{
	u32 frames = (s->rec.nframes + s->rec.hframes) * sizeof(struct frame);
	u64 len = sizeof(struct rec) + frames;

	if (frames > 2 * (MAX_FRAMES + 1) * sizeof(struct frame))
		return;
	if (s->rec.sp && !bpf_probe_read_user(&s->data[frames], STACK_BYTES, (void *)s->rec.sp)) {
		s->rec.nstack = STACK_BYTES;
		len += STACK_BYTES;
	}
	if (len <= sizeof(struct rec) + sizeof(s->data))
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
	if (tn)
		s->rec.flags |= F_NEXT;
	if (!tp) {
		send(&s->rec, sizeof(struct rec));
		return 0;
	}
	s->rec.flags |= F_PREV;
	if (!preempt && prev->__state)
		s->rec.flags |= F_ASLEEP;
	if (prev->mm && tp->gil) {
		read_gil(tp, &s->rec);
		read_futex(tp, prev, &s->rec);
		stacks_at_block(tp, s, prev);
	}
	send_scratch(s);
	return 0;
}

SEC("tp_btf/sched_waking")
int sched_waking(u64 *ctx)
{
	struct task_struct *p = (struct task_struct *)ctx[0], *me = bpf_get_current_task_btf();
	u32 zero = 0, tgid = p->tgid;
	struct target *t = bpf_map_lookup_elem(&targets, &tgid);
	struct scratch *s;

	if (!t)
		return 0;
	s = bpf_map_lookup_elem(&scratches, &zero);
	if (!s)
		return 0;
	begin_rec(&s->rec, REC_WAKING, tgid, me->pid);
	s->rec.peer = p->pid;
	s->rec.arg = p->wake_cpu;
	if (me->tgid == tgid && me->mm) {
		s->rec.flags |= F_PREV;
		read_gil(t, &s->rec);
		read_futex(t, me, &s->rec);
		if (drops(&s->rec)) {
			if (t->seen != s->rec.switches)
				s->rec.nframes = walk(t, s, thread_of(s->rec.tid), s->rec.holder, 0);
			t->seen = ~s->rec.switches; /* a retake does not change the number */
		}
	}
	send_scratch(s);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int sched_process_fork(u64 *ctx)
{
	struct task_struct *parent = (struct task_struct *)ctx[0], *child = (struct task_struct *)ctx[1];
	u32 tgid = parent->tgid;
	struct rec r;

	if (!bpf_map_lookup_elem(&targets, &tgid))
		return 0;
	begin_rec(&r, REC_FORK, tgid, parent->pid);
	r.peer = child->pid;
	r.arg = child->tgid;
	send(&r, sizeof(r));
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
	t->gil = 0; /* its address means nothing in the new program */
	begin_rec(&r, REC_EXEC, tgid, p->pid);
	if (bpf_ringbuf_output(&ring, &r, sizeof(r), BPF_RB_FORCE_WAKEUP))
		count_lost();
	return 0;
}

SEC("tp_btf/sched_process_exit")
int sched_process_exit(u64 *ctx)
{
	struct task_struct *p = (struct task_struct *)ctx[0];
	u32 tgid = p->tgid;
	struct rec r;

	if (!bpf_map_lookup_elem(&targets, &tgid))
		return 0;
	begin_rec(&r, REC_EXIT, tgid, p->pid);
	r.arg = p->signal->group_exit_code ? p->signal->group_exit_code : p->exit_code;
	if (!p->signal->live.counter)
		r.flags |= F_LAST;
	if (bpf_ringbuf_output(&ring, &r, sizeof(r), r.flags & F_LAST ? BPF_RB_FORCE_WAKEUP : wake_flags(&r)))
		count_lost();
	return 0;
}
