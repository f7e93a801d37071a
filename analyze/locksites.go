package analyze

import (
	"path"
	"slices"
	"strings"

	"gilscope/internal/trace"
)

// lockModules are the files of the standard library in which waiting for a lock
// is nobody's fault: the line of who called them says more.
var lockModules = []string{"threading.py", "queue.py", "<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>", "importlib/__init__.py", "logging/__init__.py",
	"futures/_base.py", "futures/thread.py", "multiprocessing/synchronize.py", "multiprocessing/queues.py"}

// site caches userSite.
func (l *lockReader) site(stack trace.StackID) Site {
	s, ok := l.sites[stack]
	if !ok {
		s = l.tl.userSite(stack)
		l.sites[stack] = s
	}
	return s
}

// userSite is the line of a stack that waits or gives back: the innermost one outside
// of lockModules; where there is none, the innermost of all.
func (tl *Timeline) userSite(stack trace.StackID) Site {
	t := tl.Trace
	if int(stack) >= len(t.Stacks) {
		return Site{}
	}
	for _, id := range t.Stacks[stack] {
		if int(id) >= len(t.Frames) || t.Frames[id].Native() {
			continue
		}
		f := t.Frames[id]
		file := stringOf(t, f.File)
		dir, base := path.Split(file)
		if !slices.Contains(lockModules, base) && !slices.Contains(lockModules, path.Join(path.Base(dir), base)) {
			return Site{Function: stringOf(t, f.Function), File: file, Line: f.Line}
		}
	}
	return tl.Sites[tl.SiteOf(stack)]
}

// siteRow is a site as the report writes it; nil for "not known".
func (s Site) siteRow() *SiteRow {
	if s == (Site{}) {
		return nil
	}
	return &SiteRow{Function: known(s.Function), File: known(s.File), Line: known(s.Line), Native: known(s.Native)}
}

// lockName is how texts call a lock.
func (r *LockRow) lockName() string {
	if r.Address == nil {
		return r.Kind
	}
	if r.Kind == trace.LockUnknown.String() {
		return "the lock " + *r.Address
	}
	return strings.Join([]string{"the", r.Kind, *r.Address}, " ")
}

// LockStacks is the time waited for locks that threads hold, by the waiter's stack.
func (tl *Timeline) LockStacks() []StackWeight {
	ws := weights{}
	tl.eachLockWait(func(begin, e *trace.Event, i int) {
		if !begin.Lock.Own() || int(begin.Stack) >= len(tl.Trace.Stacks) {
			return
		}
		if thread, ok := tl.threadAt(e.PID, e.TID, begin.Time); ok {
			ws.add(stackKey{thread, begin.Stack, tl.SiteOf(begin.Stack)}, i, int64(e.Time-begin.Time))
		}
	})
	return ws.sorted()
}

// eachLockWait calls do for the waits for locks whose begin and end are in the trace, in
// order of their ends; at is where in the events that is.
func (tl *Timeline) eachLockWait(do func(begin, end *trace.Event, at int)) {
	open := map[uint64]*trace.Event{}
	for i := range tl.Trace.Events {
		e := &tl.Trace.Events[i]
		switch key := threadKey(e.PID, e.TID); e.Kind {
		case trace.LockWaitBegin:
			open[key] = e
		case trace.LockWaitEnd:
			if begin := open[key]; begin != nil {
				delete(open, key)
				do(begin, e, i)
			}
		}
	}
}
