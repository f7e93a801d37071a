/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The maps, and how a record gets into the ring. */

volatile const u64 block_ns = 50000000; /* an iteration of a loop that takes so long is a block */
volatile const u32 find_loops = 1;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u32); /* tgid */
	__type(value, struct target);
} targets SEC(".maps");

/* What is known about a thread: tid -> its thread state, and the
 * stack that was sent for it. The thread state is checked at every use (it may have been freed),
 * so an entry is never trusted and needs no removal. */
struct thread {
	u64 tstate;
	u64 hash; /* of the stack last sent for it, */
	u64 sent; /* and when; after a while it is sent again, for a record can be lost */
	u32 slice;   /* a probe saw it enter a wait; it has not gone to sleep yet */
	u16 unknown; /* lookups in the interpreter's list that found nothing */
	u16 place;   /* of the thread state, or of the GIL it last had to do with */
	u64 word;    /* that it sleeps on for a lock, with COMMON_WORD; 0: it does not */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, u32); /* tid */
	__type(value, struct thread);
} threads SEC(".maps");

/* The host's tid of a thread in a pid namespace of its own: Python knows the
 * namespace's only. Filled when threads start, and by the attacher. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct ns_thread);
	__type(value, u32);
} host_tids SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 << 20);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct counts);
} counters SEC(".maps");

/* Frames are read in pieces of this size: one read of a kilobyte costs hardly
 * more than one of 64 bytes. FRAME_BYTES is what is needed of one frame. */
#define WINDOW 1024
#define FRAME_BYTES 112

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, USAGES);
	__type(key, u32);
	__type(value, struct usage);
} usages SEC(".maps");

/* A code object that was identified a moment ago. */
struct known {
	u64 code;
	u64 seen; /* when */
	u32 tgid; /* addresses are those of a process */
	u32 ident;
};
#define KNOWN 256

/* Where sched and sample programs build a record. They run with interrupts
 * off, so one buffer per CPU is enough; uprobe programs can be preempted and
 * use their own stack instead. */
struct scratch {
	struct rec rec; /* what is sent begins here and */
	u8 data[2 * (MAX_FRAMES + 1) * sizeof(struct frame) + STACK_BYTES + sizeof(struct loop_at)]; /* goes on here */
	struct loop_at at;      /* valid with F_LOOP; goes behind the data */
	u64 window[WINDOW / 8]; /* a piece of the target's memory with frames in it, */
	u64 base;               /* where it is from, */
	u32 len;                /* how much of it is valid, */
	u32 off;                /* and where in it the present frame is */
	u64 next;               /* the frame that called the present one */
	u64 hash;               /* of the frames so far */
	u64 code[32];           /* the start of a code object */
	u32 n;                  /* frames so far; here and not in a register, so that the verifier forgets its value */
	u32 busy;               /* somebody builds a record here; only where programs can be preempted by their like */
	struct known known[KNOWN]; /* by a hash of the address */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

/* The same for programs on system calls, which the others interrupt. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct scratch);
} loop_scratches SEC(".maps");

/* And for the program on new threads, which those interrupt, too. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct scratch);
} fork_scratches SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, u32); /* tid */
	__type(value, struct loop);
} loops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, u32); /* tid */
	__type(value, struct worker);
} workers SEC(".maps");

/* A quarter of the ring (probes/ring.go): the reader polls, and is woken early only
 * when it must be. A wake-up for every record would change the very scheduling it reports. */
volatile const u64 wake_at = 4 << 20;

static __always_inline u64 wake_flags(const struct rec *r)
{
	if (r->seq & 63) /* a look costs as much as a record's timestamp */
		return BPF_RB_NO_WAKEUP;
	return bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) >= wake_at ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

/* Fills in what all records have, and counts the record as produced. */
static __always_inline void begin_rec(struct rec *r, u8 kind, u32 tgid, u32 tid)
{
	u32 zero = 0;
	struct counts *c = bpf_map_lookup_elem(&counters, &zero);

	__builtin_memset(r, 0, sizeof(*r));
	r->ts = bpf_ktime_get_boot_ns();
	r->cpu = bpf_get_smp_processor_id();
	r->kind = kind;
	r->tgid = tgid;
	r->tid = tid;
	if (c)
		r->seq = __sync_fetch_and_add(&c->produced, 1);
}

/* How often the reader has looked at the counters. */
u32 look;

/* A preempted probe can count in between, so times may be off by what lies
 * between two records; the number is exact. */
static __always_inline void count_lost(const struct rec *r)
{
	u32 zero = 0, now = READ_ONCE(look);
	struct counts *c = bpf_map_lookup_elem(&counters, &zero);

	if (!c)
		return;
	__sync_fetch_and_add(&c->lost, 1);
	if (c->look != now || r->ts < c->first_lost)
		c->first_lost = r->ts;
	if (c->look != now || r->ts > c->last_lost)
		c->last_lost = r->ts;
	c->look = now;
}

/* Counts a hit that makes no record; of the others, the records are the count. */
static __always_inline void count_hit(void)
{
	u32 zero = 0;
	struct counts *c = bpf_map_lookup_elem(&counters, &zero);

	if (c)
		__sync_fetch_and_add(&c->hits, 1);
}

static __always_inline void send(struct rec *r, u64 len)
{
	if (bpf_ringbuf_output(&ring, r, len, wake_flags(r)))
		count_lost(r);
}

/* Sends what the reader must hear of at once. */
static __always_inline void send_now(struct rec *r, u64 len)
{
	if (bpf_ringbuf_output(&ring, r, len, BPF_RB_FORCE_WAKEUP))
		count_lost(r);
}
