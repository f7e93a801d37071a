/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* CPU samples: Python stack, user pc and a piece of the native stack, from
 * which the collector names the C function. */

SEC("perf_event")
int cpu_sample(struct perf_ctx *ctx)
{
	struct task_struct *me = bpf_get_current_task_btf();
	u32 zero = 0, tgid = me->tgid;
	struct target *t = bpf_map_lookup_elem(&targets, &tgid);
	struct pt_regs *user;
	struct scratch *s;
	struct thread *th;

	if (!t || !me->mm)
		return 0;
	s = bpf_map_lookup_elem(&scratches, &zero);
	if (!s)
		return 0;
	begin_rec(&s->rec, REC_SAMPLE, tgid, me->pid);
	s->rec.pc = READ_ONCE(PC(&ctx->regs));
	s->rec.sp = READ_ONCE(SP(&ctx->regs));
	if (!USER_MODE(&ctx->regs)) {
		user = (struct pt_regs *)bpf_task_pt_regs(me);
		s->rec.flags |= F_KERNEL;
		s->rec.pc = PC(user);
		s->rec.sp = SP(user);
	}
	th = t->places_n ? thread_of(s->rec.tid) : NULL;
	if (th) {
		s->rec.place = place_held(t, s->rec.tid, th->place);
		read_gil(t, &s->rec);
		s->rec.nframes = walk(t, s, th, tstate_of(t, th, s->rec.tid, s->rec.place), 0);
		loop_sampled(t, s, me);
	}
	send_scratch(s);
	return 0;
}
