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
	if (!(op & OP_PRIVATE))
		r->op |= LOCK_COMMON;
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

/* me wakes another thread of its process: by giving back what that sleeps for? */
static __always_inline void lock_at_waking(struct target *t, struct scratch *s, struct task_struct *me)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(me);
	struct rec *r = &s->rec;
	u32 peer = r->peer;
	struct thread *th;

	if (SYSCALL_NR(regs) != NR_FUTEX || (ARG2(regs) & OP_MASK) != OP_WAKE)
		return;
	th = bpf_map_lookup_elem(&threads, &peer);
	if (!th || !th->word || th->word != CALL_ARG1(regs))
		return;
	th->word = 0;
	r->op = LOCK_ANY;
	th = thread_of(r->tid);
	if (th)
		r->nframes = walk(t, s, th, tstate_of(t, th, r->tid, r->place), 0);
}
