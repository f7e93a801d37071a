package trace

// LockKind says what a thread waits for that sleeps on a word that is not the GIL's.
type LockKind uint8

// Lock kinds. A wait for a Condition, a queue and the like is one for another
// thread to do something, not for a lock that is held: see Own.
const (
	LockUnknown     LockKind = iota
	LockLock                 // threading.Lock
	LockRLock                // threading.RLock
	LockSemaphore            // threading.Semaphore, or one of multiprocessing
	LockImport               // an import lock (importlib._bootstrap)
	LockLogging              // that of a logging handler or of the logging module
	LockShared               // a semaphore in memory that processes share (multiprocessing)
	LockList                 // that of a list: free-threaded builds have one in each object,
	LockDict                 // of a dict,
	LockSet                  // of a set,
	LockType                 // of a type, or the one of all types,
	LockObject               // and of an object of another type
	LockInterpreter          // one of the interpreter's own (free-threaded builds)
	LockCondition            // Condition.wait
	LockEvent                // Event.wait
	LockBarrier              // Barrier.wait
	LockQueue                // queue.Queue, SimpleQueue
	LockJoin                 // Thread.join
	LockFuture               // concurrent.futures: Future.result, wait
	LockStopped              // until the world goes on: another thread has stopped all (free-threaded builds)
	LockStopping             // for all others to stop, or for another thread that has stopped the world
)

var lockKindNames = []string{
	LockUnknown: "unknown", LockLock: "Lock", LockRLock: "RLock", LockSemaphore: "Semaphore", LockImport: "import", LockLogging: "logging",
	LockShared: "shared", LockList: "list", LockDict: "dict", LockSet: "set", LockType: "type", LockObject: "object", LockInterpreter: "interpreter",
	LockStopped: "stop-the-world", LockStopping: "stopping-the-world",
	LockCondition: "Condition", LockEvent: "Event", LockBarrier: "Barrier",
	LockQueue: "queue", LockJoin: "join", LockFuture: "future",
}

// String is the kind's name in the text form and in reports.
func (k LockKind) String() string {
	if int(k) < len(lockKindNames) {
		return lockKindNames[k]
	}
	return lockKindNames[LockUnknown]
}

// Own says that the address of a wait for this kind is that of the lock, which a
// thread holds. Of the others each wait has a lock of its own, and is one for
// another thread to do something: it may last long in a program that has nothing to do.
func (k LockKind) Own() bool { return k <= LockInterpreter && k != LockSemaphore }
