package collector

import (
	"gilscope/internal/trace"
	"gilscope/probes"
)

// dispatcher turns records into events. It knows all targets; one goroutine
// calls it.
type dispatcher struct {
	w          *trace.Writer
	procs      map[int32]*process
	tids       map[int32]*thread // of all targets
	now        trace.Time        // of the newest record
	end        trace.Time        // of the recording, once it is known: what comes later is not told
	records    int64
	hits       int64 // of them, probe hits
	events     int64
	repaired   int64
	children   int64  // started and not recorded
	unresolved int64  // stacks of processes that are forgotten
	alarm      *alarm // nil: nobody asked for one
	onFork     func(parent *process, r probes.Record)
	onExec     func(*process, trace.Time)
	onExit     func(*process)
	onBrake    func(*process, trace.Time)
	on         []*thread           // by CPU: the target's thread on it, as far as seen
	given      []trace.Time        // by CPU: when it was last given to a thread
	onRefused  func(probes.Record) // of a process that the caller may not trace
	losses     losses
	forgot     bool // who is on the CPUs, so that it must be asked
	loops      loopWatch
	lags       lagWatch
	workers    workerWatch
	newLoops   bool // there are loops whose tasks were not read yet
	shared     sharedLocks
}

func newDispatcher(w *trace.Writer) *dispatcher {
	return &dispatcher{w: w, lags: noLag, procs: map[int32]*process{}, tids: map[int32]*thread{}}
}

// record handles one record; records come in time order.
func (d *dispatcher) record(r probes.Record) {
	d.records++
	d.losses.store(r.Cpu)
	d.now = max(d.now, trace.Time(r.Ts))
	if len(d.losses.holes) > 0 {
		if since := d.losses.passed(trace.Time(r.Ts)); since != 0 {
			d.interrupted(since)
		}
	}
	p := d.procs[int32(r.Tgid)]
	if d.end != 0 && trace.Time(r.Ts) > d.end {
		return
	}
	if p != nil && p.refused {
		d.onRefused(r)
		return
	}
	if p == nil || p.exited && r.Kind != probes.KindSwitch {
		return
	}
	if p.stub && r.Kind != probes.KindExec && r.Flags&probes.FlagLast == 0 {
		return
	}
	p.stacks.learn(r.Own)
	p.stacks.learn(r.Holder)
	switch r.Kind {
	case probes.KindSwitch:
		d.switched(p, r)
	case probes.KindRunning:
		d.runs(p, r)
	case probes.KindWaking:
		d.waking(p, r)
	case probes.KindGave:
		d.gaveToOther(p, r)
	case probes.KindSample:
		d.sample(p, r)
	case probes.KindTake, probes.KindDrop, probes.KindSlice, probes.KindEnter:
		d.hook(p, r)
	case probes.KindRare:
		d.rare(p, r)
	case probes.KindBrake:
		d.onBrake(p, trace.Time(r.Ts))
	case probes.KindFork:
		d.fork(p, r)
	case probes.KindExec:
		d.exec(p, r)
	case probes.KindExit:
		d.exit(p, r)
	case probes.KindLoop:
		d.loopTold(p, r)
	case probes.KindLag:
		d.lagTold(p, r)
	case probes.KindBlock:
		d.loopBlocked(p, r)
	}
}

// join returns the thread of a record, creating it at first sight.
func (d *dispatcher) join(p *process, tid uint32) *thread {
	t := d.tids[int32(tid)]
	if t != nil && t.proc == p {
		return t
	}
	t = p.join(int32(tid))
	if t != nil {
		d.tids[t.tid] = t
	}
	return t
}

// sampleOf returns the GIL's fields in a record that has them.
func sampleOf(r probes.Record) sample {
	return sample{trace.Time(r.Ts), int32(r.HolderTid), r.Rec.Holder, r.Switches, r.Flags&probes.FlagLocked != 0}
}

// event counts and writes one event of a process.
func (d *dispatcher) event(p *process, e trace.Event) {
	e.PID = p.pid
	d.events++
	if d.alarm != nil {
		d.alarm.ended(p, &e)
	}
	d.w.Event(&e)
}

func (d *dispatcher) sample(p *process, r probes.Record) {
	d.runs(p, r)
	t := d.join(p, r.Tid)
	if t == nil || p.stacks == nil {
		return
	}
	d.lockEnds(t)
	mode := trace.ModeUser
	if r.Flags&probes.FlagKernel != 0 {
		mode = trace.ModeKernel
	}
	stack := p.stacks.withNative(r)
	d.event(p, trace.Event{Time: trace.Time(r.Ts), Kind: trace.CPUSample, CPU: r.Cpu, TID: t.tid,
		Stack: stack, Arg: int64(mode)})
	d.loopSampled(p, t, r, stack)
	d.workerSampled(p, t, r)
	if g := p.gilOf(r); g != nil {
		g.sampled(sampleOf(r))
	}
}

// hook handles what the probes on libc or the interpreter saw.
func (d *dispatcher) hook(p *process, r probes.Record) {
	d.hits++
	t := d.join(p, r.Tid)
	g := p.gilOf(r)
	if t == nil || g == nil {
		return
	}
	g.concerns(t)
	s := sampleOf(r)
	switch r.Kind {
	case probes.KindTake:
		g.taken(t, s)
	case probes.KindDrop:
		g.drops(t, s, d.reason(p, r))
	default:
		if s.locked && s.holder != t.tid {
			g.enters(t, s)
		}
	}
}

// reason tells a forced drop from a voluntary one. Without a drop request it
// is voluntary; with one, the functions that called drop_gil decide.
func (d *dispatcher) reason(p *process, r probes.Record) trace.DropReason {
	if r.Arg == 0 {
		return trace.DropVoluntary
	}
	forced, known := p.py.ForcedDrop(r.Pc, r.Sp, r.Stack)
	switch {
	case !known:
		return trace.DropUnknown
	case forced:
		return trace.DropForced
	}
	return trace.DropVoluntary
}

// flush emits the counters up to the moment before which nothing changes.
func (d *dispatcher) flush() {
	for _, p := range d.procs {
		if p.exited {
			continue
		}
		for _, g := range p.gils() {
			g.flush(d.now - late)
		}
		for _, e := range p.executors {
			e.flush(d.now)
		}
		d.flushLocks(p)
		d.flushUse(p, d.now)
	}
}
