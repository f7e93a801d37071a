package probes

import (
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// CallCost is what the programs on tracepoints add to system calls; 0: they stand on
// the kernel's functions, or nowhere.
type CallCost struct {
	Any  time.Duration // to each call of the machine
	Wait time.Duration // to the wait of a loop
	All  bool          // the tracepoints are those of all calls
}

// CallCost is what watching loops costs now, and why it costs others something. It is
// measured the first time somebody asks: not while a loop waits to be watched.
func (s *Session) CallCost() (cost CallCost, why error) {
	c := &s.calls
	if c.due {
		after := s.timeCalls(c.nr)
		c.due, c.cost = false, CallCost{max(after.Any-c.before.Any, leastCost), max(after.Wait-c.before.Wait, leastCost), c.all}
	}
	return c.cost, errors.Join(c.why, c.whyAll)
}

// tracepoints attaches to the tracepoints of single system calls, of which tracefs has
// the numbers; where that is closed to us, to those of all. Programs on functions
// of the kernel go.
func (c *calls) tracepoints(nr int32, names []string, s *Session) error {
	if c.cost == (CallCost{}) && !c.due {
		names = slices.AppendSeq(names, maps.Keys(c.on))
		if err := c.leave(); err != nil {
			return err
		}
		if c.nr = nr; c.before == (CallCost{}) || nr != 0 && !IsEpoll(nr) {
			c.before = s.timeCalls(nr)
		}
		c.due = true
	}
	if c.whyAll == nil {
		c.whyAll = c.singles(names, s)
	}
	if c.whyAll == nil {
		return nil
	}
	if err := errors.Join(c.leave(), c.everywhere(s)); err != nil {
		return err
	}
	c.due = true
	return nil
}

// leastCost is what a tracepoint costs at least; where less is measured, the machine
// was slower before.
const leastCost = 20 * time.Nanosecond

// singles attaches to the tracepoints of calls that have no program yet.
func (c *calls) singles(names []string, s *Session) error {
	if s.objs.LoopWaitsHere == nil {
		if err := s.add(onSingle); err != nil {
			return err
		}
	}
	for _, name := range names {
		if c.on[name] {
			continue
		}
		if err := c.tracepoint("sys_enter_"+name, s.objs.LoopWaitsHere); err != nil {
			return err
		}
		if name != "close" {
			if err := c.tracepoint("sys_exit_"+name, s.objs.LoopGoesOnHere); err != nil {
				return err
			}
		}
		c.on[name] = true
	}
	return nil
}

func (c *calls) tracepoint(name string, p *ebpf.Program) error {
	l, err := link.Tracepoint("syscalls", name, p, nil)
	if err != nil {
		return fmt.Errorf("attach to the tracepoint syscalls:%s: %w", name, permission(err))
	}
	c.links = append(c.links, l)
	return nil
}

// everywhere attaches to all system calls of the machine.
func (c *calls) everywhere(s *Session) error {
	if s.objs.LoopWaits == nil {
		if err := s.add(onAll); err != nil {
			return err
		}
	}
	for _, p := range []*ebpf.Program{s.objs.LoopWaits, s.objs.LoopGoesOn} {
		l, err := link.AttachTracing(link.TracingOptions{Program: p})
		if err != nil {
			return errors.Join(fmt.Errorf("attach %s: %w: event loops are not recorded", p, permission(err)), c.leave())
		}
		c.links = append(c.links, l)
	}
	c.all = true
	return nil
}

// timeCalls measures a call that no loop makes, and the wait of one: for that time
// this thread is a loop, of a process that is no target.
func (s *Session) timeCalls(nr int32) CallCost {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if nr == 0 {
		nr = usualWait()
	}
	tid, wait := uint32(unix.Gettid()), emptyWait(ownNumber(nr))
	loop := Loop{Nr: ownNumber(nr), Fd: -1, On: 1, Told: LoopTold{Since: boottime()}}
	_ = s.objs.Loops.Update(tid, &loop, ebpf.UpdateAny) // if that fails, the wait seems a little cheaper
	defer s.objs.Loops.Delete(tid)
	best := CallCost{Any: time.Hour, Wait: time.Hour}
	for range 3 { // in between, the machine may be slower for milliseconds
		best.Any = min(best.Any, shortest(func(uintptr) { unix.Getppid() }, 0))
		best.Wait = min(best.Wait, shortest(wait, 0))
	}
	return best
}

// emptyWait makes a function that waits for nothing, for no time, by a system call.
func emptyWait(own int32) func(uintptr) {
	files, at := ^uintptr(0), &unix.Timespec{} // an epoll instance that is none
	switch callNumber(own) {
	case NREpollWait, NREpollPwait, NREpollWait2:
		return func(uintptr) { unix.Syscall6(uintptr(own), files, 0, 0, 0, 0, 0) }
	case NRPpoll:
		return func(uintptr) { unix.Ppoll(nil, at, nil) }
	case NRPselect6:
		return func(uintptr) { unix.Pselect(0, nil, nil, nil, at, nil) }
	}
	return func(uintptr) { unix.Syscall6(uintptr(own), 0, 0, 0, 0, 0, 0) } // poll, select
}

// CountCalls begins to count all system calls of the machine (Counts.Calls, Waits),
// which adds another tenth of a microsecond to each, or ends that.
func (s *Session) CountCalls(on bool) error {
	if !on {
		return s.calls.endCount()
	}
	if s.calls.count != nil {
		return nil
	}
	l, err := link.AttachTracing(link.TracingOptions{Program: s.objs.CountCalls})
	if err != nil {
		return fmt.Errorf("count system calls: %w", permission(err))
	}
	s.calls.count = l
	return nil
}

func (c *calls) endCount() error {
	if c.count == nil {
		return nil
	}
	err := c.count.Close()
	c.count = nil
	return err
}
