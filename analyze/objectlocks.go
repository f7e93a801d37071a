package analyze

import (
	"slices"

	"gilscope/internal/trace"
)

// ofObject says of a kind whether it is the lock that an object of a free-threaded build has for itself.
func ofObject(kind string) bool {
	return slices.ContainsFunc([]trace.LockKind{trace.LockList, trace.LockDict, trace.LockSet, trace.LockType, trace.LockObject}, func(k trace.LockKind) bool { return k.String() == kind })
}

// lockAdvice says what to do about waits for a lock of that kind.
func lockAdvice(kind string) string {
	switch {
	case kind == trace.LockType.String():
		return "Types have one lock: change classes, and what they keep as attributes of the class, before the threads begin."
	case ofObject(kind):
		return "Without a GIL each object has a lock, which is held while it is changed, copied or sorted. Give each thread a " + kind + " of its own and join them at the end, or change it in fewer, larger steps."
	case kind == trace.LockInterpreter.String():
		return "It is a lock of the interpreter's own. See on which line threads wait, and do what needs it less often, or before the threads begin."
	}
	return "Hold the lock for shorter: compute, log and do I/O outside of the with statement; or give each thread data of its own and join it at the end."
}
