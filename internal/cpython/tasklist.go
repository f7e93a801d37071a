package cpython

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Bounds of what is read of tasks.
const (
	maxTasks     = 1 << 14
	maxTaskTries = 64
)

// Errors of PendingTasks beside those of all reads. Their texts are reasons, for people.
var (
	errNoTasks    = fmt.Errorf("the tasks of this version cannot be read: %w", ErrUnsupported)
	errOtherTask  = fmt.Errorf("there are tasks of a class other than asyncio's: %w", ErrUnsupported)
	errManyTasks  = fmt.Errorf("there are more than %d tasks: %w", maxTasks, ErrUnsupported)
	errTasksMoved = errors.New("the tasks changed each time they were read")
)

// Task is a task that is not done, or one that ended with an exception which nobody has asked for.
type Task struct {
	Addr, Loop, Coro uint64
	Phase            TaskPhase
	Frames           []TaskFrame // outermost coroutine first; none if the task runs, or its coroutine is no function of Python. Of one that failed: its traceback
	Raised           string      // the class of the exception

	exception uint64
}

// TaskFrame is where one coroutine of a task stands.
type TaskFrame struct {
	Code  CodeKey
	Lasti int32
}

// TaskPhase says what a task is about.
type TaskPhase uint8

// Phases of tasks.
const (
	TaskWaits TaskPhase = iota // for a future
	TaskReady                  // to run, also if it never ran
	TaskRuns
	TaskFailed // it is done, and its exception is lost unless somebody still asks for it
)

// PendingTasks reads all tasks of the process that are not done; with chains, those
// that failed unheard, too, as long as something keeps them. The process
// goes on meanwhile, so what is read counts only if a second reading found the
// same: then it was so at the moment between the two. It tries for some time, twice at
// least. An error says why nothing is known. Without chains, which take most of the time,
// tasks have no frames.
func (p *Process) PendingTasks(t Tasks, chains bool, within time.Duration) ([]Task, error) {
	if !t.known {
		return nil, errNoTasks
	}
	states, err := p.ThreadStates()
	if err != nil {
		return nil, err
	}
	r := taskReader{p: p, t: t, chains: chains, states: states, kinds: map[uint64]objectKind{}}
	if err := r.locate(); err != nil {
		return nil, err
	}
	begun := time.Now()
	before, wrong := r.read()
	for n := 0; n < maxTaskTries && (n == 0 || time.Since(begun) < within); n++ {
		after, err := r.read()
		if err == nil && wrong == nil && slices.EqualFunc(before, after, sameTask) {
			return after, r.identify(after)
		}
		if before, wrong = after, err; errors.Is(err, ErrGone) || errors.Is(err, ErrPermission) {
			return nil, err
		}
		if wrong != nil {
			clear(r.kinds) // what was read of a class may be wrong, too
		}
	}
	return nil, cmp.Or(wrong, errTasksMoved)
}

func sameTask(a, b Task) bool {
	return a.Addr == b.Addr && a.Loop == b.Loop && a.Coro == b.Coro && a.Phase == b.Phase && a.exception == b.exception && a.Raised == b.Raised && slices.Equal(a.Frames, b.Frames)
}

// taskReader reads tasks, in few system calls for many of them: the fewer, the
// likelier that nothing changes meanwhile.
type taskReader struct {
	p     *Process
	t     Tasks
	heads []uint64 // of the lists of tasks
	refs  []uint64 // sets of weak references to tasks
	sets  []uint64 // sets of tasks

	chains bool
	states []ThreadState
	kinds  map[uint64]objectKind // by type
}

// locate finds where the tasks of each interpreter stand; that does not change.
func (r *taskReader) locate() error {
	seen := map[uint64]bool{}
	for _, ts := range r.states {
		if r.t.task.linked {
			r.heads = append(r.heads, ts.Addr+uint64(r.t.task.threadHead))
		}
		if seen[ts.Interp] {
			continue
		}
		seen[ts.Interp] = true
		if r.t.task.linked {
			r.heads = append(r.heads, ts.Interp+uint64(r.t.task.interpHead))
		}
		module, err := r.p.moduleDict(ts.Interp, "asyncio.tasks")
		if err != nil {
			return err
		}
		for _, name := range []string{"_all_tasks", "_scheduled_tasks"} { // to 3.11, and since
			if err := r.weakSet(module, name); err != nil {
				return err
			}
		}
		eager, err := r.p.lookup(module, "_eager_tasks")
		if err != nil {
			return err
		}
		if eager != 0 {
			r.sets = append(r.sets, eager)
		}
	}
	return nil
}

