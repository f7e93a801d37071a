package probes

import (
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// calls are the programs on the system calls by which loops wait. They stand on the
// kernel's functions behind those calls alone, so that others cost nothing; where
// that cannot be (no BPF trampolines, as on arm64 before Linux 6.4; a kernel
// without BTF of them), on the tracepoints of all system calls.
type calls struct {
	on       map[string]bool // functions that have them
	all      bool            // the tracepoints have them
	cost     time.Duration   // what those add to each call
	programs []*ebpf.Program // loaded for functions
	links    []closer
}

// callOf names the system calls that loops wait by, as in the kernel's functions.
var callOf = map[int32]string{
	NRPoll: "poll", NRSelect: "select", NREpollWait: "epoll_wait", NRPselect6: "pselect6",
	NRPpoll: "ppoll", NREpollPwait: "epoll_pwait", NREpollWait2: "epoll_pwait2",
}

// callsFor are the calls to watch for a loop that waits by nr, 0 if that is not
// known but that it is epoll. An epoll instance that is closed ends its loop.
func callsFor(nr int32) []string {
	var names []string
	for wait, name := range callOf {
		if wait == nr || nr == 0 && IsEpoll(wait) && ownNumber(wait) != 0 {
			names = append(names, name)
		}
	}
	if nr == 0 || IsEpoll(nr) {
		names = append(names, "close")
	}
	return names
}

// add attaches what a loop that waits by nr needs and is not there yet.
func (c *calls) add(nr int32, s *Session) error {
	if c.all {
		return nil
	}
	for _, name := range callsFor(nr) {
		if c.on[name] {
			continue
		}
		if err := c.function(name, s); err != nil {
			return c.tracepoints(s)
		}
	}
	return nil
}

// function attaches to the kernel's function behind a system call.
func (c *calls) function(name string, s *Session) error {
	symbol := callPrefix + name
	ends := []struct {
		program string
		attach  ebpf.AttachType
	}{{bpfProgLoopWaits, ebpf.AttachTraceFEntry}, {bpfProgLoopGoesOn, ebpf.AttachTraceFExit}}
	if name == "close" {
		ends = ends[:1]
	}
	for _, end := range ends {
		p, err := s.programFor(end.program, end.attach, symbol)
		if err != nil {
			return err
		}
		c.programs = append(c.programs, p)
		l, err := link.AttachTracing(link.TracingOptions{Program: p})
		if err != nil {
			return fmt.Errorf("attach to the kernel's %s: %w", symbol, permission(err))
		}
		c.links = append(c.links, l)
	}
	if c.on == nil {
		c.on = map[string]bool{}
	}
	c.on[name] = true
	return nil
}

// programFor loads one of the programs anew, for a function of the kernel, with
// the constants and maps of the others.
func (s *Session) programFor(name string, attach ebpf.AttachType, symbol string) (*ebpf.Program, error) {
	p := s.spec.Programs[name].Copy()
	p.AttachType, p.AttachTo = attach, symbol
	spec := *s.spec
	spec.Programs = map[string]*ebpf.ProgramSpec{name: p}
	loaded, err := ebpf.NewCollectionWithOptions(&spec, ebpf.CollectionOptions{MapReplacements: s.objs.maps()})
	if err != nil {
		return nil, fmt.Errorf("load a program for the kernel's %s: %w", symbol, err)
	}
	defer loaded.Close()
	return loaded.DetachProgram(name), nil
}

// tracepoints attaches to all system calls of the machine, and takes off what is
// attached to single ones.
func (c *calls) tracepoints(s *Session) error {
	if err := c.leave(); err != nil {
		return err
	}
	before := shortest(anyCall, 0)
	for _, p := range []*ebpf.Program{s.objs.LoopWaits, s.objs.LoopGoesOn} {
		l, err := link.AttachTracing(link.TracingOptions{Program: p})
		if err != nil {
			return errors.Join(fmt.Errorf("attach %s: %w: event loops are not recorded", p, permission(err)), c.leave())
		}
		c.links = append(c.links, l)
	}
	c.all, c.cost = true, max(shortest(anyCall, 0)-before, 0)
	return nil
}

// anyCall makes a system call that does next to nothing.
func anyCall(uintptr) { unix.Getppid() }

// CallCost is what the programs add to every system call of the machine; 0: nothing.
func (s *Session) CallCost() time.Duration { return s.calls.cost }

// leave takes the programs off the system calls.
func (c *calls) leave() error {
	var errs []error
	for _, l := range c.links {
		errs = append(errs, l.Close())
	}
	for _, p := range c.programs {
		errs = append(errs, p.Close())
	}
	*c = calls{}
	return errors.Join(errs...)
}
