/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Event loops as the scheduler and the sampler meet them. A loop that leaves the
 * CPU within an iteration shows its stack and the system call it is in, for that
 * may be the begin of a block. There is no timer for it: a timer fires on
 * whichever CPU it was set on, and can read neither the memory nor the stack of
 * a thread that sleeps or runs elsewhere. So the stack of a block is taken when the thread
 * goes to sleep or is preempted, and by the CPU clock while it runs.
 */

static __always_inline bool is_epoll(s64 nr)
{
	return nr == NR_EPOLL_WAIT || nr == NR_EPOLL_PWAIT || nr == NR_EPOLL_PWAIT2;
}

static __always_inline bool is_poll(s64 nr)
{
	return nr == NR_POLL || nr == NR_PPOLL;
}

static __always_inline bool is_select(s64 nr)
{
	return nr == NR_SELECT || nr == NR_PSELECT6;
}

static __always_inline bool is_wait(s64 nr)
{
	return is_epoll(nr) || is_poll(nr) || is_select(nr);
}

static __always_inline struct loop *loop_of(u32 tid)
{
	return bpf_map_lookup_elem(&loops, &tid);
}

/* The thread is one no longer; the reader takes what was counted. */
static __always_inline void loop_ends(u32 tid)
{
	struct loop *l = loop_of(tid);

	if (l)
		l->on = l->begin = l->entered = 0;
}

/* The file system's word for the kind of a file of a thread. */
static __always_inline u16 file_mode(struct task_struct *task, u32 fd)
{
	struct files_struct *files = NULL;
	struct fdtable *table = NULL;
	struct file **array = NULL, *file = NULL;
	struct inode *inode = NULL;
	unsigned short mode = 0;
	u32 n = 0;

	if (bpf_core_read(&files, sizeof(files), &task->files) || !files ||
	    bpf_core_read(&table, sizeof(table), &files->fdt) || !table ||
	    bpf_core_read(&n, sizeof(n), &table->max_fds) || fd >= n ||
	    bpf_core_read(&array, sizeof(array), &table->fd) ||
	    bpf_probe_read_kernel(&file, sizeof(file), array + fd) || !file ||
	    bpf_core_read(&inode, sizeof(inode), &file->f_inode) || !inode)
		return 0;
	bpf_core_read(&mode, sizeof(mode), &inode->i_mode);
	return mode & 0170000;
}

/* Notes the system call that a thread in this address space is in. */
static __always_inline void note_call(struct loop_at *at, struct task_struct *task, struct pt_regs *regs)
{
	u64 first = CALL_ARG1(regs);

	at->nr = (s64)SYSCALL_NR(regs) < 0 ? -1 : (s32)SYSCALL_NR(regs);
	if (at->nr < 0)
		return;
	at->fd = is_poll(at->nr) ? (s32)read_u32(first) : (s32)first;
	if ((first < 1 << 20 || is_poll(at->nr)) && !is_select(at->nr))
		at->mode = file_mode(task, at->fd);
}

#define MAX_RUNNING 4 /* loops that are looked at; the entry that was made last comes last */

/* The task that a loop of the process runs, by the dict of loop and task: its keys
 * object has the number of entries, then an index that ends before them
 * (PyDictKeysObject; 24 bytes for the hash, key and value of each). If several loops
 * run tasks it is not known which is whose: 0. */
static __always_inline u64 current_task(const struct target *t)
{
	u64 keys = read_u64(t->current_tasks + 32), n, entries, size, value, found = 0;

	if (!keys)
		return 0;
	size = read_u64(keys + 8);
	if (t->dict_log2) { /* in two bytes: the numbers of slots, and of bytes that these take */
		n = read_u64(keys + 24);
		entries = keys + 32 + (1UL << (size >> 8 & 31));
	} else {
		n = read_u64(keys + 32);
		entries = keys + 40 + (size <= 0xff ? size : size <= 0xffff ? 2 * size : 4 * size);
	}
	for (u32 i = 0; i < MAX_RUNNING && i < n; i++) {
		value = read_u64(entries + 24 * (n - 1 - i) + 16);
		if (value && found)
			return 0;
		if (value)
			found = value;
	}
	return found;
}

#define INT_BYTES 32 /* no name has less: an int */

static __always_inline void note_task(const struct target *t, struct loop_at *at)
{
	u64 name = read_u64(at->task + t->task_name);

	at->loop = read_u64(at->task + 16); /* task_loop */
	at->class = read_u64(at->task + t->ob_type);
	if (name && bpf_probe_read_user(at->name, NAME_BYTES, (void *)name)) /* what is mapped may end behind it */
		bpf_probe_read_user(at->name, INT_BYTES, (void *)name);
}

