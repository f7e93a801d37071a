package probes

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// group is the hooks of one program in one file: one link serves them all, and
// comes off in the time of one.
type group []Hook

// groups sorts hooks into groups, in the order of their first ones.
func groups(hooks []Hook) []group {
	var all []group
	for _, h := range hooks {
		i := slices.IndexFunc(all, func(g group) bool {
			return g[0].Program == h.Program && g[0].Return == h.Return && g[0].Site.Path == h.Site.Path
		})
		if i < 0 {
			all = append(all, group{h})
		} else {
			all[i] = append(all[i], h)
		}
	}
	return all
}

// String names the sites, for messages.
func (g group) String() string {
	h := g[0]
	text := fmt.Sprintf("%s at %s+%#x", h.Site.Name, h.Site.File, h.Site.Offset)
	if len(g) > 1 {
		text += fmt.Sprintf(" and %d more", len(g)-1)
	}
	return text
}

// hookID names a probe that serves whoever maps the file. Those of targets whose
// children are followed are such: a probe for one pid leaves its breakpoint in
// the children, where each hit costs and tells nothing.
type hookID struct {
	dev, ino uint64
	program  string
	ret      bool
	sites    string
}

// sharedHook is the probe and how many targets use it.
type sharedHook struct {
	s     *Session
	id    hookID
	link  closer
	users int
}

// Close gives up one use of the probe.
func (h *sharedHook) Close() error {
	if l := h.release(); l != nil {
		return l.Close()
	}
	return nil
}

// release is Close, but leaves it to the caller to close the link if this was
// the last use.
func (h *sharedHook) release() closer {
	if h.users--; h.users > 0 {
		return nil
	}
	delete(h.s.shared, h.id)
	return h.link
}

// Attach cookies, see bpf/gil.h and bpf/rare.h.
const (
	atCall     = 4
	whichShift = 8
)

func cookieOf(h Hook) uint64 {
	cookie := uint64(h.Site.TStateArg)
	if h.Site.Call {
		cookie |= atCall
	}
	return cookie | uint64(h.Which)<<whichShift
}

// attach puts hooks into a process: into it alone, or into all that map the
// file, of which the programs then hear those that are targets.
func (s *Session) attach(pid int, g group, shared bool) error {
	path := g[0].Site.Path
	ex, err := link.OpenExecutable(path)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	if !shared {
		l, err := s.link(ex, pid, g)
		if err == nil {
			s.hooks[pid] = append(s.hooks[pid], l)
		}
		return err
	}
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		return fmt.Errorf("stat %s: %w", path, err)
	}
	id := hookID{dev: st.Dev, ino: st.Ino, program: g[0].Program, ret: g[0].Return}
	for _, h := range g {
		id.sites += fmt.Sprintf("%x/%x ", h.Site.Offset, cookieOf(h))
	}
	hook := s.shared[id]
	if hook == nil {
		l, err := s.link(ex, 0, g)
		if err != nil {
			return err
		}
		hook = &sharedHook{s: s, id: id, link: l}
		s.shared[id] = hook
	}
	hook.users++
	s.hooks[pid] = append(s.hooks[pid], hook)
	return nil
}

// Inherit notes that a followed child uses the hooks of its parent, which it
// has in its memory since the fork.
func (s *Session) Inherit(child, parent int) {
	for _, c := range s.hooks[parent] {
		if hook, ok := c.(*sharedHook); ok {
			hook.users++
			s.hooks[child] = append(s.hooks[child], hook)
		}
	}
	s.inheritRare(child, parent)
}

// Unhook removes the hooks of a process. They outlive an exec, and then hit in
// whatever maps the same files.
func (s *Session) Unhook(pid int) error {
	var errs []error
	for _, l := range s.hooks[pid] {
		errs = append(errs, l.Close())
	}
	delete(s.hooks, pid)
	return errors.Join(errs...)
}

// link attaches the hooks of a group; pid 0: in every process.
func (s *Session) link(ex *link.Executable, pid int, g group) (closer, error) {
	prog := s.program(g[0].Program)
	if prog == nil {
		return nil, fmt.Errorf("program %q: %w", g[0].Program, os.ErrNotExist)
	}
	if !s.multi {
		return singly(ex, prog, pid, g)
	}
	o := &link.UprobeMultiOptions{PID: uint32(pid)}
	for _, h := range g {
		o.Addresses, o.Cookies = append(o.Addresses, h.Site.Offset), append(o.Cookies, cookieOf(h))
	}
	if g[0].Return {
		return ex.UretprobeMulti(nil, prog, o)
	}
	return ex.UprobeMulti(nil, prog, o)
}

// closers are closed as one.
type closers []closer

func (c closers) Close() error {
	var errs []error
	for _, each := range c {
		errs = append(errs, each.Close())
	}
	return errors.Join(errs...)
}

// singly attaches each hook by a link of its own, as kernels before 6.6 need it.
func singly(ex *link.Executable, prog *ebpf.Program, pid int, g group) (closer, error) {
	var all closers
	for _, h := range g {
		attach := ex.Uprobe
		if h.Return {
			attach = ex.Uretprobe
		}
		l, err := attach(h.Site.Name, prog, &link.UprobeOptions{Address: h.Site.Offset, PID: pid, Cookie: cookieOf(h)})
		if err != nil {
			return nil, errors.Join(err, all.Close())
		}
		all = append(all, l)
	}
	return all, nil
}

func (s *Session) program(name string) *ebpf.Program {
	switch name {
	case bpfProgCondSignal:
		return s.objs.CondSignal
	case bpfProgCondTimedwait:
		return s.objs.CondTimedwait
	case bpfProgTakeGil:
		return s.objs.TakeGil
	case bpfProgTakeGilReturn:
		return s.objs.TakeGilReturn
	case bpfProgDropGil:
		return s.objs.DropGil
	case bpfProgRare:
		return s.objs.Rare
	case bpfProgRareReturn:
		return s.objs.RareReturn
	}
	return nil
}
