/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The wire between the BPF programs and package probes: one record header for
 * every kind, and the description of a target. Go types are generated from
 * these structs (bpf2go), so this file is the only place where they stand.
 */
#ifndef GILSCOPE_WIRE_H
#define GILSCOPE_WIRE_H

enum rec_kind {
	REC_NONE,
	REC_SWITCH,   /* tid left the CPU, peer came */
	REC_WAKING,   /* tid made peer runnable; arg: CPU it goes to */
	REC_SAMPLE,   /* CPU sample of tid */
	REC_TAKE,     /* tid took the GIL */
	REC_DROP,     /* tid is dropping the GIL; arg: a drop request is pending */
	REC_SLICE,    /* tid begins one timed slice of a GIL wait */
	REC_ENTER,    /* tid enters take_gil */
	REC_FORK,     /* tid created peer, a thread of process arg: of its own (with the stack of tid), or the first of a new one */
	REC_EXEC,     /* tgid became another program */
	REC_BRAKE,    /* the probes of tgid were hit as often as they may, and tell nothing from now on */
	REC_EXIT,     /* tid ended; arg: exit code as wait(2) has it; F_LAST: the process with it */
	REC_LOOP,     /* what the loop of tid has done lately: a struct loop_told is in place of the native stack */
	REC_RARE,     /* tid is in a function that runs seldom; arg: enum rare_kind */
	REC_BLOCK,    /* an iteration of the loop of tid is over that took at least block_ns */
	REC_GAVE,     /* tid gave back the lock for which peer sleeps, a thread of another process: comes after the WAKING of peer */
	REC_LAG,      /* how long data waited lately for the loop of tid: a struct lag_told is in place of the native stack */
	REC_RUNNING,  /* tid is on the CPU, as the reader asked */
};

/* Functions of free-threaded builds that run seldom. */
enum rare_kind {
	RARE_NONE,
	RARE_STOPS,      /* tid stops the world: pc, sp and the native stack are those of the caller */
	RARE_STOPPED,    /* all others have stopped */
	RARE_STARTS,     /* tid lets the world go on */
	RARE_CHECKS_GIL, /* tid has imported a module and looks whether that needs the GIL; its name, a str, is in place of the native stack */
	RARE_GIL_ON,     /* it does: tid turns the GIL on for good, unless that was forbidden */
};

/* rec.flags */
#define F_GIL	  (1 << 0) /* holder, holder_tid, switches and locked are valid */
#define F_ASLEEP  (1 << 1) /* SWITCH: tid does not want the CPU */
#define F_PREV	  (1 << 2) /* SWITCH: tid is a target's (otherwise only peer is) */
#define F_NEXT	  (1 << 3) /* SWITCH: peer is a target's */
#define F_LAST	  (1 << 4) /* EXIT: last thread of its process */
#define F_KERNEL  (1 << 5) /* SAMPLE: the CPU was in the kernel; pc is where user code entered it */
#define F_LOCKED  (1 << 6) /* somebody holds the GIL, valid with F_GIL */
#define F_LOOP	  (1 << 7) /* the record ends with a struct loop_at */
#define F_FOLLOWED F_NEXT  /* FORK: the new process is a target too */
#define F_WITH_ALL F_NEXT /* EXIT: tid did not end by itself, all of its process ends */
#define F_SHARED  F_ASLEEP /* FORK: it runs in the memory of its parent until it execs (vfork) */

/* rec.op where word is 0: about a lock that is not the GIL. */
#define LOCK_ANY    (1 << 0) /* SWITCH: tid goes to sleep for the lock at pc (sp: the type of the object whose lock it is; 0: not known); WAKING: tid gave back that for which peer sleeps */
#define LOCK_PARKED (1 << 1) /* in a parking lot; otherwise it is a semaphore */
#define LOCK_TIMED  (1 << 2) /* with a time limit */
#define LOCK_COMMON (1 << 3) /* on a word that other processes may sleep on, too */
#define LOCK_STOPPED (1 << 4) /* no lock: until the world goes on */

#define MAX_FRAMES   64
#define STACK_BYTES  512
#define DROP_STACK   256
#define COMM_LEN     16

/* One Python frame: enough to find its line, and to notice a code object that
 * was freed and its memory used again (ident: see cpython.CodeIdent). */
struct frame {
	__u64 code;
	__s32 lasti; /* bytes from the first instruction; < 0: not started */
	__u32 ident;
};