// weakSet finds the set in a WeakSet of the module.
func (r *taskReader) weakSet(module []dictEntry, name string) error {
	set, err := r.p.lookup(module, name)
	if err != nil || set == 0 {
		return err
	}
	if r.p.typeName(set) != "WeakSet" {
		return errNoTasks
	}
	data, err := r.p.instanceAttribute(set, "data", map[uint64]uint64{})
	if err != nil {
		return err
	}
	r.refs = append(r.refs, data)
	return nil
}

// read reads all tasks once.
func (r *taskReader) read() ([]Task, error) {
	var all, refs []uint64
	var err error
	for _, set := range r.refs {
		if refs, err = r.set(refs, set); err != nil {
			return nil, err
		}
	}
	for i := range refs {
		refs[i] += firstField
	}
	if all, err = r.words(refs); err != nil {
		return nil, err
	}
	for _, set := range r.sets {
		if all, err = r.set(all, set); err != nil {
			return nil, err
		}
	}
	for _, head := range r.heads {
		if all, err = r.linked(all, head); err != nil {
			return nil, err
		}
	}
	slices.Sort(all)
	tasks, failed, err := r.pending(slices.Compact(all))
	if err != nil {
		return nil, err
	}
	if err := r.follow(tasks); err != nil || !r.chains {
		return tasks, err
	}
	for i := range failed {
		if err := r.raised(&failed[i], i < maxFailed); err != nil {
			return nil, err
		}
	}
	return append(tasks, failed...), nil
}

// linked appends the tasks of a list (struct llist_node: next, prev).
func (r *taskReader) linked(all []uint64, head uint64) ([]uint64, error) {
	var b [16]byte
	if err := r.p.Read(head, b[:]); err != nil {
		return nil, err
	}
	prev, node := head, le64(b[:], 0)
	for node != head && node != 0 { // 0: asyncio has not been imported
		if len(all) >= maxTasks {
			return nil, errManyTasks
		}
		if err := r.p.Read(node, b[:]); err != nil {
			return nil, err
		}
		if le64(b[:], 8) != prev {
			return nil, errTasksMoved
		}
		all = append(all, node-uint64(r.t.task.node))
		prev, node = node, le64(b[:], 0)
	}
	return all, nil
}

// set appends the elements of a set (PySetObject: a table of key and hash, in
// which -1 is the hash of what was removed).
func (r *taskReader) set(all []uint64, set uint64) ([]uint64, error) {
	o := &r.p.objects
	if r.p.typeName(set) != "set" {
		return nil, errNoTasks
	}
	b := make([]byte, o.setTable+8)
	if err := r.p.Read(set, b); err != nil {
		return nil, err
	}
	slots, table := le64(b, o.setMask)+1, le64(b, o.setTable)
	if slots == 0 || slots > 16*maxTasks {
		return nil, errManyTasks
	}
	raw := make([]byte, 16*slots)
	if err := r.p.Read(table, raw); err != nil {
		return nil, err
	}
	for ; len(raw) > 0; raw = raw[16:] {
		if key := le64(raw, 0); key != 0 && int64(le64(raw, 8)) != -1 {
			all = append(all, key)
		}
	}
	if len(all) > maxTasks {
		return nil, errManyTasks
	}
	return all, nil
}

// alive keeps, of objects that are or were tasks, the tasks.
func (r *taskReader) alive(objects []uint64) ([]uint64, error) {
	kinds, err := r.kindsOf(objects)
	if err != nil {
		return nil, err
	}
	at := make([]uint64, 0, len(objects))
	for i, addr := range objects {
		switch kinds[i] {
		case kindTask:
			at = append(at, addr)
		case kindNone: // a weak reference to what is gone
		default:
			return nil, errOtherTask
		}
	}
	return at, nil
}

// pending reads objects that are or were tasks, and returns the tasks that are not done, and those
// that failed.
func (r *taskReader) pending(objects []uint64) (tasks, failed []Task, err error) {
	at, err := r.alive(objects)
	if err != nil {
		return nil, nil, err
	}
	l := &r.t.task
	blocks, err := r.blocks(at, max(l.state, l.waiter, l.coro, l.name, taskLoop)+8)
	if err != nil {
		return nil, nil, err
	}
	for i, b := range blocks {
		t := Task{Addr: at[i], Loop: le64(b, taskLoop), Coro: le64(b, l.coro), Phase: TaskReady, exception: le64(b, taskRaised)}
		switch state := le32(b, l.state); {
		case state == stateDone && b[l.logTB]&1 != 0 && t.exception != 0:
			t.Phase = TaskFailed
			failed = append(failed, t)
			continue
		case state != statePending:
			continue
		case t.Coro == 0 || t.Loop == 0: // being made, or destroyed
			return nil, nil, errTasksMoved
		case le64(b, l.waiter) != 0:
			t.Phase = TaskWaits
		}
		tasks = append(tasks, t)
	}
	return tasks, failed, nil
}
