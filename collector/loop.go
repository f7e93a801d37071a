package collector

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"gilscope/internal/cpython"
	"gilscope/internal/trace"
	"gilscope/probes"
)

// Kinds of event loops.
const (
	loopAsyncio = "asyncio"
	loopUvloop  = "uvloop"
	loopTrio    = "trio"
	loopOther   = "other"
)

// loop follows the event loop of one thread.
type loop struct {
	kind    string
	nr      int32  // the system call it waits in
	caller  uint64 // the function that waits, see stacks.caller
	it      iteration
	outside trace.Time // in the present span, time that looked like an iteration and was not the loop's
	object  uint64     // of Python, as far as a task showed it
	anew    int        // how often it came to wait in another way
}

// loopWatch is what the dispatcher asks of the probes about loops.
type loopWatch struct {
	watch  func(p *process, t *thread, w probes.LoopWait) bool // false: it cannot be
	state  func(tid int32) (probes.Loop, bool)
	forget func(tid int32)
	epoll  func(p *process) bool // whether a loop of the process may wait by epoll
	block  trace.Time            // from here on an iteration is a block
}

func (s *session) loopWatch() loopWatch {
	block := trace.Time(s.o.Block)
	if block == 0 {
		block = trace.Time(defaultBlock)
	}
	return loopWatch{s.watchLoop, s.probes.Loop, s.probes.ForgetLoop, (*process).waitsByEpoll, block}
}

// defaultBlock is the default of Options.Block; the probes have the same.
const defaultBlock = 50e6 // ns

// watchLoop makes a thread a loop. Where asyncio keeps its tasks may be known only
// now, when it has been imported.
func (s *session) watchLoop(p *process, t *thread, w probes.LoopWait) bool {
	if s.o.NoLoops || p.py == nil || s.loopGovernor.off != 0 {
		return false
	}
	if err := s.probes.WatchLoop(p.pid, t.tid, w); err != nil {
		if !s.loopsFailed {
			s.prog.note(s.o.Words, fmt.Sprintf("warning: %v", err))
		}
		s.loopsFailed = true
		return false
	}
	if s.o.Verbose && s.probes.Loops() == 1 {
		s.sayCalls()
		s.sayLag()
	}
	if p.py.Refresh() == nil {
		p.tasks = p.py.Tasks()
	}
	if len(p.places) > 0 {
		if err := s.probes.Describe(p.py, p.addresses(), s.o.Follow); err != nil {
			s.prog.note(s.o.Words, fmt.Sprintf("warning: %v", err))
		}
	}
	return true
}

// findLoops looks for threads that wait for events when the recording begins:
// what they do next is an iteration already.
func (s *session) findLoops(p *process) {
	states, err := p.py.ThreadStates()
	if err != nil || s.o.NoLoops {
		return
	}
	seen := map[cpython.CodeKey]*cpython.Code{}
	for _, ts := range states {
		nr, fd := sleepingIn(p.pid, ts.TID)
		if !probes.IsEpoll(nr) {
			continue
		}
		var roles role
		var caller uint64
		for _, code := range p.py.StackOf(ts, seen) {
			a := aboutFrame(code)
			roles |= a.role
			if caller == 0 && a.role&roleSelector == 0 {
				caller = a.code
			}
		}
		kind := p.kindOf(roles, nr)
		if t := s.d.join(p, uint32(ts.TID)); t != nil && kind != "" && s.watchLoop(p, t, probes.LoopWait{NR: nr, FD: fd}) {
			t.loop = &loop{nr: nr, caller: caller}
			s.d.loopIs(p, t, kind, now())
		}
	}
}

// sleepingIn is the system call in which a thread sleeps, and its first argument;
// negative if it does not.
func sleepingIn(pid, tid int32) (nr, fd int32) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/syscall", pid, tid))
	if err != nil {
		return -1, -1
	}
	words := strings.Fields(string(b)) // "running", or number, arguments, sp, pc
	if len(words) < 2 {
		return -1, -1
	}
	n, err := strconv.ParseInt(words[0], 10, 32)
	first, argErr := strconv.ParseUint(words[1], 0, 64)
	if err != nil || argErr != nil {
		return -1, -1
	}
	return int32(n), int32(first)
}

// kindOf tells the kind of a loop by all roles in a stack that was taken in its wait; "": it is
// none. Python code that waits by a selector is one. Native code that waits for events may
// do so for the answer to one call; of that, only uvloop is known, which has no
// frames of its own and a system call that others do not use.
func (p *process) kindOf(all role, nr int32) string {
	switch {
	case all&roleRunOnce != 0:
		return loopAsyncio
	case all&roleTrio != 0:
		return loopTrio
	case nr == probes.NREpollPwait && p.hasUvloop():
		return loopUvloop
	case all&roleSelector != 0 && probes.IsEpoll(nr):
		return loopOther
	}
	return ""
}

// waitsByEpoll says whether some loop of the process may wait by epoll: it has an instance of it open.
func (p *process) waitsByEpoll() bool {
	dir := fmt.Sprintf("/proc/%d/fd", p.pid)
	f, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer f.Close()
	names, _ := f.Readdirnames(maxFiles)
	for _, name := range names {
		if to, err := os.Readlink(dir + "/" + name); err == nil && to == "anon_inode:[eventpoll]" {
			return true
		}
	}
	return false
}

