package probes

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"

	"gilscope/internal/cpython"
)

// haveMulti asks the kernel for uprobe_multi links (6.6), which detach in
// milliseconds where perf uprobes take 120 ms each.
func haveMulti() bool { return features.HaveBPFLinkUprobeMulti() == nil }

// Watch makes the process a target for scheduling and samples. Its GIL is not
// observed until Observe.
func (s *Session) Watch(pid int) error {
	t := bpfTarget{}
	if err := s.objs.Targets.Update(uint32(pid), &t, ebpf.UpdateAny); err != nil {
		return fmt.Errorf("watch pid %d: %w: too many targets", pid, err)
	}
	return nil
}

// Forget ends the recording of the process.
func (s *Session) Forget(pid int) error {
	if err := s.objs.Targets.Delete(uint32(pid)); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("forget pid %d: %w", pid, err)
	}
	return nil
}

// Observe attaches the plan's hooks to the process and tells the programs where
// its GIL is. The known thread states spare the programs a search.
func (s *Session) Observe(p *cpython.Process, in cpython.Interpreter, plan Plan) error {
	states, err := p.ThreadStates()
	if err != nil {
		return fmt.Errorf("observe pid %d: %w", p.PID, err)
	}
	for _, ts := range states {
		th := bpfThread{Tstate: ts.Addr}
		if err := s.objs.Threads.Update(uint32(ts.TID), &th, ebpf.UpdateAny); err != nil {
			return fmt.Errorf("observe pid %d: thread %d: %w", p.PID, ts.TID, err)
		}
	}
	for _, h := range plan.Hooks {
		if err := s.attach(p.PID, h); err != nil {
			return fmt.Errorf("attach %s to pid %d at %s+%#x: %w: try another --gil-backend", h.Site.Name, p.PID, h.Site.File, h.Site.Offset, permission(err))
		}
	}
	t := describe(p, in)
	if err := s.objs.Targets.Update(uint32(p.PID), &t, ebpf.UpdateAny); err != nil {
		return fmt.Errorf("observe pid %d: %w: too many targets", p.PID, err)
	}
	return nil
}

func (s *Session) attach(pid int, h Hook) error {
	prog := s.program(h.Program)
	ex, err := link.OpenExecutable(h.Site.Path)
	if err != nil {
		return fmt.Errorf("open %s: %w", h.Site.Path, err)
	}
	l, err := s.link(ex, prog, pid, h)
	if err != nil {
		return err
	}
	s.hooks[pid] = append(s.hooks[pid], l)
	return nil
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

func (s *Session) link(ex *link.Executable, prog *ebpf.Program, pid int, h Hook) (link.Link, error) {
	cookie := uint64(h.Site.TStateArg)
	if !s.multi {
		o := &link.UprobeOptions{Address: h.Site.Offset, PID: pid, Cookie: cookie}
		if h.Return {
			return ex.Uretprobe(h.Site.Name, prog, o)
		}
		return ex.Uprobe(h.Site.Name, prog, o)
	}
	o := &link.UprobeMultiOptions{Addresses: []uint64{h.Site.Offset}, Cookies: []uint64{cookie}, PID: uint32(pid)}
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

// describe turns the layout into what the programs read.
func describe(p *cpython.Process, in cpython.Interpreter) bpfTarget {
	l := p.Layout
	name := l.CodeQualname
	if name == cpython.None {
		name = l.CodeName
	}
	return bpfTarget{
		Runtime: p.Runtime, Interp: in.Addr, Gil: in.GIL,
		CodeType: p.CodeType, CodeMask: l.CodeMask,
		GilShift: l.GILShift, DropBase: uint32(l.DropRequestBase), DropRequest: l.DropRequest,
		ThreadsHead: l.InterpThreadsHead, ThreadNext: l.ThreadNext,
		ThreadIdent: l.ThreadIdent, ThreadNativeId: l.ThreadNativeID, PthreadTid: p.PthreadTID,
		ThreadFrame: l.ThreadFrame, CframeCurrent: l.CFrameCurrent,
		FrameCode: l.FrameCode, FrameBack: l.FrameBack, FrameInstr: l.FrameInstr,
		InstrUnit: l.InstrUnit, FrameOwner: l.FrameOwner, OwnerMax: l.OwnerMaxValid,
		CodeFirstLine: l.CodeFirstLine, CodeFilename: l.CodeFilename, CodeName: name,
		CodeLineTable: l.CodeLineTable, CodeAdaptive: l.CodeAdaptive, ObType: l.ObType,
		Window: bit(l.InstrUnit == 0), // frames were objects of their own while f_lasti was a number
	}
}

func bit(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}