/* A stack begins with a tag, a frame whose code is a hash of all that follows
 * and whose lasti is STACK_TAG; its ident is 1 if the stack is not complete: it
 * is deeper than MAX_FRAMES, or a read failed on the way. If the same stack was
 * sent for the same thread just before, the tag is all that is sent. */
#define STACK_TAG (-0x7fffffff - 1)

/* A record is this header, then nframes frames of tid, then hframes frames of
 * the holder, then nstack bytes of tid's native stack. */
struct rec {
	__u64 ts;     /* CLOCK_BOOTTIME, ns */
	__u32 seq;    /* counts the records of this CPU, lost ones too */
	__u16 cpu;
	__u8 kind;    /* enum rec_kind */
	__u8 flags;
	__u32 tgid;
	__u32 tid;
	__u32 peer;
	__u32 arg;    /* SWITCH: task state of tid; else by kind */
	__u64 holder; /* gil->last_holder, a thread state */
	__u32 holder_tid;
	__u32 switches; /* gil->switch_number, low half */
	__u16 word;   /* futex word tid sleeps on or wakes, as offset in the GIL; 0: none */
	__u16 nstack;
	__u8 op;      /* FUTEX_WAIT (0, 9) or FUTEX_WAKE (1, 10) with word; without: LOCK_ bits, or 0 */
	__u8 place;   /* which of the target's places the GIL's fields are from */
	__u8 nframes;
	__u8 hframes;
	__u64 pc;     /* user pc and sp of tid, where the kind has them */
	__u64 sp;
};

/*
 * A loop is a thread that waits for events again and again, always by the same
 * system call and, with epoll, on the same epoll instance. An iteration lasts
 * from the end of a wait to the begin of the next.
 */

/* Where in its iteration a loop is. Without a begin: a thread that goes to sleep
 * in a wait for events, of which the reader is to say whether it is a loop. */
#define NAME_BYTES 80 /* 32 characters behind the longest header of a str; reading the name later, its task may be gone */
struct loop_at {
	__u64 begin; /* of the iteration; 0: none */
	__u64 task;  /* the asyncio task that runs; 0: none, or not known */
	__u64 cpu;   /* CPU time of the iteration so far, ns */
	__s32 nr;    /* the system call tid is in; < 0: none */
	__s32 fd;    /* its first argument, of poll the first descriptor */
	__u16 mode;  /* what kind of file that is, S_IFMT; 0: none, or not known */
	__u16 gc;    /* the garbage collector is at work */
	__u32 pad;
	__u64 loop;  /* of the task, and */
	__u64 class; /* its class: objects of Python */
	__u8 name[NAME_BYTES]; /* the begin of the object that is the name of the task; 0: none, or not known */
};

/* Counters of a loop since it was last told of. Times are ns. */
struct loop_told {
	__u64 since;
	__u64 busy;
	__u64 idle;
	__u64 iterations;
	__u64 events;   /* that its waits returned */
	__u64 late_max; /* how late the earliest timer of a wait came, at least */
	__s32 nr;
	__u32 pad;
};

/* How long data waited in sockets until a loop read it, since that was last told.
 * Bucket 0 is below 2^LAG_FIRST ns, the last one what is 2^(LAG_FIRST + LAG_OCTAVES)
 * or more; in between, each octave has LAG_PARTS of the same width. */
#define LAG_FIRST   10
#define LAG_OCTAVES 26
#define LAG_PARTS   8
#define LAG_BUCKETS (LAG_OCTAVES * LAG_PARTS + 2)
struct lag_told {
	__u64 since;
	__u64 sum;   /* ns */
	__u64 max;   /* ns */
	__u32 reads; /* that got data of which it is known when it came; the buckets sum to it */
	__u32 unseen; /* that got data of which it is not known */
	__u32 buckets[LAG_BUCKETS];
};

/* The lag of one loop, and where its record is made: only its own thread does so. */
struct lag {
	struct rec rec;
	struct lag_told told;
	__u32 tgid;
	__u32 pad;
};

/* What is known of a loop. The reader makes it one (on); the programs ask for
 * that at some of the waits of every other thread. */
