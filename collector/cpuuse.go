package collector

import (
	"gilscope/internal/trace"
	"gilscope/probes"
)

// onCPU is what a thread does in the eyes of the scheduler, as far as it was seen.
type onCPU uint8

const (
	cpuUnknown onCPU = iota // or it sleeps: neither counts
	cpuRunning
	cpuRunnable
)

// cpuUse counts for one process how much its threads were on CPUs, and how much they
// had something to do but no CPU, for two counters of the trace.
type cpuUse struct{ running, runnable busyShare }

// moves moves a thread to another state, and counts the time in the one before.
func (u *cpuUse) moves(t *thread, at trace.Time, to onCPU) {
	if from := t.cpuSince; at > from {
		switch t.cpu {
		case cpuRunning:
			u.running.add(from, at)
		case cpuRunnable:
			u.runnable.add(from, at)
		}
	}
	t.cpu, t.cpuSince = to, max(at, t.cpuSince)
}

// switchedUse handles both threads of a switch. Who was on that CPU without our
// having seen it leave did so unseen: the kernel does not report every switch.
func (d *dispatcher) switchedUse(prev, next *thread, r probes.Record) {
	at := trace.Time(r.Ts)
	for int(r.Cpu) >= len(d.on) {
		d.on = append(d.on, nil)
	}
	if was := d.on[r.Cpu]; was != nil && was != prev && was != next && was.cpu == cpuRunning {
		was.cpu = cpuUnknown
	}
	if prev != nil {
		to := cpuRunnable
		if r.Flags&probes.FlagAsleep != 0 || taskState(r.Arg)&^0x100 != 0 {
			to = cpuUnknown
		}
		prev.proc.use.moves(prev, at, to)
	}
	if d.on[r.Cpu] = next; next != nil {
		next.proc.use.moves(next, at, cpuRunning)
	}
}

// runs handles a thread that is on a CPU. It may have come there unseen: before the recording began, while
// records were lost, or by a switch that the kernel did not report.
func (d *dispatcher) runs(p *process, r probes.Record) {
	t := d.join(p, r.Tid)
	if t == nil || t.cpu == cpuRunning {
		return
	}
	if t.cpuSince != 0 {
		d.repaired++
	}
	d.switchedUse(nil, t, r)
	d.events++
	d.w.Event(&trace.Event{Time: trace.Time(r.Ts), Kind: trace.SchedSwitch, CPU: r.Cpu, TID: t.tid})
}

// flushUse counts what goes on up to a moment, and tells the values that end before it.
func (d *dispatcher) flushUse(p *process, until trace.Time) {
	u := &p.use
	for _, t := range p.threads {
		if t.ended == 0 && t.cpu != cpuUnknown {
			u.moves(t, until, t.cpu)
		}
	}
	u.tell(d, p, &u.running, trace.ThreadsRunning, until)
	u.tell(d, p, &u.runnable, trace.ThreadsRunnable, until)
}

// tell tells one counter. Of a row of zeros only the first is told.
func (u *cpuUse) tell(d *dispatcher, p *process, b *busyShare, kind trace.Kind, until trace.Time) {
	b.emit = func(at trace.Time, percent int64) {
		if percent != b.told {
			b.told = percent
			d.event(p, trace.Event{Time: at, Kind: kind, Arg: percent})
		}
	}
	b.flush(until)
}

// forgetUse forgets what goes on: records were lost, and with them switches.
func (d *dispatcher) forgetUse() {
	d.forgot = true
	clear(d.on)
	for _, t := range d.tids {
		t.cpu, t.cpuSince = cpuUnknown, 0
	}
}
