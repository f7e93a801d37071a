/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reading the interpreter: the GIL, thread states, and Python frames. All
 * reads are of the current address space; a failed one reads as 0. */

#define NONE 0xffffffffu

static __always_inline u64 read_u64(u64 addr)
{
	u64 v = 0;

	if (bpf_probe_read_user(&v, sizeof(v), (void *)addr))
		return 0;
	return v;
}

static __always_inline u32 read_u32(u64 addr)
{
	u32 v = 0;

	if (bpf_probe_read_user(&v, sizeof(v), (void *)addr))
		return 0;
	return v;
}

/* The host's number of a thread that its pid namespace numbers tid. */
static __always_inline u32 host_tid(const struct target *t, u32 tid)
{
	struct ns_thread key = {t->tgid, tid};
	u32 *host = bpf_map_lookup_elem(&host_tids, &key);

	return host ? *host : 0;
}

/* The kernel's tid of a thread state: native_thread_id, or before 3.11 through
 * the pthread_t, where libc keeps it. Not static, see step. */
__noinline u32 tid_of(const struct target *t, u64 tstate)
{
	u64 pthread;
	u32 tid;

	if (!t || !tstate)
		return 0;
	if (t->thread_native_id != NONE) {
		tid = read_u32(tstate + t->thread_native_id);
	} else {
		pthread = read_u64(tstate + t->thread_ident);
		tid = pthread ? read_u32(pthread + t->pthread_tid) : 0;
	}
	return t->level ? host_tid(t, tid) : tid;
}

/* last_holder, locked, switch_number as they lie in struct _gil_runtime_state. */
struct gil_state {
	u64 holder;
	u32 locked;
	u32 pad;
	u64 switches;
};

static __always_inline u64 gil_at(const struct target *t, u32 place)
{
	return t->places[place & (MAX_PLACES - 1)].gil;
}

/* The address of what lies `off` bytes into the GIL, in builds with and without
 * the field "enabled" before all others. */
static __always_inline u64 in_gil(const struct target *t, u32 place, u64 off)
{
	return gil_at(t, place) + t->gil_shift + off;
}

static __always_inline bool read_state(const struct target *t, u32 place, struct gil_state *g)
{
	return !bpf_probe_read_user(g, sizeof(*g), (void *)in_gil(t, place, 8));
}

__noinline u32 place_beyond(const struct target *t, u64 addr, u64 lo, u64 hi)
{
	if (!t)
		return MAX_PLACES;
	for (u32 i = 1; i < MAX_PLACES && i < t->places_n; i++) {
		u64 off = addr - in_gil(t, i, 0);

		if (off >= lo && off < hi)
			return i;
	}
	return MAX_PLACES;
}

/* The place whose GIL has `addr` between its bytes lo and hi; MAX_PLACES: none.
 * Nearly always there is but one, and that must cost nothing. */
static __always_inline u32 place_at(const struct target *t, u64 addr, u64 lo, u64 hi)
{
	u64 off = addr - in_gil(t, 0, 0);

	if (off >= lo && off < hi)
		return 0;
	return t->places_n > 1 ? place_beyond(t, addr, lo, hi) : MAX_PLACES;
}

__noinline u32 place_among(const struct target *t, u32 tid, u32 usual)
{
	struct gil_state g;

	if (!t)
		return 0;
	for (u32 i = 0; i < MAX_PLACES && i < t->places_n; i++) {
		if (read_state(t, i, &g) && g.locked && tid_of(t, g.holder) == tid)
			return i;
	}
	return usual;
}

/* The place whose GIL the thread holds, else the usual one. With one GIL that
 * is the answer; with more it is seldom asked for, as their words tell. */
static __always_inline u32 place_held(const struct target *t, u32 tid, u32 usual)
{
	return t->places_n > 1 ? place_among(t, tid, usual) : 0;
}

/* Reads the GIL of r->place. At a take and at a drop the holder is the thread
 * itself, and need not be looked up. */
static __always_inline bool read_own_gil(const struct target *t, struct rec *r)
{
	struct gil_state g;

	if (!t->places_n || !read_state(t, r->place, &g))
		return 0;
	r->flags |= g.locked ? F_GIL | F_LOCKED : F_GIL;
	r->holder = g.holder;
	r->holder_tid = r->tid;
	r->switches = g.switches;
	return 1;
}

static __always_inline void read_gil(const struct target *t, struct rec *r)
{
	if (read_own_gil(t, r))
		r->holder_tid = tid_of(t, r->holder);
}

static __always_inline struct thread *thread_of(u32 tid)
{
	struct thread fresh = {}, *th = bpf_map_lookup_elem(&threads, &tid);

	if (th)
		return th;
	bpf_map_update_elem(&threads, &tid, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&threads, &tid);
}

