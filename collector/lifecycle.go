package collector

import (
	"fmt"
	"slices"
	"time"

	"gilscope/internal/trace"
	"gilscope/probes"
)

// fork handles a new thread, or a new process.
func (d *dispatcher) fork(p *process, r probes.Record) {
	at := trace.Time(r.Ts)
	if r.Arg != r.Tgid && r.Flags&probes.FlagFollowed != 0 {
		d.onFork(p, r)
		return
	}
	if r.Arg != r.Tgid {
		d.children++
		d.w.Note(trace.Note{Time: at, PID: p.pid, Name: trace.NoteChild, Args: []trace.Arg{{Key: "child", Num: int64(r.Peer)}}})
		return
	}
	if t := p.thread(int32(r.Peer)); t != nil { // a thread id used again is a new thread
		d.drop(t)
	}
	delete(d.tids, int32(r.Peer))
	if t := d.join(p, r.Peer); t != nil {
		t.born = at
		e := trace.Event{Time: at, Kind: trace.ThreadStart, TID: t.tid, Arg: int64(r.Tid)}
		if p.stacks != nil {
			k := p.stacks.lookup(r.Own)
			e.Stack, e.Other = k.id, int32(k.site)
		}
		d.event(p, e)
	}
}

// exec handles a process that became another program.
func (d *dispatcher) exec(p *process, r probes.Record) {
	at := trace.Time(r.Ts)
	p.stub = false
	for _, t := range p.threads {
		d.threadEnds(p, t, at, trace.WaitExit)
		d.loopEnds(p, t, at)
		d.workerEnds(p, t, at)
		t.tasks = loopTasks{}
		if t.tid != p.pid {
			d.drop(t)
		}
	}
	d.w.Note(trace.Note{Time: at, PID: p.pid, Name: trace.NoteExec, Args: []trace.Arg{{Key: "program", Text: executable(int(p.pid))}}})
	if at < p.looked {
		return
	}
	d.close(p, at, trace.WaitExit)
	p.forget()
	d.onExec(p, at)
}

// exit handles the end of a thread, and of the process with its last one.
func (d *dispatcher) exit(p *process, r probes.Record) {
	at := trace.Time(r.Ts)
	if t := d.tids[int32(r.Tid)]; t != nil && t.proc == p {
		d.threadEnds(p, t, at, trace.WaitExit)
		d.loopEnds(p, t, at)
		d.workerEnds(p, t, at)
		how := trace.EndedItself
		if r.Flags&probes.FlagWithAll != 0 {
			how = trace.EndedWithProcess
		}
		d.event(p, trace.Event{Time: at, Kind: trace.ThreadExit, TID: t.tid, Arg: int64(how)})
		t.ended = at
		p.ending++
	}
	if int32(r.Tid) == p.pid || r.Flags&probes.FlagLast != 0 {
		p.status = r.Arg
	}
	if r.Flags&probes.FlagLast == 0 {
		return
	}
	p.exited, p.gone = true, time.Time{}
	d.close(p, at, trace.WaitExit)
	d.w.Note(trace.Note{Time: at, PID: p.pid, Name: trace.NoteExit, Args: []trace.Arg{
		{Key: "code", Num: int64(p.status >> 8 & 0xff)}, {Key: "signal", Num: int64(p.status & 0x7f)}}})
	d.onExit(p)
}

// close ends what is open in a process, at its end or the recording's.
func (d *dispatcher) close(p *process, at trace.Time, how trace.WaitOutcome) {
	for _, t := range p.threads {
		d.threadEnds(p, t, at, how)
		d.loopEnds(p, t, at)
		d.workerEnds(p, t, at)
	}
	d.flushUse(p, at)
	for _, e := range slices.Clone(p.executors) {
		if e.over = true; len(e.members) == 0 {
			e.ends(at)
		}
	}
	for _, g := range p.gils() {
		g.flushHandOff()
		d.noteTotals(g, at)
		g.waiters.flush(at + late)
		if g.full {
			g.busy.flush(at)
		}
	}
}

// noteTotals writes what the interpreter counted beside what we did.
func (d *dispatcher) noteTotals(g *gil, at trace.Time) {
	n := &g.totals
	args := []trace.Arg{{Key: "interpreter", Num: int64(g.number)}, {Key: "switches", Num: n.switches()},
		{Key: "span_ns", Num: int64(n.last.time - n.first.time)}}
	if g.full && !g.partly {
		args = append(args, trace.Arg{Key: "takes", Num: n.takes}, trace.Arg{Key: "changes", Num: n.changes})
	}
	d.w.Note(trace.Note{Time: at, PID: g.proc.pid, Name: trace.NoteGIL, Args: args})
}

// forgetAfter is how long after its end something may still turn up of a thread
// or a process. What is known of it is needed no longer.
const forgetAfter = 2 * time.Second

// forget drops what is known of processes that ended, and of threads whose last
// switch was not seen: a recording that lasts must not grow with them.
func (d *dispatcher) forget(at time.Time) {
	for pid, p := range d.procs {
		switch {
		case !p.exited && p.ending > 0:
			d.sweep(p)
		case !p.exited:
		case p.over.IsZero():
			p.over = at
		case at.Sub(p.over) > forgetAfter:
			for _, t := range p.threads {
				d.drop(t)
			}
			if p.stacks != nil {
				d.unresolved += p.stacks.unresolved
			}
			delete(d.procs, pid)
		}
	}
}

// sweep drops threads that ended some time ago.
func (d *dispatcher) sweep(p *process) {
	for _, t := range p.threads {
		if t.ended != 0 && d.now-t.ended > trace.Time(forgetAfter) {
			d.drop(t)
		}
	}
}

// drop drops a thread.
func (d *dispatcher) drop(t *thread) {
	delete(t.proc.threads, t.tid)
	if d.tids[t.tid] == t {
		delete(d.tids, t.tid)
	}
	if t.ended != 0 {
		t.proc.ending--
	}
}

func isTask(pid, tid int32) bool {
	return exists(fmt.Sprintf("/proc/%d/task/%d", pid, tid))
}
