package trace

// Names of notes, and the keys their Args have. "ns" values are integers.
const (
	// NoteRecording opens a recording: version, kernel, arch, detail (waits|full|auto; auto is no level, NoteDetail tells it),
	// cpus, sample_hz.
	NoteRecording = "recording"
	// NoteTarget describes a target's interpreter when it is attached: python
	// ("3.11.7"), free_threaded, gil_enabled, stripped, pie (0|1), linkage
	// (shared|static), path, backend (futex|condvar|take_gil), cost (emulated|
	// nop5|single-stepped|none), sites ("name file+0xoff insn; ..."), interval_ns, interpreter,
	// libc ("glibc 2.36"), of a free-threaded build rare_sites (like sites: functions that stop the world, or turn the GIL on), and ns_pid (its pid in its own pid namespace, where that is another).
	NoteTarget = "target"
	// NoteInterpreter says that another interpreter than the main one was found in a process: interpreter
	// (its id), own_gil (0|1; without one it uses the main interpreter's), interval_ns.
	NoteInterpreter = "interpreter"
	// NoteStarted says how a recorded process came to be: parent, method (fork|spawn|forkserver|subprocess),
	// role ("fork server" or "resource tracker" for multiprocessing's own processes, else ""). It may come twice: a
	// process is forked first, and shows only after an exec what it is for. The last one holds. In the dump of a flight
	// recorder that begins later, since_ns is when the process did start.
	NoteStarted = "started"
	// NoteDetail says at which detail the process is recorded from now on: detail.
	NoteDetail = "detail"
	// NoteLost says that events were lost between begin_ns and this moment, which is after the last of them: events, cpu,
	// what (ring). The sum of all is NoteEnd's lost.
	NoteLost = "lost"
	// NoteChild says that a process was started and is not recorded: child.
	NoteChild = "child"
	// NoteExec says that the process became another program.
	NoteExec = "exec"
	// NoteExit says that the process ended: code (exit status), signal (0: none).
	NoteExit = "exit"
	// NoteInterval says that the switch interval changed: interval_ns.
	NoteInterval = "switch interval"
	// NoteGIL sums up one GIL at the end: interpreter, switches (by how much the interpreter's own
	// switch_number rose), span_ns (between which moments), and at detail full takes and changes
	// (takes by another thread state than the one before; equal to switches unless something was lost).
	NoteGIL = "gil totals"
	// NoteGILState says that the GIL of a free-threaded build was turned on or off while it ran: enabled (0|1), and where it is
	// known tid (of the thread that did it, an event of the same moment has its stack) and module (the one that needs the GIL, which it imported).
	NoteGILState = "gil state"
	// NoteLoop says that a thread is an event loop: tid, kind (asyncio|uvloop|trio|other; told again when it is known
	// better), syscall (the number of the one it waits in), and either what it costs to know its lag, lag_cost_ns (a packet that it
	// reads) and lag_cost_others_ns (any other), or no_lag: why it is not known.
	NoteLoop = "loop"
	// NoteLag says how long data waited in sockets for a loop between since_ns and this moment, from when it was ready until it was
	// read: tid, reads (that got data of which it is known when it came), unseen (of which it is not), sum_ns, max_ns, and how many
	// of the reads came below which time and not below the one before: buckets ("1024:3 20480:1", ns:reads), which are no wider than an eighth.
	NoteLag = "loop lag"
	// NoteLoopsOff says that between since_ns and this moment no event loop was watched, for that costs every system call of
	// the machine ns_per_call, and a CPU made calls_per_s of them.
	NoteLoopsOff = "loops off"
	// NoteBlock explains a block of a loop, at the moment it ended: tid, cause (the begin of a long one was told with what
	// it looked like then), start_ns, duration_ns, and what sums to it:
	// on_cpu_ns, gil_wait_ns, runnable_ns, blocked_ns, gc_ns (without it, the collector's part is not known and is in on_cpu_ns);
	// and where they are known syscall (number), file (socket|pipe|file|device: what the call was about), task, coroutine,
	// awaits (the depths in the block's stack of the task's async functions, outermost first: "4 2 1").
	NoteBlock = "loop block"
	// NoteExecutor describes an executor: executor (its number in the process, from 1), kind
	// (ThreadPoolExecutor|anyio|ProcessPoolExecutor|multiprocessing.Pool), name (thread_name_prefix), max_workers, and
	// queue (0|1: whether it could be looked into); what is not there is not known. The last one holds.
	NoteExecutor = "executor"
	// NoteWorker says that a thread is a worker of an executor: tid, executor, and pool (of a process's: the pid of whose it is).
	NoteWorker = "executor worker"
	// NoteThread says what Python's object of a thread says: tid, daemon (0|1).
	NoteThread = "thread"
	// NoteTasks counts the tasks of a loop that are not done, at one moment: tid, at (begin|end: of the recording, or when the
	// loop was found, and when a dump is written), pending, running (0 or 1), ready (to run), and at the end, if the begin is
	// known, new and gone (of the tasks that were pending at the end and at the begin, at least so many were not at the other).
	// Also at the end, made: how many tasks without a name of their own all loops of the process have made since the begin.
	// Or, instead of the numbers, unknown: the reason. Where they stand at the end is told by events of the same moment.
	// A second one at the end (at: failed) counts those that ended with an exception which nobody has asked for (failed), as
	// far as something keeps them, and has the classes of the exceptions (raised, by spaces). Where they were raised, events tell likewise.
	NoteTasks = "loop tasks"
	// NoteEnd closes a recording: reason (duration|signal|targets gone|size, or of a flight recorder's dump also
	// SIGUSR1|trigger METRIC N ms; its counts are those of the dump's window), events, produced, stored,
	// lost, repaired (switches the kernel did not report), stacks_unresolved, probe_hits,
	// recorder_cpu_ns; ns_per_hit (what a probe hit cost, as calibrated at the start) and overhead_ppm (what the
	// programs on context switches and the probes cost the machine, of one CPU). Its presence is the footer.
	NoteEnd = "end"
)
