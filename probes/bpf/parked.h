/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Free-threaded builds: what a thread parks for, told at the moment it does. Each
 * object has a mutex, and the thread that waits for it keeps the object alive; later
 * another one may be in its place.
 */
#define OB_MUTEX 10 /* PyObject.ob_mutex (Include/object.h, 3.13+) */
/* Of a thread state, only "state" has waiters, who wait until the world goes on;
 * it is within these bytes (Include/cpython/pystate.h: at 40 in 3.13). */
#define TSTATE_HEAD 64

/* r says that its thread parks under the address pc. */
static __always_inline void read_parked(const struct target *t, struct rec *r, u64 tstate)
{
	if (!t->gil_shift || !(r->op & LOCK_PARKED))
		return;
	if (tstate && r->pc - tstate < TSTATE_HEAD)
		r->op |= LOCK_STOPPED;
	else if ((r->pc & 7) == (OB_MUTEX & 7))
		r->sp = read_u64(r->pc - OB_MUTEX + t->ob_type);
}
