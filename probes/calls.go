package probes

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// calls are the programs on the system calls by which loops wait. They stand on the
// kernel's functions behind those calls alone, so that others cost nothing; where
// that cannot be (no BPF trampolines, as on arm64 before Linux 6.4; a kernel
// without BTF of them), on the tracepoints of those calls, which slow down all a
// little; and where those cannot be reached, on the tracepoints of all.
type calls struct {
	loaded map[string][]*ebpf.Program // for functions, by call
	why    error                      // what keeps functions from having programs
	whyAll error                      // and what keeps their tracepoints from it
	on     map[string]bool            // calls that have programs now, each on its own
	all    bool                       // the tracepoints of all calls have them now
	before CallCost                   // how long calls take without tracepoints
	nr     int32                      // how the first loop waits, whose tracepoints' cost is
	due    bool                       // to be measured
	cost   CallCost
	count  closer // the counting of calls, while it goes on
	links  []closer
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

// usualWait is how nearly all loops wait.
func usualWait() int32 {
	if ownNumber(NREpollWait) != 0 {
		return NREpollWait
	}
	return NREpollPwait
}

// prepare loads what the first loop will need, most likely, or finds out that it
// cannot be had: it takes a tenth of a second, in which a loop that was just found
// would not be seen.
func (c *calls) prepare(s *Session) {
	if c.why = c.load(callsFor(usualWait()), s); c.why != nil {
		c.before, c.whyAll = s.timeCalls(0), s.add(onSingle)
	}
}

// add attaches what a loop that waits by nr needs and is not there yet.
func (c *calls) add(nr int32, s *Session) error {
	if c.all {
		return nil
	}
	if c.on == nil {
		c.on = map[string]bool{}
	}
	names := callsFor(nr)
	if c.why == nil {
		c.why = c.load(names, s)
	}
	for _, name := range names {
		if c.why == nil && !c.on[name] {
			c.why = c.attach(name)
		}
	}
	if c.why != nil {
		return c.tracepoints(nr, names, s)
	}
	return nil
}

// load loads the programs for functions that have none yet.
func (c *calls) load(names []string, s *Session) error {
	var missing []string
	for _, name := range names {
		if c.loaded[name] == nil {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	loaded, err := s.programsFor(missing)
	if err != nil {
		return err
	}
	if c.loaded == nil {
		c.loaded = map[string][]*ebpf.Program{}
	}
	for _, name := range missing {
		c.loaded[name] = loaded[name]
	}
	return nil
}

// attach attaches to the kernel's function behind a system call.
func (c *calls) attach(name string) error {
	for _, p := range c.loaded[name] {
		l, err := link.AttachTracing(link.TracingOptions{Program: p})
		if err != nil {
			return fmt.Errorf("attach to the kernel's %s%s: %w", callPrefix, name, permission(err))
		}
		c.links = append(c.links, l)
	}
	c.on[name] = true
	return nil
}

// all programs that are loaded for functions.
func (c *calls) programs() []*ebpf.Program {
	var all []*ebpf.Program
	for _, programs := range c.loaded {
		all = append(all, programs...)
	}
	return all
}

// programsFor loads the programs on system calls anew, for the kernel's functions
// behind some of them, with the constants and maps of the others. All at once:
// most of the time goes into reading the kernel's types.
func (s *Session) programsFor(calls []string) (map[string][]*ebpf.Program, error) {
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
	all, err := ebpf.NewCollectionWithOptions(&spec, ebpf.CollectionOptions{MapReplacements: s.objs.maps(), Cache: s.types})
	if err != nil {
		return nil, fmt.Errorf("load programs for functions of the kernel: %w", err)
	}
	defer all.Close()
	out := map[string][]*ebpf.Program{}
	for name := range spec.Programs {
		_, call, _ := strings.Cut(name, " ")
		out[call] = append(out[call], all.DetachProgram(name))
	}
	return out, nil
}

// leave takes the programs off the system calls.
func (c *calls) leave() error {
	var errs []error
	for _, l := range c.links {
		errs = append(errs, l.Close())
	}
	errs = append(errs, c.endCount())
	clear(c.on)
	c.links, c.all, c.due, c.cost = nil, false, false, CallCost{}
	return errors.Join(errs...)
}

// close gives back what is loaded, too.
func (c *calls) close() error {
	errs := []error{c.leave()}
	for _, p := range c.programs() {
		errs = append(errs, p.Close())
	}
	c.loaded = nil
	return errors.Join(errs...)
}
