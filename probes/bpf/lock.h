/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Locks that are not the GIL. All of CPython's sleep in sem_wait or its timed
 * forms on a sem_t: one in the heap that is the lock (PyThread_type_lock, up to
 * 3.13.0), or one on the waiter's own stack, in the struct wait_entry of a
 * parking lot, where the address of the lock stands just before it (park_arg,
 * addr, sema: Python/parking_lot.c, 3.13+). An uncontended lock makes no system
 * call, and costs nothing here.
 */
#define OP_PRIVATE 128

/* thread.word: other processes may sleep on it, too. They see it at another address, but in the
 * same place of a page. */
#define COMMON_WORD 1
#define IN_PAGE	    4095

/* glibc's struct new_sem on 64-bit: value and number of waiters in one word. */
struct semaphore {
	u32 value;
	u32 waiters;
	u32 shared; /* 0 or 128 */
	u32 pad;
};

/* How far above the stack pointer of the system call a wait_entry may lie; 216 to 272 was seen. */
#define PARKED_WITHIN 1024

/* If task sleeps on a semaphore, sets the record's lock and returns the word. */
static __always_inline u64 read_lock(struct task_struct *task, struct rec *r)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	u64 word = CALL_ARG1(regs), op = ARG2(regs);
	struct semaphore sem;

	if (SYSCALL_NR(regs) != NR_FUTEX || word & 7 || (u32)ARG3(regs))
		return 0;
	if ((op & OP_MASK) != OP_WAIT && (op & OP_MASK) != OP_WAIT_BITSET)
		return 0;
	if (bpf_probe_read_user(&sem, sizeof(sem), (void *)word))
		return 0;
	if (!sem.waiters || sem.waiters > 0xffff || sem.shared & ~OP_PRIVATE)
		return 0;
	r->pc = word;
	r->op = LOCK_ANY;
	if (word - SP(regs) < PARKED_WITHIN) {
		r->pc = read_u64(word - 8);
		r->op |= LOCK_PARKED;
	}
	if (CALL_ARG4(regs))
		r->op |= LOCK_TIMED;
	if (!(op & OP_PRIVATE)) {
		r->op |= LOCK_COMMON;
		word |= COMMON_WORD;
	}
	return word;
}

/* A thread of the target goes to sleep, and not for the GIL. */
static __always_inline void lock_at_block(struct target *t, struct scratch *s, struct task_struct *prev, struct thread *th)
{
	struct rec *r = &s->rec;
	u64 tstate;

	th->word = read_lock(prev, r);
	if (!th->word)
		return;
	tstate = tstate_of(t, th, r->tid, r->place);
	read_parked(t, r, tstate);
	r->nframes = walk(t, s, th, tstate, 0);
}

/* Does me wake peer by a futex call on the word that peer sleeps on for a lock? Processes that
 * share a word have it at addresses that differ in the bits of apart. */
static __always_inline struct thread *woken_for_lock(u32 peer, struct task_struct *me, u64 apart)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(me);
	struct thread *th;

	if (SYSCALL_NR(regs) != NR_FUTEX || (ARG2(regs) & OP_MASK) != OP_WAKE)
		return NULL;
	th = bpf_map_lookup_elem(&threads, &peer);
	if (!th || !th->word || (th->word ^ CALL_ARG1(regs)) & ~(apart | COMMON_WORD))
		return NULL;
	if (apart && (!(th->word & COMMON_WORD) || ARG2(regs) & OP_PRIVATE))
		return NULL;
	return th;
}

/* me wakes peer: by giving back what that sleeps for? If so, returns the thread state of me. */
static __always_inline u64 lock_at_waking(struct target *t, struct rec *r, struct thread *woken)
{
	struct thread *th;

	if (!woken)
		return 0;
	woken->word = 0;
	r->op = LOCK_ANY;
	th = thread_of(r->tid);
	return th ? tstate_of(t, th, r->tid, r->place) : 0;
}

/* Who made the record's peer runnable is of another process. If that is a target, too, and did so by
 * giving back a lock, sends the record, begins one of its own, and returns that target. */
static __always_inline struct target *gives_to_other(struct scratch *s, struct task_struct *me, struct thread **woken)
{
	u32 tgid = me->tgid, peer = s->rec.peer;
	struct target *t;

	*woken = woken_for_lock(peer, me, ~(u64)IN_PAGE);
	if (!*woken)
		return NULL;
	t = bpf_map_lookup_elem(&targets, &tgid);
	if (!t)
		return NULL;
	send(&s->rec, sizeof(struct rec));
	begin_rec(&s->rec, REC_GAVE, tgid, me->pid);
	s->rec.peer = peer;
	return t;
}
