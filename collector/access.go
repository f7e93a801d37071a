package collector

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"gilscope/internal/trace"
	"gilscope/probes"
)

// ErrAccess says that the caller may not trace the process.
var ErrAccess = fmt.Errorf("%w: not permitted to trace it", ErrTarget)

// mayTrace returns ErrAccess if the caller may not trace the process. BPF
// programs see every process, so nothing else would ask. The rule is the
// kernel's (ptrace(2), access mode PTRACE_MODE_ATTACH_REALCREDS), and the kernel
// decides: after LimitToCaller we have CAP_SYS_PTRACE only if the caller has it.
func mayTrace(pid int) error {
	if !errors.Is(tryRead(pid), unix.EPERM) {
		return nil // an ended process is told of where that is noticed
	}
	return fmt.Errorf("pid %d: %w: %s", pid, ErrAccess, whyNot(pid))
}

// tryRead reads memory of a process at an address that is never mapped:
// permission is checked before the address. Allowed is what ends with EFAULT.
func tryRead(pid int) error {
	var b [8]byte
	local := []unix.Iovec{{Base: &b[0], Len: uint64(len(b))}}
	remote := []unix.RemoteIovec{{Base: uintptr(len(b)), Len: len(b)}}
	_, err := unix.ProcessVMReadv(pid, local, remote, 0)
	return err
}

// whyNot says what forbids tracing, as far as that can be seen, and the remedy.
func whyNot(pid int) string {
	own := os.Getuid()
	remedy := "run gilscope as root (sudo)"
	if own == 0 {
		remedy = "grant CAP_SYS_PTRACE"
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	uids := strings.Fields(fields(string(b))["Uid"]) // real, effective, saved, of the file system
	if err == nil && len(uids) == 4 {
		for _, uid := range uids[:3] {
			if uid != fmt.Sprint(own) {
				return fmt.Sprintf("it runs as uid %s, its recorder as uid %d; %s", uid, own, remedy)
			}
		}
	}
	return "it has privileges of its own, or kernel.yama.ptrace_scope forbids it; " + remedy
}

// recheck ends the recording of processes that the caller may trace no more: by
// setuid(2), or by an exec, they became somebody else's.
func (s *session) recheck() {
	for _, p := range s.d.procs {
		if !p.exited && !p.stub {
			s.admit(p)
		}
	}
}

// admit says whether the process may be recorded, and ends its recording if not.
func (s *session) admit(p *process) bool {
	err := mayTrace(int(p.pid))
	if err != nil {
		s.prog.note(s.o.Words, fmt.Sprintf("warning: not recorded further: %v", err))
		s.refuse(p)
	}
	return err == nil
}

// refuse ends the recording of a process that must not be recorded. It remains
// known, since its children may be targets already.
func (s *session) refuse(p *process) {
	s.d.close(p, now(), trace.WaitUnknown)
	for tid, t := range p.threads {
		if s.d.tids[tid] == t {
			delete(s.d.tids, tid)
		}
	}
	clear(p.threads)
	p.exited, p.refused = true, true
	s.release(p)
}

// refused takes a record of a process that must not be recorded. Its children
// became targets, if the fork came before we could tell the programs.
func (s *session) refused(r probes.Record) {
	if r.Kind != probes.KindFork || r.Flags&probes.FlagFollowed == 0 {
		return
	}
	c := newProcess(int32(r.Arg))
	c.exited, c.refused = true, true
	s.d.procs[c.pid] = c
	if err := s.probes.Forget(int(c.pid)); err != nil {
		s.prog.note(s.o.Words, fmt.Sprintf("warning: pid %d: detach: %v", c.pid, err))
	}
}
