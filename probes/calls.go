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
	why      error           // what keeps functions from having them
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
	var missing []string
	for _, name := range callsFor(nr) {
		if !c.all && !c.on[name] {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if err := c.functions(missing, s); err != nil {
		return c.tracepoints(s, err)
	}
	return nil
}

// functions attaches to the kernel's functions behind system calls.
func (c *calls) functions(names []string, s *Session) error {
	loaded, err := s.programsFor(names)
	if err != nil {
		return err
	}
	c.programs = append(c.programs, loaded...)
	for _, p := range loaded {
		l, err := link.AttachTracing(link.TracingOptions{Program: p})
		if err != nil {
			return fmt.Errorf("attach to a function of the kernel: %w", permission(err))
		}
		c.links = append(c.links, l)
	}
	if c.on == nil {
		c.on = map[string]bool{}
	}
	for _, name := range names {
		c.on[name] = true
	}
	return nil
}

// programsFor loads the programs on system calls anew, for the kernel's functions
// behind some of them, with the constants and maps of the others. All at once:
// most of the time goes into reading the kernel's types.
func (s *Session) programsFor(calls []string) ([]*ebpf.Program, error) {
	spec := *s.spec
	spec.Programs = map[string]*ebpf.ProgramSpec{}
	add := func(name, call string, attach ebpf.AttachType) {
		p := s.spec.Programs[name].Copy()
		p.AttachType, p.AttachTo = attach, callPrefix+call
		spec.Programs[name+" "+call] = p
	}
	for _, call := range calls {
		add(bpfProgLoopWaits, call, ebpf.AttachTraceFEntry)
		if call != "close" {
			add(bpfProgLoopGoesOn, call, ebpf.AttachTraceFExit)
		}
	}
	all, err := ebpf.NewCollectionWithOptions(&spec, ebpf.CollectionOptions{MapReplacements: s.objs.maps()})
	if err != nil {
		return nil, fmt.Errorf("load programs for functions of the kernel: %w", err)
	}
	defer all.Close()
	var out []*ebpf.Program
	for name := range spec.Programs {
		out = append(out, all.DetachProgram(name))
	}
	return out, nil
}

// tracepoints attaches to all system calls of the machine, and takes off what is
// attached to single ones.
func (c *calls) tracepoints(s *Session, why error) error {
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
	c.all, c.why, c.cost = true, why, max(shortest(anyCall, 0)-before, 0)
	return nil
}

// anyCall makes a system call that does next to nothing.
func anyCall(uintptr) { unix.Getppid() }

// CallCost is what the programs add to every system call of the machine, and why
// they have to; 0: nothing.
func (s *Session) CallCost() (cost time.Duration, why error) { return s.calls.cost, s.calls.why }

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
