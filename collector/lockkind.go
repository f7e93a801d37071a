package collector

import (
	"path"
	"strings"

	"gilscope/internal/trace"
)

// pythonFrame is one frame by its names.
type pythonFrame struct{ function, file string }

// kindDepth is how many of the innermost frames tell what a thread waits for.
const kindDepth = 4

// newFrame keeps of a frame what waitKind looks at.
func newFrame(function, file string) pythonFrame {
	dir, base := path.Split(file)
	switch path.Base(dir) {
	case "concurrent", "futures", "logging", "multiprocessing":
		base = path.Base(dir) + "/" + base
	}
	return pythonFrame{function[strings.LastIndexByte(function, '.')+1:], base}
}

// waitKind tells from the innermost frames, leaf first, what a thread waits for
// that sleeps for a lock: threading, queue and the like are Python code, in which a
// few functions wait (Lib/threading.py, queue.py, concurrent/futures, logging). In code of
// others it is LockUnknown: there, the lock itself tells.
func waitKind(frames []pythonFrame) trace.LockKind {
	var f [kindDepth]pythonFrame
	copy(f[:], frames)
	switch {
	case f[0].file == "threading.py":
		return threadingKind(f)
	case f[0].file == "<frozen importlib._bootstrap>":
		return trace.LockImport
	case strings.HasPrefix(f[0].file, "logging/"):
		return trace.LockLogging
	case strings.HasPrefix(f[0].file, "multiprocessing/"):
		return sharedKind(f)
	case f[0].file == "futures/thread.py" && f[0].function == "_worker":
		return trace.LockQueue
	}
	return trace.LockUnknown
}

// sharedKind is waitKind for a leaf in multiprocessing: what its classes wait for others to do, and
// LockShared where it may be a lock or a semaphore, which the object tells (Lib/multiprocessing/synchronize.py, queues.py).
func sharedKind(f [kindDepth]pythonFrame) trace.LockKind {
	const synchronize, queues = "multiprocessing/synchronize.py", "multiprocessing/queues.py"
	switch {
	case f[0].file == queues && (f[0].function == "get" || f[0].function == "put"), // for something to get, or for room
		f[0].function == "__enter__" && f[1].file == queues && f[1].function == "get":
		return trace.LockQueue
	case f[0].file != synchronize || f[0].function != "wait" && f[0].function != "notify":
		return trace.LockShared
	case f[1].file == synchronize && f[1].function == "wait":
		return trace.LockEvent
	case f[1].file == synchronize && f[1].function == "wait_for" && f[2].file == "threading.py":
		return trace.LockBarrier
	}
	return trace.LockCondition
}

// threadingKind is waitKind for a leaf in threading.py.
func threadingKind(f [kindDepth]pythonFrame) trace.LockKind {
	switch f[0].function {
	case "_wait_for_tstate_lock", "join", "_shutdown":
		return trace.LockJoin
	case "wait":
	default:
		return trace.LockUnknown // a lock that a Condition, say, has for itself
	}
	caller := f[1]
	if caller.file == "threading.py" && caller.function == "wait_for" {
		caller = f[2]
		if caller.file == "threading.py" {
			return trace.LockBarrier
		}
		return trace.LockCondition
	}
	switch {
	case caller.file == "queue.py", caller.file == "multiprocessing/queues.py":
		return trace.LockQueue
	case strings.HasPrefix(caller.file, "futures/"):
		return trace.LockFuture
	case caller.file != "threading.py":
		return trace.LockCondition
	}
	switch caller.function {
	case "acquire", "__enter__":
		return trace.LockSemaphore
	case "_wait":
		return trace.LockBarrier
	case "wait":
		if strings.HasPrefix(f[2].file, "futures/") {
			return trace.LockFuture
		}
		return trace.LockEvent
	}
	return trace.LockCondition
}
