/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How long data waits in a socket until the event loop reads it: from the moment at
 * which the kernel has it ready for the first time since the loop last took all there
 * was, to the end of the read. The tracepoints came with Linux 6.3, so this is an
 * object of its own, which older kernels do without. It is attached only while
 * there is a loop.
 *
 * When data came is kept with the socket itself (socket storage), so it goes with it, and
 * a socket that nobody asked about costs one look at a pointer. Asked about is what
 * the thread of a loop has read from, connected or made listen. What comes in on a
 * TCP port that a loop has read from is asked about before it is accepted: the
 * kernel copies the storage of the listening socket to each connection it makes.
 * Of Unix sockets, which are not made so, each is looked up by its address.
 */
#include "kernel.h"
#include "wire.h"
#include "lagmap.h"

struct sk_buff_head {
	u32 qlen;
} CORE;

typedef struct { void *net; } CORE possible_net_t;

struct sock_common {
	unsigned short skc_family;
	volatile unsigned char skc_state;
	possible_net_t skc_net;
	u16 skc_num;
} CORE;

struct sock {
	struct sock_common __sk_common;
	struct sk_buff_head sk_receive_queue;
	u16 sk_protocol;
} CORE;

struct udp_sock {
	struct sk_buff_head reader_queue;
} CORE;

struct unix_sock {
	void *addr;
} CORE;

/* The kernel's own numbers, include/linux/socket.h and include/net/tcp_states.h. */
#define FAMILY_UNIX    1
#define FAMILY_INET    2
#define FAMILY_INET6   10
#define PROTOCOL_TCP   6
#define PROTOCOL_UDP   17
#define STATE_SYN_SENT 2
#define STATE_LISTEN   10
#define FLAG_PEEK      0x2
#define FLAG_ERRQUEUE  0x2000

struct arrival {
	u64 since; /* data is ready; 0: none is, or it is not known since when */
	u64 last;  /* more came */
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct arrival);
} arrivals SEC(".maps");

/* Where a socket is bound: of a connection that is where the listening one is. Pointers
 * are only compared; one that is another thing's by now makes us ask about too much. */
struct lag_port {
	u64 at;   /* TCP: the network namespace; Unix: the address; 0: nowhere */
	u64 port; /* of TCP */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct lag_port);
	__type(value, u32);
} lag_ports SEC(".maps");

/* How often a socket was read, by CPU: what the reader governs the cost by. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} packets SEC(".maps");

static __always_inline void count_packet(void)
{
	u32 zero = 0;
	u64 *n = bpf_map_lookup_elem(&packets, &zero);

	if (n)
		(*n)++; /* an interrupted program may count one less */
}

static __always_inline bool is_inet(struct sock *sk)
{
	return sk->__sk_common.skc_family == FAMILY_INET || sk->__sk_common.skc_family == FAMILY_INET6;
}

static __always_inline struct lag_port port_of(struct sock *sk)
{
	struct lag_port p = {};

	if (is_inet(sk) && sk->sk_protocol == PROTOCOL_TCP) {
		p.port = sk->__sk_common.skc_num;
		bpf_core_read(&p.at, sizeof(p.at), &sk->__sk_common.skc_net.net);
	} else if (sk->__sk_common.skc_family == FAMILY_UNIX) {
		bpf_core_read(&p.at, sizeof(p.at), &((struct unix_sock *)sk)->addr);
	}
	return p;
}

/* The lag of the loop that this thread is, if it is one. */
static __always_inline struct lag *own_lag(void)
{
	u64 id = bpf_get_current_pid_tgid();
	u32 tid = id;
	struct lag *lag = bpf_map_lookup_elem(&lags, &tid);

	return lag && lag->tgid == id >> 32 ? lag : NULL;
}

