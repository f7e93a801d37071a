// Package trace owns the recording: the event kinds and their one table, the
// Perfetto writer, the lossless reader, the text form and the validator.
//
// A recording is a Perfetto trace (ui.perfetto.dev opens it unchanged) and
// nothing else; there is no second format. Everything the program knows about
// how an event looks in the file stands in the Specs table: the writer, the
// reader, the text form and Validate are driven by it.
package trace

// Time is nanoseconds of CLOCK_BOOTTIME, the clock of every event.
type Time int64

// StackID names a stack of the recording; 0 is "no stack".
type StackID uint32

// FrameID names a frame of the recording; 0 is "no frame".
type FrameID uint32

// StringID names a string of the recording; 0 is the empty string.
type StringID uint32

// Thread ids with a meaning of their own in scheduling events.
const (
	IdleTID  = 0       // the CPU is idle
	OtherTID = 1 << 30 // some thread that is not a target's; all of them look the same
)

// Event is one thing that happened: a fixed-size value without pointers, so
// that millions of them cost the collector of garbage nothing. Which fields a
// kind uses, and what they mean there, is its row in Specs; the others are 0.
type Event struct {
	Time  Time
	Arg   int64   // by kind: an enum value, a count, a CPU, a scheduler state
	Flow  uint64  // hand-off number, on the end of one hold and the begin of the next; 0: none
	PID   int32   // process, as the host numbers it
	TID   int32   // thread, as the host numbers it
	Other int32   // the other thread of the matter (the holder, seen from a waiter); 0: nobody, or not known
	Stack StackID // Python stack, leaf first; whose, is said by the kind
	CPU   uint16
	GIL   uint16 // interpreter number; 0 is the main interpreter. Of events of an executor: its number
	Kind  Kind
	Lock  LockKind // of what TID waits for, in kinds about locks
}

// Kind says what an Event is. Append only: text traces name kinds, files do not number them.
type Kind uint8

// The event kinds. Their rows stand in Specs.
const (
	NoKind         Kind = iota
	SchedSwitch         // CPU switched to TID (IdleTID, OtherTID or a target's); Arg: raw state of the thread that left
	SchedWaking         // on CPU somebody made TID runnable; Arg: CPU it is to run on
	CPUSample           // PID/TID was on CPU; Stack: its stack (native leaf first, if known); Arg: CPUMode
	GILWaitBegin        // TID begins to wait; Other: holder at that moment; Stack: the waiter's
	GILWaitEnd          // TID stops waiting; Arg: WaitOutcome
	GILHoldBegin        // TID took the GIL (detail full); Stack: where; Flow: hand-off that gave it
	GILHoldEnd          // TID dropped the GIL; Arg: DropReason; Flow: hand-off to the next taker
	GILHolder           // from now on TID holds the GIL, as far as known; 0: nobody (free, or being handed over)
	GILDropRequest      // TID's switch interval expired, it asked Other to drop; Stack: Other's
	GILHolderSeen       // TID saw Other holding the GIL; Stack: Other's; Arg: SeenAt
	GILWaiters          // counter: Arg threads wait for the GIL from now on
	GILBusy             // counter: the GIL was held for Arg percent of the time up to the next value
	ThreadStart         // TID was created by the thread Arg (0: not known); Stack: the creator's; Other: depth in Stack of the frame to name
	ThreadExit          // TID ended; Arg: ThreadEnd
	LoopBlockBegin      // an iteration of TID's event loop that is a block; Arg: BlockCause; Stack: most of it; Other: depth in Stack of the frame to name
	LoopBlockEnd        // it ends; Arg: BlockEnd
	LoopBusyShare       // counter: TID's loop was busy for Arg percent of the time since the value before
	LoopBusy            // counter: and for so many ns,
	LoopIdle            // counter: waited for so many ns,
	LoopIterations      // counter: in so many iterations,
	LoopEvents          // counter: got so many events,
	LoopLate            // counter: and came so many ns late to its earliest timer, in the worst case
	// Of an executor, of the process's that GIL numbers, from 1:
	ExecutorWorkers // counter: it has Arg worker threads, or processes, from now on
	ExecutorBusy    // counter: Arg of them have a job from now on
	ExecutorDNS     // counter: Arg of these look up a host from now on
	ExecutorBusyNS  // counter: since the value before, its workers together had jobs for Arg ns,
	ExecutorIdleNS  // counter: and waited for one for Arg ns
	ExecutorQueue   // counter: Arg jobs wait in its queue, by a look at this moment
	ExecutorLeft    // counter: Arg jobs that were seen there have left it since the look before;
	ExecutorWaited  // counter: one of them, or of those still there at the end, had waited for at least Arg ns,
	ExecutorAtMost  // counter: and none for more than Arg ns; 0: not known, one may have come before the recording
	LoopTasks       // at this moment Arg tasks of TID's loop stood at Stack, what they awaited first; Other: depth in Stack of the frame to name
	LockWaitBegin   // TID begins to wait for the lock at address Arg, of kind Lock; Stack: the waiter's; Other: number of a lock in memory that processes share, the same in all of them; 0: it is none, or not known
	LockWaitEnd     // TID stops waiting for a lock; Arg: WaitOutcome; Other: who woke it, which for a lock is its last holder
	LockRelease     // TID woke Other, which waited for the lock at address Arg (of Other's process, which may be another one); Stack: TID's. TID is Other: somebody who is not recorded did
	Deadlock        // TID waits for good for the lock at address Arg, held by Other (0: by a thread that is gone); Stack: TID's. All of one cycle have one Time
	LoopLag         // counter: data in sockets waited up to Arg ns for TID's loop, in the worst case since the value before
	GILOn           // TID turned the GIL of a free-threaded build on, by importing a module that needs it; Stack: TID's
	WorldStopBegin  // TID asks all other threads of its interpreter to stop; Arg: WorldReason; Stack: TID's
	WorldStopped    // they have; TID goes on
	WorldStopEnd    // TID lets them go on; Arg: BlockEnd
	ThreadsRunning  // counter: since the value before, threads of PID were on CPUs for Arg percent of the time; 200 is two CPUs all the time
	ThreadsRunnable // counter: and for so much they had something to do but no CPU
	LockHeld        // TID, which waits for a lock, holds the one at address Arg, of kind Lock; Stack: TID's; Other: depth in it of the frame that holds it
	numKinds
)

