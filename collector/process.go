package collector

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"gilscope/internal/cpython"
	"gilscope/internal/trace"
	"gilscope/probes"
)

// process is one target.
type process struct {
	pid        int32
	py         *cpython.Process // nil until its interpreter is found
	places     []place          // its interpreters, as records name them; none until they are observed
	head       uint64           // cpython.InterpretersHead when places was made
	plan       probes.Plan
	level      level
	charged    uint64     // hits of its probes that the meter has
	since      trace.Time // when places was made
	threads    map[int32]*thread
	stacks     *stacks
	tasks      cpython.Tasks
	use        cpuUse
	locks      *lockObjects // nil: no thread has waited for a lock yet
	deadlocks  deadlocks
	orders     lockOrders
	parent     int32
	method     string // how it was started, see trace.NoteStarted; "" if it ran before
	role       string
	name       string          // of its program
	given      bool            // one of those that the user named, not a child of them
	naming     int             // how often names are still to be read
	flows      uint64          // hand-offs so far; an exec does not end the process, so their names go on
	looked     trace.Time      // when its present program was looked into: earlier execs are history
	toggling   bool            // whether its GIL is in use seems to have changed since the last look
	toggled    trace.Time      // when that was first seen
	turnedOn   turnedOn        // what may have changed it
	rarePlan   probes.Plan     // the probes on functions that run seldom
	rares      rareHits        // how often these were hit
	rare       map[uint32]bool // the functions that run seldom on which there are probes
	executors  []*executor     // those that have workers
	made       uint16          // how many there were
	fresh      []*thread       // threads of which it is not known yet whether they are workers
	search     time.Time       // when these are looked at next
	unassigned []*thread       // workers whose executor is not known yet
	stub       bool            // a launched command that has not become itself yet: what it does is ours, not the command's
	ending     int             // of threads, those that have ended
	exited     bool
	refused    bool      // and exited: the caller may not trace it
	over       time.Time // when forget first met it exited
	gone       time.Time // when it was first seen to have ended without a record of it
	status     uint32    // as wait(2) has it, once exited
}

// thread returns a known thread, or nil.
func (p *process) thread(tid int32) *thread { return p.threads[tid] }

// newProcess makes an empty target.
func newProcess(pid int32) *process { return &process{pid: pid, threads: map[int32]*thread{}} }

// maxThreads bounds what is kept of one process; more is no process but an attack.
const maxThreads = 1 << 16

// nameTries is how often names are read after a thread came: Python names it
// only once it has the GIL, which may take some waits.
const nameTries = 5

// join returns the thread, new or known.
func (p *process) join(tid int32) *thread {
	t := p.threads[tid]
	if t == nil && len(p.threads) < maxThreads {
		t = &thread{tid: tid, proc: p}
		p.threads[tid] = t
		p.naming = nameTries
		if len(p.fresh) < maxFresh {
			p.fresh = append(p.fresh, t)
		}
	}
	return t
}

// tasks lists the threads of a process as the kernel has them.
func tasks(pid int) ([]int32, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return nil, fmt.Errorf("list threads of pid %d: %w: the process is gone", pid, err)
	}
	var tids []int32
	for _, e := range entries {
		if n, err := strconv.ParseInt(e.Name(), 10, 32); err == nil {
			tids = append(tids, int32(n))
		}
	}
	return tids, nil
}

// names returns the best name of each thread: Python's where it has one that
// says more than the kernel's, which before 3.14 is that of the process. With it
// comes what else the Thread object says, if there is one.
func (p *process) names() map[int32]cpython.ThreadObject {
	names := map[int32]cpython.ThreadObject{}
	for tid := range p.threads {
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/comm", p.pid, tid))
		if err == nil {
			names[tid] = cpython.ThreadObject{Name: strings.TrimSuffix(string(comm), "\n")}
		}
	}
	if p.py == nil {
		return names
	}
	states, err := p.py.ThreadStates()
	if err != nil {
		return names
	}
	python, err := p.py.ThreadObjects()
	if err != nil {
		return names
	}
	for _, ts := range states {
		// A child has the thread states of its parent until it has put its own house in order.
		if is := python[ts.Ident]; is.Name != "" && p.threads[ts.TID] != nil {
			names[ts.TID] = is
		}
	}
	return names
}

// executable is the base name of the process's program; never its arguments.
func executable(pid int) string {
	path, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return "pid " + strconv.Itoa(pid)
	}
	return strings.TrimSuffix(filepath.Base(path), " (deleted)")
}

// parent reads the parent's pid from /proc/PID/stat, 0 if it cannot.
func parent(pid int) int32 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 2 {
		return 0
	}
	n, _ := strconv.ParseInt(fields[1], 10, 32)
	return int32(n)
}