/* Notes what the interpreter of a thread is about. */
static __always_inline void note_interpreter(const struct target *t, struct loop_at *at, u64 tstate)
{
	u64 base;

	if (!tstate)
		return;
	if (t->running_task != NONE)
		at->task = read_u64(tstate + t->running_task);
	else if (t->current_tasks)
		at->task = current_task(t);
	if (at->task && t->task_name)
		note_task(t, at);
	if (t->gc_collecting == NONE)
		return;
	base = t->gc_in_runtime ? t->runtime : read_u64(tstate + t->thread_interp);
	at->gc = read_u32(base + t->gc_collecting) != 0;
}

#define TICK_NS 10000000 /* the longest the kernel lets a thread run without accounting for it */

/* The CPU time of a running thread. The kernel's own sum lags behind by up to a
 * tick; what has passed since the thread got the CPU bounds it from above. */
static __always_inline u64 cpu_time(struct task_struct *task, const struct loop *l, u64 now)
{
	u64 sum = task->se.sum_exec_runtime, est;

	if (!l->in_at || now < l->in_at)
		return sum;
	est = l->in_cpu + now - l->in_at;
	return est < sum ? sum : est > sum + TICK_NS ? sum + TICK_NS : est;
}

static __always_inline void loop_gets_cpu(struct task_struct *task, u64 now)
{
	struct loop *l = loop_of(task->pid);

	if (!l)
		return;
	l->in_at = now;
	l->in_cpu = task->se.sum_exec_runtime;
	if (l->early && l->entered && !l->begin && l->nr == SYSCALL_NR((struct pt_regs *)bpf_task_pt_regs(task))) {
		l->begin = now;
		l->cpu = l->in_cpu;
	}
}

/* Adds to the record in s where in its iteration the thread is. */
static __always_inline void note_loop(const struct target *t, struct scratch *s, const struct loop *l, u64 cpu)
{
	struct thread *th = thread_of(s->rec.tid);

	s->at.begin = l->begin;
	s->at.cpu = cpu > l->cpu ? cpu - l->cpu : 0;
	if (!th)
		return;
	note_interpreter(t, &s->at, tstate_of(t, th, s->rec.tid, s->rec.place));
	s->rec.flags |= F_LOOP;
}

/* Whether the reader should look at this sleep of a thread that is no loop yet:
 * at the first, and then ever more seldom. Not by doubling: a thread that waits in
 * eight ways in turn would be seen in one of them only. */
static __always_inline bool asks(struct target *t, u32 tid, struct loop *l)
{
	struct loop fresh = {.tgid = t->tgid, .asked = 1, .ask_at = 2};

	if (!l)
		return !bpf_map_update_elem(&loops, &tid, &fresh, BPF_NOEXIST);
	if (l->on)
		return 0;
	if (++l->asked < l->ask_at)
		return 0;
	l->ask_at = l->asked + l->asked / 2 + 1;
	return 1;
}

static __always_inline void walk_own(const struct target *t, struct scratch *s)
{
	struct thread *th = thread_of(s->rec.tid);

	if (th && !s->rec.nframes && !s->rec.hframes)
		s->rec.nframes = walk(t, s, th, tstate_of(t, th, s->rec.tid, s->rec.place), 0);
}

/* A thread of t leaves the CPU; the record of that is in s. */
static __always_inline void loop_leaves_cpu(struct target *t, struct scratch *s, struct task_struct *prev)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(prev);
	struct loop *l = loop_of(s->rec.tid);
	struct loop_at none = {.nr = -1};

	s->at = none;
	if (l && l->early && s->rec.flags & F_ASLEEP && l->nr == SYSCALL_NR(regs))
		l->begin = 0; /* it got the CPU, and waits on */
	if (l && l->begin) {
		note_call(&s->at, prev, regs);
		note_loop(t, s, l, prev->se.sum_exec_runtime);
		walk_own(t, s);
		return;
	}
	if (!find_loops || !(s->rec.flags & F_ASLEEP) || !is_wait(SYSCALL_NR(regs)) || !asks(t, s->rec.tid, l))
		return;
	s->at.nr = SYSCALL_NR(regs);
	s->at.fd = CALL_ARG1(regs);
	s->rec.flags |= F_LOOP;
	walk_own(t, s);
}

static __always_inline void loop_sampled(struct target *t, struct scratch *s, struct task_struct *me)
{
	struct loop *l = loop_of(s->rec.tid);
	struct loop_at none = {.nr = -1};

	if (!l || !l->begin)
		return;
	s->at = none;
	if (s->rec.flags & F_KERNEL)
		note_call(&s->at, me, (struct pt_regs *)bpf_task_pt_regs(me));
	note_loop(t, s, l, cpu_time(me, l, s->rec.ts));
}