// CPUMode says where a CPU sample hit, numbered as in Perfetto's Profiling.CpuMode.
type CPUMode int64

// CPU modes.
const (
	ModeKernel CPUMode = 1
	ModeUser   CPUMode = 2
)

// SeenAt says at which occasion a holder's stack was seen.
type SeenAt int64

// Occasions. At a wait another thread looks; at a block or a drop the holder itself is the one who is seen.
const (
	SeenWait  SeenAt = iota // another thread went to sleep, waiting
	SeenBlock               // the holder went to sleep and kept the GIL
	SeenDrop                // the holder dropped the GIL and woke a waiter
)

// WaitOutcome says how a GIL wait ended.
type WaitOutcome int64

// Wait outcomes.
const (
	WaitTaken   WaitOutcome = iota // the waiter took the GIL
	WaitExit                       // the thread or its process ended, or execed
	WaitUnknown                    // the end was not seen (lost events, end of the recording)
	WaitTimeout                    // nobody woke the waiter (of a lock), which waited with a time limit
)

// ThreadEnd says how a thread ended.
type ThreadEnd int64

// Ends of threads.
const (
	EndedSomehow     ThreadEnd = iota // not known
	EndedItself                       // by itself
	EndedWithProcess                  // all of its process ended: the program called exit, or a signal killed it
)

// DropReason says why a thread dropped the GIL.
type DropReason int64

// Drop reasons. Forced: the eval loop dropped because of a drop request.
// Voluntary: every other drop, also when a request happened to be pending.
const (
	DropUnknown DropReason = iota
	DropForced
	DropVoluntary
	DropExit // the thread or its process ended, or execed
)

// BlockCause says what an event loop did for most of a block, or waited for.
type BlockCause int64

// Causes of blocks. With CauseGIL and CauseGC the loop's own code is innocent,
// with CauseRunqueue all of the process.
const (
	CauseUnknown  BlockCause = iota
	CauseCPU                 // it computed
	CauseSleep               // it slept
	CauseSyscall             // another system call
	CauseDNS                 // it looked up a host
	CauseFile                // it read or wrote a file, also from the kernel's cache
	CauseLock                // a lock other than the GIL
	CauseGIL                 // another thread held the GIL
	CauseGC                  // the garbage collector
	CauseRunqueue            // it had no CPU
)

// BlockEnd says how a block ended.
type BlockEnd int64

// Ends of blocks.
const (
	BlockOver    BlockEnd = iota // the loop waits for events again
	BlockUnknown                 // the end was not seen: the thread ended, or the recording
)

// Frame is one level of a stack. A Python frame has File and Line; a native
// frame has Module (the path of its ELF file) and, where known, a function.
type Frame struct {
	Function StringID // qualified name where the interpreter has one
	File     StringID // path as the code object has it; 0 for a native frame
	Module   StringID // path of the ELF file; 0 for a Python frame
	Line     int32    // 0: not known
	RelPC    uint64   // address inside the file; 0 for a Python frame
}

// Native says whether the frame is machine code rather than Python code.
func (f Frame) Native() bool { return f.Module != 0 }

// Process is one process of the recording.
type Process struct {
	PID, PPID int32
	Name      string // file name of the executable or script interpreter, never argv
}

// Thread is one thread of a process; a later entry for the same TID replaces the name.
type Thread struct {
	PID, TID int32
	Name     string // Python's name where the interpreter has one, else the kernel's
}

// Note is something said once, with named values: the recording's metadata,
// a target's interpreter, a change of detail, a loss, an exit. Notes become
// instants on the "gilscope" track, so that SQL can read them.
// Note names and their keys are listed in notes.go.
type Note struct {
	Time Time
	PID  int32 // 0: the recording itself
	Name string
	Args []Arg
}

// Arg is one named value of a Note: text, or a number if Text is "".
type Arg struct {
	Key  string
	Text string
	Num  int64
}

// Trace is a whole recording in memory, as the reader returns it. Events are
// in canonical order (see Sort). Index 0 of Strings, Frames and Stacks is the
// empty value, so that ids index directly.
type Trace struct {
	Processes []Process
	Threads   []Thread
	Notes     []Note
	Strings   []string
	Frames    []Frame
	Stacks    [][]FrameID // leaf first
	Events    []Event
	// Complete says that the file ends with the recorder's footer. False: the
	// recorder was killed, or the file was cut; what is here is still true.
	Complete bool
}