/* The thread state of tid in one interpreter. New ones are put at the head of
 * its list, so a short walk finds them. */
__noinline u64 find_in(const struct target *t, u64 interp, u32 tid)
{
	u64 ts;

	if (!t || !interp)
		return 0;
	ts = read_u64(interp + t->threads_head);
	for (int i = 0; i < 32 && ts; i++) {
		if (tid_of(t, ts) == tid)
			return ts;
		ts = read_u64(ts + t->thread_next);
	}
	return 0;
}

/* The thread state with which tid, which runs in this address space, uses the
 * GIL of that place. A thread may have one in each interpreter. */
static __always_inline u64 tstate_of(const struct target *t, struct thread *th, u32 tid, u32 place)
{
	if (th->tstate && (th->place == place || t->places_n < 2) && tid_of(t, th->tstate) == tid)
		return th->tstate;
	th->tstate = 0;
	if (th->unknown > 8 && th->unknown++ & 63) /* not a Python thread, so far */
		return 0;
	for (u32 i = 0; i < MAX_PLACES && i < t->places_n; i++) {
		if (gil_at(t, i) != gil_at(t, place))
			continue;
		th->tstate = find_in(t, t->places[i].interp, tid);
		if (th->tstate) {
			th->place = place;
			th->unknown = 0;
			return th->tstate;
		}
	}
	th->unknown++;
	return 0;
}

/* Fields of the two buffers, by byte offset. Pointers lie at multiples of 8,
 * ints at multiples of 4; the masks keep a forged offset inside. */
#define FIELD64(buf, off) ((buf)[((off) >> 3) & (sizeof(buf) / 8 - 1)])
#define FIELD32(buf, off) (((u32 *)(buf))[((off) >> 2) & (sizeof(buf) / 4 - 1)])
#define FIELD8(buf, off)  (((u8 *)(buf))[(off) & (sizeof(buf) - 1)])

/* Must stay equal to cpython.CodeIdent. */
static __always_inline u32 code_ident(u32 first_line, u64 filename, u64 name, u64 table)
{
	u64 x = (filename >> 4) * 0x9E3779B97F4A7C15ull ^ (name >> 4) * 0xC2B2AE3D27D4EB4Full ^
		(table >> 4) * 0x165667B19E3779F9ull ^ (u64)first_line * 0x27D4EB2F165667C5ull;

	return (u32)(x ^ x >> 32);
}

static __always_inline u64 first_frame(const struct target *t, u64 tstate)
{
	u64 frame = read_u64(tstate + t->thread_frame);

	if (t->cframe_current != NONE && frame)
		frame = read_u64(frame + t->cframe_current);
	return frame;
}

/* Brings the frame into the window. Callers lie below their callees, so a fresh
 * window ends with the frame. It begins in the frame's page: what lies below may
 * not be mapped, and a read that faults costs more than all others together. */
static __always_inline bool load_frame(const struct target *t, struct scratch *s, u64 frame)
{
	u64 below, off = frame - s->base;

	if (s->len >= FRAME_BYTES && off <= s->len - FRAME_BYTES) {
		s->off = off;
		return 1;
	}
	below = t->window ? frame & 0xff8 : 0;
	if (below > WINDOW - FRAME_BYTES)
		below = WINDOW - FRAME_BYTES;
	s->base = frame - below;
	s->len = below + FRAME_BYTES;
	s->off = below;
	return !bpf_probe_read_user(s->window, below + FRAME_BYTES, (void *)s->base);
}

static __always_inline bool is_python(const struct target *t, struct scratch *s)
{
	return t->frame_owner == NONE || FIELD8(s->window, s->off + t->frame_owner) <= t->owner_max;
}

static __always_inline struct frame *frame_at(struct scratch *s, u32 i)
{
	u64 off = (u64)i * sizeof(struct frame);

	if (off >= 2 * (MAX_FRAMES + 1) * sizeof(struct frame))
		return NULL;
	barrier_var(off); /* or the compiler adds first and checks then */
	return (struct frame *)&s->data[off];
}

/* Where the bytecode is that the present frame runs: in the code object, or in
 * free-threaded builds from 3.14 on in the copy of a thread (struct
 * _PyCodeArray: size, entries). */
static __always_inline u64 bytecode(const struct target *t, struct scratch *s, u64 code)
{
	s32 copy = t->code_tlbc == NONE ? 0 : (s32)FIELD32(s->window, s->off + t->frame_tlbc);
	u64 copies;

	if (!copy)
		return code + t->code_adaptive;
	copies = read_u64(code + t->code_tlbc);
	if (copy < 0 || (u64)copy >= read_u64(copies))
		return 0;
	return read_u64(copies + 8 + 8 * (u64)copy);
}

