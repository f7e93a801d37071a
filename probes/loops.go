package probes

import (
	"fmt"
	"slices"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
)

// LoopAt says where in its iteration an event loop is, LoopTold what it has done
// since it was last told of, and Loop is all that the programs know of it;
// bpf/wire.h explains their fields.
type (
	LoopAt   = bpfLoopAt
	LoopTold = bpfLoopTold
	Loop     = bpfLoop
)

// NameBytes is how much of the object that is a task's name comes with a record.
const NameBytes = len(LoopAt{}.Name)

const (
	loopAtSize   = int(unsafe.Sizeof(LoopAt{}))
	loopToldSize = int(unsafe.Sizeof(LoopTold{}))
)

// Told are the counters of a record of KindLoop; nil if it has none.
func (r *Record) Told() *LoopTold {
	if r.Kind != KindLoop || len(r.Stack) < loopToldSize {
		return nil
	}
	return (*LoopTold)(unsafe.Pointer(&r.Stack[0]))
}

// Numbers of the system calls by which loops wait. Here and in traces, all system
// calls have the numbers of x86-64, whatever the machine.
const (
	NRPoll       = 7
	NRSelect     = 23
	NREpollWait  = 232
	NRPselect6   = 270
	NRPpoll      = 271
	NREpollPwait = 281
	NREpollWait2 = 441 // epoll_pwait2
)

// Call is the system call the thread is in; -1: none.
func (a *LoopAt) Call() int32 { return callNumber(a.Nr) }

// Call is the system call by which the loop waits.
func (l *LoopTold) Call() int32 { return callNumber(l.Nr) }

// callNumber is the number on x86-64 of a system call of this machine; where it has
// none, it is one that x86-64 has not, either.
func callNumber(nr int32) int32 {
	if callNumbers == nil || nr < 0 {
		return nr
	}
	if known, ok := callNumbers[nr]; ok {
		return known
	}
	return nr + 1<<16
}

// ownNumber is the number on this machine of a wait that has one on x86-64; 0: none.
func ownNumber(nr int32) int32 {
	if callNumbers == nil {
		return nr
	}
	for own, known := range callNumbers {
		if known == nr {
			return own
		}
	}
	return 0
}

// IsEpoll says of a system call whether it waits on an epoll instance.
func IsEpoll(nr int32) bool { return nr == NREpollWait || nr == NREpollPwait || nr == NREpollWait2 }

// IsWait says of a system call whether an event loop may wait in it.
func IsWait(nr int32) bool {
	return IsEpoll(nr) || nr == NRPoll || nr == NRPpoll || nr == NRSelect || nr == NRPselect6
}

// setLoops sets the constants of the programs about loops.
func setLoops(spec *ebpf.CollectionSpec, o Options) error {
	find := bit(!o.NoLoops)
	if err := spec.Variables["find_loops"].Set(find); err != nil {
		return fmt.Errorf("prepare BPF programs: %w", err)
	}
	if o.Block <= 0 {
		return nil
	}
	if err := spec.Variables["block_ns"].Set(uint64(o.Block)); err != nil {
		return fmt.Errorf("prepare BPF programs: %w", err)
	}
	return nil
}

// LoopWait is the wait by which a loop was known. Poll and select serve what a loop runs as well as the
// loop: there, the wait is the loop's own where the innermost frame of Runs has called
// Calls, both addresses of code objects. Calls is 0 where it called what is not Python; without Runs all such calls are the loop's.
type LoopWait struct {
	NR          int32 // the system call, as on x86-64; 0: the next wait on an epoll instance tells
	FD          int32 // of epoll, the instance
	Runs, Calls uint64
}

// WaitDepth is how many frames at most the programs look at to tell whose a wait is, Runs included.
const WaitDepth = 16

// WatchLoop makes a thread of a target a loop that now waits. The first loop attaches the programs that
// see its system calls.
func (s *Session) WatchLoop(pid, tid int32, w LoopWait) error {
	if !IsEpoll(w.NR) {
		w.FD = -1
	}
	nr, at := w.NR, boottime()
	l := Loop{Tgid: uint32(pid), Nr: ownNumber(nr), Fd: w.FD, Runs: w.Runs, Calls: w.Calls, On: 1, Told: LoopTold{Since: at}}
	if nr != 0 {
		l.Entered, l.Early = at, 1
	}
	// Before anything is attached, which takes a while: the scheduler's program sees
	// when its present wait ends.
	if err := s.objs.Loops.Update(uint32(tid), &l, ebpf.UpdateAny); err != nil {
		return fmt.Errorf("watch the loop of thread %d: %w", tid, err)
	}
	if err := s.calls.add(nr, s); err != nil {
		_ = s.objs.Loops.Delete(uint32(tid)) // nobody asks about it
		return err
	}
	s.loops[tid] = true
	s.lag.attach()
	s.watchLag(pid, tid)
	return nil
}

// Loops is how many loops are watched.
func (s *Session) Loops() int { return len(s.loops) }

// Loop is what the programs know of a loop; false: nothing.
func (s *Session) Loop(tid int32) (l Loop, ok bool) {
	err := s.objs.Loops.Lookup(uint32(tid), &l)
	return l, err == nil
}

// ForgetLoop ends the watch over a loop. The last one takes the programs on system
// calls with it.
func (s *Session) ForgetLoop(tid int32) {
	_ = s.objs.Loops.Delete(uint32(tid)) // who is not there is forgotten
	s.forgetLag(tid)
	delete(s.loops, tid)
	if len(s.loops) == 0 {
		_ = s.lag.leave()
		_ = s.calls.leave() // what is left of them goes with the session
	}
}

// LoopCost is how long the programs on system calls ran, and how often, while
// MeasureRunTime is on.
func (s *Session) LoopCost() (ran time.Duration, runs uint64) {
	for _, p := range s.loopPrograms() {
		if st, err := p.Stats(); err == nil {
			ran, runs = ran+st.Runtime, runs+st.RunCount
		}
	}
	return ran, runs
}

// loopPrograms are all programs that system calls may run.
func (s *Session) loopPrograms() []*ebpf.Program {
	o := &s.objs
	all := append(s.calls.programs(), o.LoopWaits, o.LoopGoesOn, o.LoopWaitsHere, o.LoopGoesOnHere, o.CountCalls)
	return slices.DeleteFunc(all, func(p *ebpf.Program) bool { return p == nil }) // not loaded
}
