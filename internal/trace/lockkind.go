package trace

// LockKind says what a thread waits for that sleeps on a word that is not the GIL's.
type LockKind uint8

// Lock kinds. A wait for a Condition, a queue and the like is one for another
// thread to do something, not for a lock that is held: see Own.
const (
	LockUnknown   LockKind = iota
	LockLock               // threading.Lock
	LockRLock              // threading.RLock
	LockSemaphore          // threading.Semaphore
	LockImport             // an import lock (importlib._bootstrap)
	LockLogging            // that of a logging handler or of the logging module
	LockShared             // a semaphore in memory that processes share (multiprocessing)
	LockObject             // that of an object of another type (free-threaded builds)
	LockCondition          // Condition.wait
	LockEvent              // Event.wait
	LockBarrier            // Barrier.wait
	LockQueue              // queue.Queue, SimpleQueue
	LockJoin               // Thread.join
	LockFuture             // concurrent.futures: Future.result, wait
)

var lockKindNames = []string{
	LockUnknown: "unknown", LockLock: "Lock", LockRLock: "RLock", LockSemaphore: "Semaphore", LockImport: "import", LockLogging: "logging",
	LockShared: "shared", LockObject: "object", LockCondition: "Condition", LockEvent: "Event", LockBarrier: "Barrier",
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
func (k LockKind) Own() bool { return k <= LockObject && k != LockSemaphore }
