/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which waits are those of a loop, and which are made by what it runs: a loop is
 * blocked by the latter. With epoll, the instance tells. The descriptors of poll and select do
 * not, nor where they lie, since a loop changes them; but who calls does: the
 * frame of the loop itself (asyncio's _run_once) has called the function that waits, and
 * in between there is nothing that runs callbacks. The reader says which code that is.
 */

/* The timeout of a wait, ns; < 0: none, or not known. */
static __always_inline s64 timeout_of(struct pt_regs *regs, s64 nr)
{
	u64 at = is_poll(nr) ? ARG3(regs) : is_select(nr) ? CALL_ARG5(regs) : CALL_ARG4(regs);
	s64 t[2];

	if (nr == NR_EPOLL_WAIT || nr == NR_EPOLL_PWAIT || nr == NR_POLL)
		return (s32)at < 0 ? -1 : (s64)(s32)at * 1000000;
	if (!at || bpf_probe_read_user(t, sizeof(t), (void *)at) || t[0] < 0 || t[0] > 1 << 30)
		return -1;
	return t[0] * 1000000000 + (nr == NR_SELECT ? t[1] * 1000 : t[1]);
}

#define WAIT_DEPTH 32 /* frames; the reader believes only a wait that is less deep than half of it, as some frames are the interpreter's own */

#define UNREADABLE 1 /* is the address of no code */

/* The code that a frame runs; 0: it is one of the interpreter's own. Not static, see step. */
__noinline u64 code_in(const struct target *t, u64 frame)
{
	u64 code;
	u8 owner = 0;

	if (!t)
		return UNREADABLE;
	if (t->frame_owner != NONE) {
		if (bpf_probe_read_user(&owner, 1, (void *)(frame + t->frame_owner)))
			return UNREADABLE;
		if (owner > t->owner_max)
			return 0;
	}
	code = read_u64(frame + t->frame_code) & t->code_mask;
	return code ? code : UNREADABLE;
}

/* Whether the loop itself waits, rather than what it runs: the innermost frame of l->runs has called l->calls.
 * Of what cannot be read it is not known, which is no proof of a block. */
__noinline int loop_itself(const struct target *t, const struct loop *l, u64 tstate)
{
	u64 frame, code, callee = 0;

	if (!t || !l || !tstate)
		return 1;
	frame = first_frame(t, tstate);
	if (!frame)
		return 1;
	for (int i = 0; i < WAIT_DEPTH && frame; i++) {
		code = code_in(t, frame);
		if (code == UNREADABLE)
			return 1;
		if (code && code == l->runs)
			return callee == l->calls;
		if (code)
			callee = code;
		frame = read_u64(frame + t->frame_back);
	}
	return 0;
}

/* Whether poll or select, which the loop waits by, is called by the loop itself. */
static __always_inline bool calls_itself(const struct loop *l, u32 tid)
{
	struct target *t;
	struct thread *th;

	if (!l->runs)
		return 1;
	t = bpf_map_lookup_elem(&targets, &l->tgid);
	th = t && t->places_n ? thread_of(tid) : NULL;
	return !t || !th || loop_itself(t, l, tstate_of(t, th, tid, th->place));
}

/* What the loop runs begins to wait by the call that the loop waits by, too. So the
 * loop's own wait is over, though the programs may not have seen that. */
static __always_inline void waits_within(struct loop *l)
{
	if (l->entered && l->begin > l->entered)
		l->told.idle += l->begin - l->entered;
	l->entered = l->early = 0;
}

/* Whether a call is the wait of the loop. After two waits on another epoll
 * instance, without one on its own in between, that is the loop's from now on. */
static __always_inline bool is_its_wait(struct loop *l, u32 tid, s64 nr, s32 fd)
{
	if (l->nr == nr && l->fd == fd) {
		if (!is_epoll(nr) && !calls_itself(l, tid)) {
			waits_within(l);
			return 0;
		}
		l->strays = 0;
		return 1;
	}
	if (!is_epoll(nr) || (l->nr && ++l->strays < 2))
		return 0;
	l->nr = nr;
	l->fd = fd;
	l->begin = l->entered = l->strays = 0;
	return 1;
}

/* Whether it is the wait of the loop that ends. Usually its begin has told. */
static __always_inline bool was_its_wait(struct loop *l, u32 tid, s64 nr, s32 fd)
{
	if ((!l->entered && !l->begin) || nr != l->nr || (is_epoll(nr) && fd != l->fd))
		return 0;
	return l->entered || is_epoll(nr) || calls_itself(l, tid);
}