// maxFiles bounds the files that are looked at for an epoll instance; a loop opens its own early.
const maxFiles = 256

func (p *process) hasUvloop() bool {
	if p.py == nil {
		return false
	}
	for _, m := range p.py.Maps() {
		if m.Exec && strings.Contains(m.Path, "/uvloop/loop.") {
			return true
		}
	}
	return false
}

// mayBeLoop looks at a thread that went to sleep in a wait for events, or whose
// stack shows a loop. Poll and select also serve to wait for one answer, so there it
// must be a known one.
func (d *dispatcher) mayBeLoop(p *process, t *thread, nr, fd int32, k known) {
	if t.loop != nil || len(k.frames) == 0 {
		return
	}
	if p.py != nil && nr == probes.NREpollPwait && !p.hasUvloop() && p.py.Refresh() != nil {
		return
	}
	kind := p.kindOf(k.roles, nr)
	if kind == loopAsyncio && mayServeOthers(nr) && !p.stacks.ownWait(k) {
		return // what the loop runs waits, by a call that may not be the loop's; epoll's tell which it is
	}
	if kind != "" && d.loops.watch(p, t, waitOf(nr, fd, k)) {
		t.loop = &loop{nr: nr}
		if nr != 0 {
			t.loop.caller = p.stacks.caller(k)
		}
		d.loopIs(p, t, kind, d.now)
	}
}

// loopIs notes of what kind a loop is, in the trace too.
func (d *dispatcher) loopIs(p *process, t *thread, kind string, at trace.Time) {
	l := t.loop
	if l.kind == kind {
		return
	}
	l.kind = kind
	if kind == loopAsyncio || kind == loopUvloop {
		t.tasks.kept = true
		d.newLoops = d.newLoops || !t.tasks.met
	}
	d.tellKind(p, t, at)
}

// tellKind writes what is known of a loop.
func (d *dispatcher) tellKind(p *process, t *thread, at trace.Time) {
	d.w.Note(trace.Note{Time: at, PID: p.pid, Name: trace.NoteLoop, Args: append(d.lags.notes(),
		trace.Arg{Key: "tid", Num: int64(t.tid)}, trace.Arg{Key: "kind", Text: t.loop.kind}, trace.Arg{Key: "syscall", Num: int64(t.loop.nr)})})
}

// loopTold takes in what a loop has done over some time, one second if it is busy.
func (d *dispatcher) loopTold(p *process, r probes.Record) {
	t, told := d.join(p, r.Tid), r.Told()
	if t == nil || t.loop == nil || told == nil || p.stacks == nil {
		return
	}
	t.loop.nr = told.Call()
	t.loop.over()
	k := p.stacks.lookup(r.Own)
	if kind := p.kindOf(k.roles, told.Call()); kind != "" && len(k.frames) > 0 {
		t.loop.caller = p.stacks.caller(k)
		d.loopIs(p, t, kind, trace.Time(r.Ts))
	}
	d.loopCounters(p, t, told, trace.Time(r.Ts))
}

func (d *dispatcher) loopCounters(p *process, t *thread, told *probes.LoopTold, at trace.Time) {
	since, l := trace.Time(told.Since), t.loop
	busy, idle := trace.Time(told.Busy), trace.Time(told.Idle)
	busy -= min(l.outside, busy)
	l.outside = 0
	if busy+idle == 0 || at <= since {
		return
	}
	tell := func(at trace.Time, kind trace.Kind, v int64) {
		d.event(p, trace.Event{Time: at, Kind: kind, TID: t.tid, Arg: v})
	}
	tell(since, trace.LoopBusyShare, int64((100*busy+(busy+idle)/2)/(busy+idle)))
	tell(at, trace.LoopBusy, int64(busy))
	tell(at, trace.LoopIdle, int64(idle))
	tell(at, trace.LoopIterations, int64(told.Iterations))
	tell(at, trace.LoopEvents, int64(told.Events))
	tell(at, trace.LoopLate, int64(told.LateMax))
}

// loopEnds tells of a loop what was not told yet, at the end of its thread or of
// the recording.
func (d *dispatcher) loopEnds(p *process, t *thread, at trace.Time) {
	l := t.loop
	if l == nil || d.loops.state == nil {
		return
	}
	st, ok := d.loops.state(t.tid)
	if lag, ok := d.lags.state(t.tid); ok {
		d.tellLag(p, t, &lag, at)
	}
	d.loops.forget(t.tid)
	defer func() { t.loop = nil }()
	if !ok {
		return
	}
	begin, entered := trace.Time(st.Begin), trace.Time(st.Entered)
	if begin != 0 && begin < at {
		st.Told.Busy += uint64(at - begin)
		if at-begin >= d.loops.block {
			l.at(begin).ends(at, t.woken)
			d.block(p, t, at, 0, trace.BlockUnknown)
		}
	}
	if entered != 0 && entered < at {
		st.Told.Idle += uint64(at - entered)
	}
	d.loopCounters(p, t, &st.Told, at)
}

// busySince is when the present iteration began, as far as one was seen that
// goes on; 0: the loop waits, or that is not known.
func (l *loop) busySince() trace.Time {
	if l == nil || l.it.over {
		return 0
	}
	return l.it.begin
}

// over notes that the iteration which was seen last is not the present one.
func (l *loop) over() {
	if l != nil {
		l.it.over = true
	}
}
