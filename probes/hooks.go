package probes

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// hookID names a probe that serves whoever maps the file. Those of targets whose
// children are followed are such: a probe for one pid leaves its breakpoint in
// the children, where each hit costs and tells nothing.
type hookID struct {
	dev, ino, offset, cookie uint64
	program                  string
	ret                      bool
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
	if h.users--; h.users > 0 {
		return nil
	}
	delete(h.s.shared, h.id)
	return h.link.Close()
}

// Attach cookies, see bpf/gil.h.
const atCall = 4

func cookieOf(h Hook) uint64 {
	cookie := uint64(h.Site.TStateArg)
	if h.Site.Call {
		cookie |= atCall
	}
	return cookie
}

// attach puts a hook into a process: into it alone, or into all that map the
// file, of which the programs then hear those that are targets.
func (s *Session) attach(pid int, h Hook, shared bool) error {
	ex, err := link.OpenExecutable(h.Site.Path)
	if err != nil {
		return fmt.Errorf("open %s: %w", h.Site.Path, err)
	}
	if !shared {
		l, err := s.link(ex, pid, h)
		if err == nil {
			s.hooks[pid] = append(s.hooks[pid], l)
		}
		return err
	}
	var st syscall.Stat_t
	if err := syscall.Stat(h.Site.Path, &st); err != nil {
		return fmt.Errorf("stat %s: %w", h.Site.Path, err)
	}
	id := hookID{st.Dev, st.Ino, h.Site.Offset, cookieOf(h), h.Program, h.Return}
	hook := s.shared[id]
	if hook == nil {
		l, err := s.link(ex, 0, h)
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

// link attaches a hook; pid 0: in every process.
func (s *Session) link(ex *link.Executable, pid int, h Hook) (link.Link, error) {
	prog := s.program(h.Program)
	if prog == nil {
		return nil, fmt.Errorf("program %q: %w", h.Program, os.ErrNotExist)
	}
	if !s.multi {
		o := &link.UprobeOptions{Address: h.Site.Offset, PID: pid, Cookie: cookieOf(h)}
		if h.Return {
			return ex.Uretprobe(h.Site.Name, prog, o)
		}
		return ex.Uprobe(h.Site.Name, prog, o)
	}
	o := &link.UprobeMultiOptions{Addresses: []uint64{h.Site.Offset}, Cookies: []uint64{cookieOf(h)}, PID: uint32(pid)}
	if h.Return {
		return ex.UretprobeMulti(nil, prog, o)
	}
	return ex.UprobeMulti(nil, prog, o)
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
	}
	return nil
}