struct loop {
	struct loop_told told;
	__u64 begin;    /* of the present iteration; 0: it waits, or that is not known */
	__u64 cpu;      /* CPU time then */
	__u64 entered;  /* begin of the present wait; 0: none */
	__u64 deadline; /* when the earliest timer is due; 0: not known */
	__u64 in_at;    /* when it last got a CPU, */
	__u64 in_cpu;   /* and its CPU time then */
	__u64 runs;     /* the code object of the loop itself, of which poll and select are its waits; 0: all are, */
	__u64 calls;    /* where it has called this one, that waits; 0: that is no Python code */
	__u32 tgid;
	__s32 nr;       /* of its waits; 0: the next one tells */
	__s32 fd;       /* the epoll instance; < 0: none */
	__u32 on;
	__u32 asked;    /* waits that the reader could have been asked about */
	__u32 strays;   /* waits in a row on another epoll instance */
	__u32 early;    /* it waited when the programs came: its first wait has no end that they see */
	__u32 ask_at;   /* of asked: when the reader is asked next */
};

/* What is known of a thread that may be a worker of an executor. */
struct worker {
	__u32 on;    /* the reader has made it one, */
	__u32 reads; /* and gets its jobs by read */
	__u32 asked; /* sleeps that the reader could have been asked about */
};

/* An interpreter and its GIL. Interpreters may share one (before 3.12 all do):
 * then a record names the first place that has it. */
#define MAX_PLACES 32
struct place {
	__u64 interp;
	__u64 gil;
	__u32 seen; /* switch number of the last hold of which somebody took the holder's stack */
	__u32 pad;
};

/* A target: where its GILs are, and the layout of its CPython (cpython.Layout,
 * which explains the fields; 0xffffffff: the build does not have the field). A
 * forked child gets a copy: its memory is one, too. */
struct target {
	__u64 runtime;
	__u64 code_type;
	__u64 code_mask;
	__u32 tgid;
	__u32 places_n; /* 0: not known (yet), only scheduling is recorded */
	__u32 follow;   /* children are targets */
	__u32 level;    /* of its pid namespace; 0: its thread ids are the host's */
	__u32 gil_shift;
	__u32 drop_base;
	__u32 drop_request;
	__u32 threads_head;
	__u32 thread_next;
	__u32 thread_interp;
	__u32 thread_ident;
	__u32 thread_native_id;
	__u32 pthread_tid;
	__u32 thread_frame;
	__u32 cframe_current;
	__u32 frame_code;
	__u32 frame_back;
	__u32 frame_instr;
	__u32 instr_unit;
	__u32 frame_owner;
	__u32 owner_max;
	__u32 code_first_line;
	__u32 code_filename;
	__u32 code_name;
	__u32 code_line_table;
	__u32 code_adaptive;
	__u32 ob_type;
	__u32 code_tlbc;  /* the copies of a code object's bytecode that threads have, and */
	__u32 frame_tlbc; /* the number of that which a frame runs (3.14+, free-threaded) */
	__u32 cond_shift; /* how much lower the words of a condition variable lie than in glibc 2.36 */
	__u32 window; /* 1: frames lie side by side (3.11+), so one read gets several */
	__u32 running_task;  /* in the thread state (3.14+) */
	__u32 gc_collecting; /* an int, in the interpreter, */
	__u32 gc_in_runtime; /* or (3.8) in the runtime */
	__u32 dict_log2;     /* dicts have the form of 3.11 or newer */
	__u32 task_name; /* in a task; 0: not known */
	__u32 pad;
	__u64 current_tasks; /* asyncio's dict of the task that each loop runs (before 3.14); 0: none, or not known */
	struct place places[MAX_PLACES];
};

/* How often the probes of a target were hit, and how often they may be: from
 * then on they return at once (0: without a limit). By the low bits of the pid;
 * in memory that the reader shares, who alone sets the limit. */
#define USAGES 4096
struct usage {
	__u64 hits;
	__u64 limit;
	__u64 rares; /* hits of probes on functions that run seldom, which have no limit here */
	__u64 pad;
};

/* A thread as its own pid namespace numbers it. */
struct ns_thread {
	__u32 tgid; /* the host's */
	__u32 tid;  /* the namespace's */
};

/* Per CPU. produced = stored + lost. */
struct counts {
	__u64 produced;
	__u64 lost;
	__u64 hits; /* probe hits in the targets that make no record */
	__u64 first_lost; /* when the first record since the reader looked was lost, */
	__u64 last_lost;  /* and when the last one */
	__u32 look;       /* at which look of the reader that was */
	__u32 pad;
	__u64 calls;      /* system calls, while they are counted, */
	__u64 waits;      /* and those that may be a loop's among them */
};

#endif
