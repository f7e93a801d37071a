/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
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

/* The kernel's tid of a thread state: native_thread_id, or before 3.11 through
 * the pthread_t, where libc keeps it. */
static __always_inline u32 tid_of(const struct target *t, u64 tstate)
{
	u64 pthread;

	if (!tstate)
		return 0;
	if (t->thread_native_id != NONE)
		return read_u32(tstate + t->thread_native_id);
	pthread = read_u64(tstate + t->thread_ident);
	return pthread ? read_u32(pthread + t->pthread_tid) : 0;
}

/* last_holder, locked, switch_number as they lie in struct _gil_runtime_state. */
struct gil_state {
	u64 holder;
	u32 locked;
	u32 pad;
	u64 switches;
};

/* Reads them. At a take and at a drop the holder is the thread itself, and
 * need not be looked up. */
static __always_inline bool read_own_gil(const struct target *t, struct rec *r)
{
	struct gil_state g;

	if (!t->gil || bpf_probe_read_user(&g, sizeof(g), (void *)(t->gil + t->gil_shift + 8)))
		return 0;
	r->flags |= F_GIL;
	r->holder = g.holder;
	r->holder_tid = r->tid;
	r->locked = g.locked != 0;
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

/* The thread state of tid, which runs in this address space. New thread states
 * are put at the head of the interpreter's list, so a short walk finds them. */
static __always_inline u64 tstate_of(const struct target *t, struct thread *th, u32 tid)
{
	u64 ts;

	if (th->tstate && tid_of(t, th->tstate) == tid)
		return th->tstate;
	th->tstate = 0;
	if (th->unknown > 8 || !t->interp)
		return 0;
	ts = read_u64(t->interp + t->threads_head);
	for (int i = 0; i < 32 && ts; i++) {
		if (tid_of(t, ts) == tid) {
			th->tstate = ts;
			th->unknown = 0;
			return ts;
		}
		ts = read_u64(ts + t->thread_next);
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

/* Reads one code object and fills in the frame; false: it is none. */
static __always_inline bool read_code(const struct target *t, struct scratch *s, u64 code, struct frame *f)
{
	if (bpf_probe_read_user(s->code, 168, (void *)code))
		return 0;
	if (t->code_type && FIELD64(s->code, t->ob_type) != t->code_type)
		return 0;
	f->code = code;
	f->ident = code_ident(FIELD32(s->code, t->code_first_line), FIELD64(s->code, t->code_filename),
			      FIELD64(s->code, t->code_name), FIELD64(s->code, t->code_line_table));
	if (t->instr_unit)
		f->lasti = (s32)FIELD32(s->frame, t->frame_instr) * (s32)t->instr_unit;
	else
		f->lasti = (s32)(FIELD64(s->frame, t->frame_instr) - code - t->code_adaptive);
	return 1;
}

static __always_inline u64 first_frame(const struct target *t, u64 tstate)
{
	u64 frame = read_u64(tstate + t->thread_frame);

	if (t->cframe_current != NONE && frame)
		frame = read_u64(frame + t->cframe_current);
	return frame;
}

static __always_inline bool is_python(const struct target *t, struct scratch *s)
{
	return t->frame_owner == NONE || FIELD8(s->frame, t->frame_owner) <= t->owner_max;
}

/* Walks the frames of tstate, leaf first, into s->data behind the `skip` frames
 * that are there. Returns how many it found; a stack that could not be read to
 * its end sets F_CUT. There are more steps than frames because some frames are
 * the interpreter's own. Not static: the verifier then proves it once and not
 * again at each call, which halves the time that attaching takes. */
__noinline int walk(const struct target *t, struct scratch *s, u64 tstate, u32 skip)
{
	struct frame *out;
	u64 frame;
	u32 at;

	if (!t || !s || !tstate)
		return 0;
	s->n = 0;
	frame = first_frame(t, tstate);
	for (int i = 0; i < MAX_FRAMES + 32 && frame; i++) {
		at = skip + s->n;
		if (s->n >= MAX_FRAMES || at >= 2 * MAX_FRAMES ||
		    bpf_probe_read_user(s->frame, sizeof(s->frame), (void *)frame))
			break;
		if (is_python(t, s)) {
			out = (struct frame *)&s->data[at * sizeof(*out)];
			if (!read_code(t, s, FIELD64(s->frame, t->frame_code) & t->code_mask, out))
				break;
			s->n++;
		}
		frame = FIELD64(s->frame, t->frame_back);
	}
	if (frame)
		s->rec.flags |= F_CUT;
	return s->n;
}