static __always_inline struct arrival *ask_about(struct sock *sk)
{
	return bpf_sk_storage_get(&arrivals, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
}

/* Whether a read left something in the socket. UDP moves what came to a second
 * queue, from which it reads. */
static __always_inline bool has_more(struct sock *sk)
{
	u32 n = 0;

	if (sk->sk_receive_queue.qlen)
		return 1;
	if (sk->sk_protocol == PROTOCOL_UDP && is_inet(sk))
		bpf_core_read(&n, sizeof(n), &((struct udp_sock *)sk)->reader_queue.qlen);
	return n != 0;
}

/* The place of the highest bit of v, which is not 0. */
static __always_inline u32 log2_of(u64 v)
{
	u32 n = 0;

	for (u32 step = 32; step; step >>= 1) {
		if (v >> step) {
			v >>= step;
			n += step;
		}
	}
	return n;
}

static __always_inline u32 bucket_of(u64 ns)
{
	u32 log;

	if (ns < 1ull << LAG_FIRST)
		return 0;
	if (ns >= 1ull << (LAG_FIRST + LAG_OCTAVES))
		return LAG_BUCKETS - 1;
	log = log2_of(ns);
	return 1 + (log - LAG_FIRST) * LAG_PARTS + (ns >> (log - 3)) % LAG_PARTS;
}

static __always_inline void count_read(struct lag *lag, u64 since, u64 now)
{
	u64 ns = now - since;
	u32 bucket;

	if (!since || since > now) {
		lag->told.unseen++;
		return;
	}
	lag->told.reads++;
	lag->told.sum += ns;
	if (ns > lag->told.max)
		lag->told.max = ns;
	bucket = bucket_of(ns);
	if (bucket < LAG_BUCKETS)
		lag->told.buckets[bucket]++;
}

static __always_inline void arrives(struct arrival *a)
{
	a->last = bpf_ktime_get_boot_ns();
	if (!a->since)
		a->since = a->last;
}

SEC("tp_btf/sk_data_ready")
int lag_ready(u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];
	struct arrival *a = bpf_sk_storage_get(&arrivals, sk, NULL, 0);
	bool listens = sk->__sk_common.skc_state == STATE_LISTEN;
	struct lag_port p;

	if (a) {
		if (!listens)
			arrives(a);
		return 0;
	}
	if (!listens && sk->__sk_common.skc_family != FAMILY_UNIX)
		return 0;
	p = port_of(sk);
	if (!p.at || !bpf_map_lookup_elem(&lag_ports, &p))
		return 0;
	a = ask_about(sk);
	if (a && !listens)
		arrives(a);
	return 0;
}

/* First the time is taken back and then the queue looked at: what comes in between is
 * noted by one of the two programs. Of what a read left it is known when the newest part came:
 * it has waited for that long at least. */
SEC("tp_btf/sock_recv_length")
int lag_read(u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];
	s32 got = ctx[1], flags = ctx[2];
	struct lag *lag = own_lag();
	struct arrival *a;
	struct lag_port p;
	u64 since, now;
	u32 one = 1;

	count_packet();
	if (flags & (FLAG_PEEK | FLAG_ERRQUEUE))
		return 0;
	a = bpf_sk_storage_get(&arrivals, sk, NULL, 0);
	if (!a) {
		if (!lag)
			return 0;
		a = ask_about(sk);
		p = port_of(sk);
		if (p.at)
			bpf_map_update_elem(&lag_ports, &p, &one, BPF_ANY);
	}
	if (!a)
		return 0;
	now = bpf_ktime_get_boot_ns();
	since = __sync_lock_test_and_set(&a->since, 0);
	if (lag && got > 0)
		count_read(lag, since, now);
	if (has_more(sk) && !a->since)
		a->since = a->last;
	return 0;
}

/* Connections that a loop makes, and ports that it opens, are asked about from the begin. */
SEC("tp_btf/inet_sock_set_state")
int lag_connects(u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];
	s32 state = ctx[2];

	if ((state == STATE_SYN_SENT || state == STATE_LISTEN) && own_lag())
		ask_about(sk);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
