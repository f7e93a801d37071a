package cpython

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// Bounds of the lists that are walked in the target.
const (
	maxInterpreters = 1024
	maxThreads      = 65536
)

// Interpreter is one interpreter of the process.
type Interpreter struct {
	ID       int64
	Addr     uint64
	GIL      uint64        // address of its GIL; interpreters may share one
	Interval time.Duration // the switch interval of that GIL
}

// ThreadState is one Python thread as the interpreter knows it.
type ThreadState struct {
	Addr   uint64 // PyThreadState
	Interp uint64
	Ident  uint64 // pthread_t, threading.get_ident()
	TID    int32  // thread id as our /proc numbers it; 0 if unknown
}

// Interpreters lists the interpreters, the main one first. One that disappears
// during the walk ends the list early, without an error.
func (p *Process) Interpreters() ([]Interpreter, error) {
	l := &p.Layout
	main, err := p.interpreter(p.interp)
	if err != nil {
		return nil, fmt.Errorf("read the main interpreter of process %d: %w", p.PID, err)
	}
	list := []Interpreter{main}
	addr, err := p.word(p.Runtime + uint64(l.RuntimeInterpretersHead))
	seen := map[uint64]bool{p.interp: true}
	for err == nil && addr != 0 && len(list) < maxInterpreters {
		if !seen[addr] {
			i, err := p.interpreter(addr)
			if err != nil {
				break
			}
			if seen[addr] = true; i.GIL != 0 { // 0: being created or destroyed
				list = append(list, i)
			}
		} else if addr != p.interp {
			break // a cycle
		}
		addr, err = p.word(addr + uint64(l.InterpNext))
	}
	return list, p.Alive()
}

// InterpretersHead is the address of the newest interpreter. It changes when one
// is created, and is one read where Interpreters is many.
func (p *Process) InterpretersHead() (uint64, error) {
	return p.word(p.Runtime + uint64(p.Layout.RuntimeInterpretersHead))
}

// interpreter reads one PyInterpreterState.
func (p *Process) interpreter(addr uint64) (Interpreter, error) {
	i := Interpreter{Addr: addr}
	id, err := p.word(addr + uint64(p.Layout.InterpID))
	if err != nil {
		return i, err
	}
	i.ID = int64(id)
	if i.GIL, err = p.gilOf(addr); err != nil || i.GIL == 0 {
		return i, err
	}
	us, err := p.word(i.GIL + uint64(p.Layout.GILShift))
	if us <= maxInterval {
		i.Interval = time.Duration(us) * time.Microsecond
	}
	return i, err
}

// ThreadStates lists the Python threads of all interpreters. Threads may come
// and go meanwhile: the list then misses some, but ends.
func (p *Process) ThreadStates() ([]ThreadState, error) {
	interps, err := p.Interpreters()
	if err != nil {
		return nil, err
	}
	var all []ThreadState
	seen := map[uint64]bool{}
	for _, i := range interps {
		all = p.walkThreads(all, i.Addr, seen)
	}
	p.hostTIDs(all)
	return all, p.Alive()
}

// walkThreads appends the threads of one interpreter.
func (p *Process) walkThreads(all []ThreadState, interp uint64, seen map[uint64]bool) []ThreadState {
	l := &p.Layout
	size := max(l.ThreadNext, l.ThreadInterp, l.ThreadIdent) + 8
	if l.ThreadNativeID != None {
		size = max(size, l.ThreadNativeID+8)
	}
	b := make([]byte, size)
	addr, err := p.word(interp + uint64(l.InterpThreadsHead))
	for err == nil && addr != 0 && !seen[addr] && len(all) < maxThreads {
		seen[addr] = true
		if p.Read(addr, b) != nil || le64(b, l.ThreadInterp) != interp {
			break // freed under our eyes
		}
		t := ThreadState{Addr: addr, Interp: interp, Ident: le64(b, l.ThreadIdent)}
		if l.ThreadNativeID != None {
			t.TID = int32(le64(b, l.ThreadNativeID))
		} else {
			t.TID = p.tidOf(t.Ident)
		}
		all = append(all, t)
		addr = le64(b, l.ThreadNext)
	}
	return all
}

// tidOf reads the thread id out of glibc's struct pthread, 0 if that fails.
func (p *Process) tidOf(ident uint64) int32 {
	var b [4]byte
	if p.PthreadTID == None || ident == 0 || p.Read(ident+uint64(p.PthreadTID), b[:]) != nil {
		return 0
	}
	return int32(le32(b[:], 0))
}

// Where glibc keeps the tid in struct pthread (2.4-2.43, x86-64), and how much
// of that struct is searched where it does not.
const (
	usualPthreadTID = 720
	searchedPthread = 2304
)

// findPthreadTID finds where glibc keeps the tid in struct pthread: at the usual
// place, else wherever the main thread's tid stands. The usual place is tried on
// all threads first: in a container the main thread's tid is 1, which stands anywhere.
func (p *Process) findPthreadTID() uint32 {
	own := p.NSPID()
	threads := p.walkThreads(nil, p.interp, map[uint64]bool{})
	b := make([]byte, searchedPthread)
	for _, t := range threads {
		if t.Ident != 0 && p.Read(t.Ident, b[:usualPthreadTID+4]) == nil && int32(le32(b, usualPthreadTID)) == own {
			return usualPthreadTID
		}
	}
	for _, t := range threads {
		if t.Ident == 0 || p.Read(t.Ident, b) != nil {
			continue
		}
		for off := uint32(0); off+4 <= searchedPthread; off += 4 {
			if int32(le32(b, off)) == own {
				return off
			}
		}
	}
	return None
}

// hostTIDs turns thread ids of the target's pid namespace into ours. Outside
// of containers the two are the same and nothing is read.
func (p *Process) hostTIDs(threads []ThreadState) {
	if p.NSLevel() == 0 {
		return
	}
	host := p.HostTIDs()
	for i := range threads {
		threads[i].TID = host[threads[i].TID]
	}
}

// NSLevel is how many pid namespaces below ours the process is; 0: it is in ours.
func (p *Process) NSLevel() int { return max(len(nsIDs(p.PID, p.PID))-1, 0) }

// NSPID is the pid of the process in its own pid namespace, 0 if it is gone.
func (p *Process) NSPID() int32 {
	if ids := nsIDs(p.PID, p.PID); len(ids) > 0 {
		return ids[len(ids)-1]
	}
	return 0
}

// HostTIDs maps the thread ids of a process in a pid namespace of its own, as
// that numbers them, to ours. It is empty for a process in our namespace.
func (p *Process) HostTIDs() map[int32]int32 {
	host := map[int32]int32{}
	if p.NSLevel() == 0 {
		return host
	}
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", p.PID))
	if err != nil {
		return host
	}
	for _, t := range tasks[:min(len(tasks), maxThreads)] {
		tid, err := strconv.Atoi(t.Name())
		if ids := nsIDs(p.PID, tid); err == nil && len(ids) > 0 {
			host[ids[len(ids)-1]] = int32(tid)
		}
	}
	return host
}

// nsIDs returns the NSpid line of a thread: its ids from our pid namespace
// down to its own.
func nsIDs(pid, tid int) []int32 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/status", pid, tid))
	if err != nil {
		return nil
	}
	_, rest, ok := bytes.Cut(b, []byte("\nNSpid:"))
	if !ok {
		return nil
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	var ids []int32
	for _, f := range bytes.Fields(line) {
		if id, err := strconv.ParseInt(string(f), 10, 32); err == nil {
			ids = append(ids, int32(id))
		}
	}
	return ids
}
