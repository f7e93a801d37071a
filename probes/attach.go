package probes

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"

	"gilscope/internal/cpython"
)

// haveMulti asks the kernel for uprobe_multi links (6.6), which detach in
// milliseconds where perf uprobes take 120 ms each.
func haveMulti() bool { return features.HaveBPFLinkUprobeMulti() == nil }

// Place is an interpreter and its GIL, as records name it: by its index.
type Place struct{ Interp, GIL uint64 }

// MaxPlaces is how many interpreters of one process can be observed.
const MaxPlaces = 32

// Watch makes the process a target for scheduling and samples. Its GILs are not
// observed until Observe, or any more. With follow, its children become targets.
func (s *Session) Watch(pid int, follow bool) error {
	return s.put(pid, &bpfTarget{Tgid: uint32(pid), Follow: bit(follow)})
}

func (s *Session) put(pid int, t *bpfTarget) error {
	if err := s.objs.Targets.Update(uint32(pid), t, ebpf.UpdateAny); err != nil {
		return fmt.Errorf("record pid %d: %w: too many targets", pid, err)
	}
	return nil
}

// Forget ends the recording of the process.
func (s *Session) Forget(pid int) error {
	if err := s.objs.Targets.Delete(uint32(pid)); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("forget pid %d: %w", pid, err)
	}
	return errors.Join(s.Unhook(pid), s.UnhookRare(pid))
}

// Observe attaches the plan's hooks to the process and tells the programs where
// its GILs are. The known thread states spare the programs a search.
func (s *Session) Observe(p *cpython.Process, places []Place, plan Plan, follow bool) error {
	states, err := p.ThreadStates()
	if err != nil {
		return fmt.Errorf("observe pid %d: %w", p.PID, err)
	}
	for _, ts := range states {
		th := bpfThread{Tstate: ts.Addr, Place: placeOf(places, ts.Interp)}
		if err := s.objs.Threads.Update(uint32(ts.TID), &th, ebpf.UpdateAny); err != nil {
			return fmt.Errorf("observe pid %d: thread %d: %w", p.PID, ts.TID, err)
		}
	}
	if err := s.numberThreads(p); err != nil {
		return err
	}
	if err := s.Attach(p.PID, plan, follow); err != nil {
		return err
	}
	return s.Describe(p, places, follow)
}

// Describe tells the programs the layout and the GILs of a process, again when
// interpreters have come or gone.
func (s *Session) Describe(p *cpython.Process, places []Place, follow bool) error {
	t := describe(p)
	t.Follow = bit(follow)
	t.PlacesN = uint32(min(len(places), MaxPlaces))
	for i := range t.PlacesN {
		t.Places[i].Interp, t.Places[i].Gil = places[i].Interp, places[i].GIL
	}
	return s.put(p.PID, t)
}

// placeOf is the place that records name for an interpreter: the first one with its GIL.
func placeOf(places []Place, interp uint64) uint16 {
	for _, p := range places {
		if p.Interp != interp {
			continue
		}
		for i, q := range places {
			if q.GIL == p.GIL {
				return uint16(i)
			}
		}
	}
	return 0
}

// numberThreads tells the programs the host's numbers of the threads that run
// in a pid namespace of their own. Those to come, the programs see start.
func (s *Session) numberThreads(p *cpython.Process) error {
	for own, host := range p.HostTIDs() {
		key := bpfNsThread{Tgid: uint32(p.PID), Tid: uint32(own)}
		if err := s.objs.HostTids.Update(key, uint32(host), ebpf.UpdateAny); err != nil {
			return fmt.Errorf("observe pid %d: number thread %d: %w", p.PID, host, err)
		}
	}
	return nil
}

// describe turns the layout into what the programs read.
func describe(p *cpython.Process) *bpfTarget {
	l := p.Layout
	name := l.CodeQualname
	if name == cpython.None {
		name = l.CodeName
	}
	tasks := p.Tasks()
	return &bpfTarget{
		Tgid: uint32(p.PID), Level: uint32(p.NSLevel()),
		Runtime: p.Runtime, CodeType: p.CodeType, CodeMask: l.CodeMask,
		GilShift: l.GILShift, DropBase: uint32(l.DropRequestBase), DropRequest: l.DropRequest,
		ThreadsHead: l.InterpThreadsHead, ThreadNext: l.ThreadNext, ThreadInterp: l.ThreadInterp,
		ThreadIdent: l.ThreadIdent, ThreadNativeId: l.ThreadNativeID, PthreadTid: p.PthreadTID,
		ThreadFrame: l.ThreadFrame, CframeCurrent: l.CFrameCurrent,
		FrameCode: l.FrameCode, FrameBack: l.FrameBack, FrameInstr: l.FrameInstr,
		InstrUnit: l.InstrUnit, FrameOwner: l.FrameOwner, OwnerMax: l.OwnerMaxValid,
		CodeFirstLine: l.CodeFirstLine, CodeFilename: l.CodeFilename, CodeName: name,
		CodeTlbc: l.CodeTLBC, FrameTlbc: l.FrameTLBC, CondShift: condShift(p.Libc()),
		CodeLineTable: l.CodeLineTable, CodeAdaptive: l.CodeAdaptive, ObType: l.ObType,
		GcCollecting: l.GCCollecting, GcInRuntime: bit(l.GCInRuntime), RunningTask: tasks.Running,
		CurrentTasks: tasks.Current, TaskName: tasks.NameAt(), DictLog2: bit(l.CodeAdaptive != cpython.None), // both came with 3.11
		Window: bit(l.InstrUnit == 0), // frames were objects of their own while f_lasti was a number
	}
}

// condShift is how much lower than in glibc 2.36 the words lie on which threads
// sleep in a condition variable. The programs correct it by what they see.
func condShift(libc cpython.Libc) uint32 {
	major, minor, _ := strings.Cut(libc.Version, ".")
	if n, err := strconv.Atoi(minor); libc.Kind == cpython.Glibc && major == "2" && err == nil && n >= 41 {
		return 8
	}
	return 0
}

func bit(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}