/* A position that is out of all bounds belongs to no line, and stays so. */
static __always_inline s32 narrow(u64 lasti)
{
	return lasti == (u64)(s64)(s32)lasti ? (s32)lasti : -0x7fffffff;
}

/* Takes the frame at `frame` to place `at`, unless it is one of the
 * interpreter's own, and its caller to s->next; false: it cannot be read.
 *
 * This function and the others that are not static are proved once by the
 * verifier, not again for every step of every walk, which was most of the time
 * that attaching took. */
__noinline int step(const struct target *t, struct scratch *s, u64 frame, u32 at)
{
	struct frame *f;

	if (!t || !s)
		return 0;
	f = frame_at(s, at);
	if (!f || !load_frame(t, s, frame))
		return 0;
	s->next = FIELD64(s->window, s->off + t->frame_back);
	if (!is_python(t, s))
		return 1;
	f->code = FIELD64(s->window, s->off + t->frame_code) & t->code_mask;
	f->ident = 0;
	if (t->instr_unit)
		f->lasti = (s32)FIELD32(s->window, s->off + t->frame_instr) * (s32)t->instr_unit;
	else
		f->lasti = narrow(FIELD64(s->window, s->off + t->frame_instr) - bytecode(t, s, f->code));
	s->hash = (s->hash ^ f->code) * 0xC2B2AE3D27D4EB4Full;
	s->hash = (s->hash ^ (u32)f->lasti ^ s->hash >> 29) * 0x165667B19E3779F9ull;
	s->n++;
	return 1;
}

/* Reads the code object of the frame at `at`; false: there is none. */
__noinline int identify(const struct target *t, struct scratch *s, u32 at)
{
	struct frame *f;

	if (!t || !s)
		return 0;
	f = frame_at(s, at);
	if (!f || bpf_probe_read_user(s->code, 168, (void *)f->code))
		return 0;
	if (t->code_type && FIELD64(s->code, t->ob_type) != t->code_type)
		return 0;
	f->ident = code_ident(FIELD32(s->code, t->code_first_line), FIELD64(s->code, t->code_filename),
			      FIELD64(s->code, t->code_name), FIELD64(s->code, t->code_line_table));
	return 1;
}

#define SEND_AGAIN 100000000ull /* ns */

/* identify, for frames below the leaf. Most of a stack is the same code in each
 * request of a server, and reading it again was most of what a walk cost. What was
 * identified is believed as long as a stack that was sent. */
__noinline int recognize(const struct target *t, struct scratch *s, u32 at)
{
	struct known *k;
	struct frame *f;

	if (!t || !s)
		return 0;
	f = frame_at(s, at);
	if (!f)
		return 0;
	k = &s->known[(f->code >> 4 ^ f->code >> 12) & (KNOWN - 1)];
	if (k->code == f->code && k->tgid == t->tgid && s->rec.ts - k->seen < SEND_AGAIN) {
		f->ident = k->ident;
		return 1;
	}
	if (!identify(t, s, at))
		return 0;
	k->code = f->code;
	k->seen = s->rec.ts;
	k->tgid = t->tgid;
	k->ident = f->ident;
	return 1;
}

/* Puts the stack of tstate, th's thread, leaf first behind the `at` frames that
 * are in s->data, and returns how many frames that makes, the tag included. There are more steps than frames
 * because some frames are the interpreter's own. */
__noinline int walk(const struct target *t, struct scratch *s, struct thread *th, u64 tstate, u32 at)
{
	struct frame *tag, *leaf;
	u64 frame;

	if (!t || !s || !tstate)
		return 0;
	tag = frame_at(s, at);
	if (!tag)
		return 0;
	s->n = s->len = 0;
	s->hash = 0x9E3779B97F4A7C15ull;
	frame = first_frame(t, tstate);
	for (int i = 0; i < MAX_FRAMES + 32 && frame; i++) {
		if (s->n >= MAX_FRAMES || !step(t, s, frame, at + 1 + s->n))
			break;
		frame = s->next;
	}
	leaf = frame_at(s, at + 1);
	if (!s->n || !leaf || !identify(t, s, at + 1))
		return 0;
	/* The leaf is checked each time: it is what gets blamed. */
	s->hash ^= (u64)leaf->ident << 1 | (frame != 0);
	tag->code = s->hash;
	tag->lasti = STACK_TAG;
	tag->ident = frame != 0;
	if (th && th->hash == s->hash && s->rec.ts - th->sent < SEND_AGAIN)
		return 1;
	for (u32 i = 1; i < MAX_FRAMES && i < s->n; i++) {
		if (!recognize(t, s, at + 1 + i)) {
			tag->code ^= i << 8; /* another stack than the whole one */
			tag->ident = 1;
			return i + 1;
		}
	}
	if (th) {
		th->hash = s->hash;
		th->sent = s->rec.ts;
	}
	return s->n + 1;
}
