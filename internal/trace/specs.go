package trace

// Form says as what a kind stands in the Perfetto file.
type Form uint8

// The forms. Begin, end and instant are TrackEvents of those types; a lane
// step ends the slice of the lane and begins the next; switch and waking are
// entries of a compact_sched bundle; a sample is a PerfSample.
const (
	NoForm Form = iota
	FormBegin
	FormEnd
	FormInstant
	FormCounter
	FormLaneStep
	FormSwitch
	FormWaking
	FormSample
)

// Track says on which track of the Perfetto file a kind stands.
type Track uint8

// The tracks. Where an interpreter other than the main one is meant its
// number follows the name ("GIL holder 1").
const (
	NoTrack        Track = iota
	TrackThread          // the thread's own track
	TrackThreadGIL       // "GIL", a child of the thread's track
	TrackHolder          // "GIL holder", in the group "GIL" of the process
	TrackWaiters         // "GIL waiters", a counter of that group
	TrackBusy            // "GIL busy %", a counter of that group
	trackProcess         // the process itself; carries no events
	trackGroup           // the group "GIL" of the process; carries no events
	trackNotes           // "gilscope", the track of the notes; a root
	trackLoops           // the group "asyncio" of the process; carries no events
	TrackLoop            // "loop", in that group, with the thread's number
	TrackLoopShare       // the counters of a loop, in that group, with the thread's number
	TrackLoopBusy
	TrackLoopIdle
	TrackLoopIterations
	TrackLoopEvents
	TrackLoopLate
	TrackLoopLag
	trackExecutors       // the group "executors" of the process; carries no events
	TrackExecutorWorkers // the counters of an executor, in that group, with its number
	TrackExecutorBusy
	TrackExecutorDNS
	TrackExecutorBusyNS
	TrackExecutorIdleNS
	TrackExecutorQueue
	TrackExecutorLeft
	TrackExecutorWaited
	TrackExecutorAtMost
	TrackWorld    // "stop-the-world", a child of the track of the thread that stops the others
	TrackRunning  // "threads running %", a counter of the process
	TrackRunnable // "threads runnable %", another one
	numTracks
)

// trackNames are the names of the tracks that have one of their own.
var trackNames = [numTracks]string{
	TrackThreadGIL: "GIL",
	TrackWorld:     "stop-the-world",
	TrackHolder:    "GIL holder",
	TrackWaiters:   "GIL waiters",
	TrackBusy:      "GIL busy %",
	trackGroup:     "GIL",
	trackNotes:     "gilscope",
	trackLoops:     "asyncio",
	TrackRunning:   "threads running %",
	TrackRunnable:  "threads runnable %",

	TrackLoop: "loop", TrackLoopShare: "loop busy %", TrackLoopBusy: "loop busy ns", TrackLoopIdle: "loop idle ns",
	trackExecutors: "executors", TrackExecutorWorkers: "executor workers", TrackExecutorBusy: "executor busy workers",
	TrackExecutorDNS: "executor workers in DNS", TrackExecutorBusyNS: "executor busy ns", TrackExecutorIdleNS: "executor idle ns",
	TrackExecutorQueue: "executor queue", TrackExecutorLeft: "executor jobs seen to wait", TrackExecutorWaited: "executor job waited ns at least",
	TrackExecutorAtMost: "executor job waited ns at most",
	TrackLoopIterations: "loop iterations", TrackLoopEvents: "loop events", TrackLoopLate: "loop timer late ns",
	TrackLoopLag: "loop lag ns",
}

// FieldID names a field of Event.
type FieldID uint8

// The fields of Event that a kind may use besides Time and Kind.
const (
	FieldCPU FieldID = iota
	FieldPID
	FieldTID
	FieldGIL
	FieldOther
	FieldArg
	FieldFlow
	FieldStack
	FieldLock
	numFields
)

// Field is one use of an Event field by a kind.
type Field struct {
	Of FieldID
	// Key is the name of the value in the text form and, for FieldArg and
	// FieldOther of slices and instants, of its debug annotation. FieldOther
	// has two annotations: Key is the thread's name, Key_tid its number.
	Key string
	// Enum names the values of FieldArg by number; "" has no name. A value
	// without a name is kept as a number.
	Enum []string
}

// Spec is all that is particular to a kind: its row in Specs.
type Spec struct {
	Name     string // in the text form, noun.verb
	Form     Form
	Track    Track
	Category string // Perfetto category, for filtering in SQL
	Slice    string // name of the slice or instant
	Ends     Kind   // of an end: the kind it closes
	Rank     uint8  // place among events of one time, see Sort
	Fields   []Field
}

// Names of enum values, by number.
var (
	cpuModeNames     = []string{ModeKernel: "kernel", ModeUser: "user"}
	seenAtNames      = []string{SeenWait: "wait", SeenBlock: "block", SeenDrop: "drop"}
	waitOutcomeNames = []string{WaitTaken: "taken", WaitExit: "exit", WaitUnknown: "unknown", WaitTimeout: "timeout"}
	threadEndNames   = []string{EndedSomehow: "unknown", EndedItself: "itself", EndedWithProcess: "process"}
	blockEndNames    = []string{BlockOver: "over", BlockUnknown: "unknown"}
	blockCauseNames  = []string{CauseUnknown: "unknown", CauseCPU: "cpu", CauseSleep: "sleep", CauseSyscall: "syscall", CauseDNS: "dns",
		CauseFile: "file", CauseLock: "lock", CauseGIL: "gil", CauseGC: "gc", CauseRunqueue: "runqueue"}
	dropReasonNames = []string{DropUnknown: "unknown", DropForced: "forced", DropVoluntary: "voluntary", DropExit: "exit"}
)

// Fields that many kinds use in the same way.
var (
	cpuField    = Field{Of: FieldCPU, Key: "cpu"}
	pidField    = Field{Of: FieldPID, Key: "pid"}
	tidField    = Field{Of: FieldTID, Key: "tid"}
	gilField    = Field{Of: FieldGIL, Key: "gil"}
	holderField = Field{Of: FieldOther, Key: "holder"}
	wokenField  = Field{Of: FieldOther, Key: "woken"}
	flowField   = Field{Of: FieldFlow, Key: "flow"}
	stackField  = Field{Of: FieldStack, Key: "stack"}
	lockField   = Field{Of: FieldLock, Key: "lock", Enum: lockKindNames}
	addressOf   = Field{Of: FieldArg, Key: "address"}
)

// depthKey is the key of FieldOther where it is the depth in the stack of the frame to name.
const depthKey = "site_depth"

// sharedKey is the key of FieldOther where it is the number of a lock that processes share.
const sharedKey = "shared_lock"

// Specs has one row per kind, and is the only place that knows how a kind
// looks in a file. Writer, reader, text form, Sort and Validate derive from it.
var Specs = [numKinds]Spec{
	SchedSwitch: {Name: "sched.switch", Form: FormSwitch, Rank: 1, Fields: []Field{
		cpuField, {Of: FieldTID, Key: "next"}, {Of: FieldArg, Key: "prev_state"}}},
	SchedWaking: {Name: "sched.waking", Form: FormWaking, Rank: 0, Fields: []Field{
		cpuField, tidField, {Of: FieldArg, Key: "target_cpu"}}},
	CPUSample: {Name: "cpu.sample", Form: FormSample, Rank: 12, Fields: []Field{
		cpuField, pidField, tidField, {Of: FieldArg, Key: "mode", Enum: cpuModeNames}, stackField}},
	GILWaitBegin: {Name: "gil.wait.begin", Form: FormBegin, Track: TrackThreadGIL, Category: "gil.wait", Slice: "GIL wait", Rank: 6, Fields: []Field{
		pidField, tidField, gilField, holderField, stackField}},
	GILWaitEnd: {Name: "gil.wait.end", Form: FormEnd, Track: TrackThreadGIL, Category: "gil.wait", Slice: "GIL wait", Ends: GILWaitBegin, Rank: 4, Fields: []Field{
		pidField, tidField, gilField, {Of: FieldArg, Key: "outcome", Enum: waitOutcomeNames}}},
	GILHoldBegin: {Name: "gil.hold.begin", Form: FormBegin, Track: TrackThreadGIL, Category: "gil", Slice: "GIL held", Rank: 7, Fields: []Field{
		pidField, tidField, gilField, flowField, stackField}},
	GILHoldEnd: {Name: "gil.hold.end", Form: FormEnd, Track: TrackThreadGIL, Category: "gil", Slice: "GIL held", Ends: GILHoldBegin, Rank: 3, Fields: []Field{
		pidField, tidField, gilField, {Of: FieldArg, Key: "reason", Enum: dropReasonNames}, flowField}},
	GILHolder: {Name: "gil.holder", Form: FormLaneStep, Track: TrackHolder, Category: "gil.holder", Slice: "GIL free", Rank: 5, Fields: []Field{
		pidField, tidField, gilField}},
	GILDropRequest: {Name: "gil.drop_request", Form: FormInstant, Track: TrackThreadGIL, Category: "gil.request", Slice: "GIL drop request", Rank: 8, Fields: []Field{
		pidField, tidField, gilField, holderField, stackField}},
	GILHolderSeen: {Name: "gil.holder_seen", Form: FormInstant, Track: TrackThreadGIL, Category: "gil.holder", Slice: "GIL holder seen", Rank: 9, Fields: []Field{
		pidField, tidField, gilField, holderField, {Of: FieldArg, Key: "at", Enum: seenAtNames}, stackField}},
	GILWaiters: {Name: "gil.waiters", Form: FormCounter, Track: TrackWaiters, Rank: 10, Fields: []Field{
		pidField, gilField, {Of: FieldArg, Key: "threads"}}},
	GILBusy: {Name: "gil.busy", Form: FormCounter, Track: TrackBusy, Rank: 11, Fields: []Field{
		pidField, gilField, {Of: FieldArg, Key: "percent"}}},
	GILOn: {Name: "gil.on", Form: FormInstant, Track: TrackThread, Category: "gil.on", Slice: "GIL turned on", Rank: 8, Fields: []Field{
		pidField, tidField, stackField}},
	WorldStopBegin: {Name: "world.stop.begin", Form: FormBegin, Track: TrackWorld, Category: "world.stop", Slice: "stop-the-world", Rank: 6, Fields: []Field{
		pidField, tidField, {Of: FieldArg, Key: "why", Enum: worldReasonNames}, stackField}},
	WorldStopped: {Name: "world.stopped", Form: FormInstant, Track: TrackWorld, Category: "world.stop", Slice: "world stopped", Rank: 8, Fields: []Field{
		pidField, tidField}},
	WorldStopEnd: {Name: "world.stop.end", Form: FormEnd, Track: TrackWorld, Category: "world.stop", Slice: "stop-the-world", Ends: WorldStopBegin, Rank: 4, Fields: []Field{
		pidField, tidField, {Of: FieldArg, Key: "end", Enum: blockEndNames}}},
	ThreadStart: {Name: "thread.start", Form: FormInstant, Track: TrackThread, Category: "thread", Slice: "thread start", Rank: 2, Fields: []Field{
		pidField, tidField, {Of: FieldArg, Key: "creator_tid"}, {Of: FieldOther, Key: depthKey}, stackField}},
	ThreadExit: {Name: "thread.exit", Form: FormInstant, Track: TrackThread, Category: "thread", Slice: "thread exit", Rank: 13, Fields: []Field{
		pidField, tidField, {Of: FieldArg, Key: "ended", Enum: threadEndNames}}},
	LoopBlockBegin: {Name: "loop.block.begin", Form: FormBegin, Track: TrackLoop, Category: "loop.block", Slice: "loop block", Rank: 20, Fields: []Field{
		pidField, tidField, {Of: FieldArg, Key: "cause", Enum: blockCauseNames}, {Of: FieldOther, Key: depthKey}, stackField}},
	LoopBlockEnd: {Name: "loop.block.end", Form: FormEnd, Track: TrackLoop, Category: "loop.block", Slice: "loop block", Ends: LoopBlockBegin, Rank: 19, Fields: []Field{
		pidField, tidField, {Of: FieldArg, Key: "end", Enum: blockEndNames}}},
	LoopTasks: {Name: "loop.tasks", Form: FormInstant, Track: TrackLoop, Category: "loop.tasks", Slice: "tasks", Rank: 36, Fields: []Field{
		pidField, tidField, {Of: FieldArg, Key: "tasks"}, {Of: FieldOther, Key: depthKey}, stackField}},
	LoopBusyShare:  loopCounter("loop.busy_share", TrackLoopShare, "percent", 21),
	LoopBusy:       loopCounter("loop.busy", TrackLoopBusy, "ns", 22),
	LoopIdle:       loopCounter("loop.idle", TrackLoopIdle, "ns", 23),
	LoopIterations: loopCounter("loop.iterations", TrackLoopIterations, "iterations", 24),
	LoopEvents:     loopCounter("loop.events", TrackLoopEvents, "events", 25),
	LoopLate:       loopCounter("loop.late", TrackLoopLate, "ns", 26),
	LoopLag:        loopCounter("loop.lag", TrackLoopLag, "ns", 37),
	LockWaitBegin: {Name: "lock.wait.begin", Form: FormBegin, Track: TrackThread, Category: "lock.wait", Slice: "lock wait", Rank: 6, Fields: []Field{
		pidField, tidField, {Of: FieldOther, Key: sharedKey}, addressOf, lockField, stackField}},
	LockWaitEnd: {Name: "lock.wait.end", Form: FormEnd, Track: TrackThread, Category: "lock.wait", Slice: "lock wait", Ends: LockWaitBegin, Rank: 4, Fields: []Field{
		pidField, tidField, holderField, {Of: FieldArg, Key: "outcome", Enum: waitOutcomeNames}}},
	LockRelease: {Name: "lock.release", Form: FormInstant, Track: TrackThread, Category: "lock.release", Slice: "lock release", Rank: 3, Fields: []Field{
		pidField, tidField, wokenField, addressOf, stackField}},
	Deadlock: {Name: "deadlock", Form: FormInstant, Track: TrackThread, Category: "deadlock", Slice: "deadlock", Rank: 9, Fields: []Field{
		pidField, tidField, holderField, addressOf, lockField, stackField}},
	LockHeld: {Name: "lock.held", Form: FormInstant, Track: TrackThread, Category: "lock.held", Slice: "lock held", Rank: 39, Fields: []Field{
		pidField, tidField, {Of: FieldOther, Key: depthKey}, addressOf, lockField, stackField}},

	ExecutorWorkers: executorCounter("executor.workers", TrackExecutorWorkers, "workers", 27),
	ExecutorBusy:    executorCounter("executor.busy", TrackExecutorBusy, "workers", 28),
	ExecutorDNS:     executorCounter("executor.dns", TrackExecutorDNS, "workers", 29),
	ExecutorBusyNS:  executorCounter("executor.busy_time", TrackExecutorBusyNS, "ns", 30),
	ExecutorIdleNS:  executorCounter("executor.idle_time", TrackExecutorIdleNS, "ns", 31),
	ExecutorQueue:   executorCounter("executor.queue", TrackExecutorQueue, "jobs", 32),
	ExecutorLeft:    executorCounter("executor.left", TrackExecutorLeft, "jobs", 33),
	ExecutorWaited:  executorCounter("executor.waited", TrackExecutorWaited, "ns", 34),
	ExecutorAtMost:  executorCounter("executor.at_most", TrackExecutorAtMost, "ns", 35),
	ThreadsRunning:  {Name: "threads.running", Form: FormCounter, Track: TrackRunning, Rank: 37, Fields: []Field{pidField, {Of: FieldArg, Key: "percent"}}},
	ThreadsRunnable: {Name: "threads.runnable", Form: FormCounter, Track: TrackRunnable, Rank: 38, Fields: []Field{pidField, {Of: FieldArg, Key: "percent"}}},
}

// String is the kind's name in the text form.
func (k Kind) String() string {
	if k == NoKind || k >= numKinds {
		return "unknown"
	}
	return Specs[k].Name
}

// String is the cause's name in traces and reports.
func (c BlockCause) String() string {
	if c < 0 || int(c) >= len(blockCauseNames) {
		return blockCauseNames[CauseUnknown]
	}
	return blockCauseNames[c]
}

// BlockCauseNamed is the cause of that name.
func BlockCauseNamed(name string) (BlockCause, bool) {
	for c, n := range blockCauseNames {
		if n == name {
			return BlockCause(c), true
		}
	}
	return CauseUnknown, false
}

// field returns the kind's use of a field, nil if it has none.
func (s *Spec) field(of FieldID) *Field {
	for i := range s.Fields {
		if s.Fields[i].Of == of {
			return &s.Fields[i]
		}
	}
	return nil
}

// valueName is the enum name of v, "" if it has none.
func (f *Field) valueName(v int64) string {
	if v < 0 || v >= int64(len(f.Enum)) {
		return ""
	}
	return f.Enum[v]
}

// get reads the field of an event; a flow above the range of int64 comes back
// negative and set restores it.
func (of FieldID) get(e *Event) int64 {
	switch of {
	case FieldCPU:
		return int64(e.CPU)
	case FieldPID:
		return int64(e.PID)
	case FieldTID:
		return int64(e.TID)
	case FieldGIL:
		return int64(e.GIL)
	case FieldOther:
		return int64(e.Other)
	case FieldArg:
		return e.Arg
	case FieldFlow:
		return int64(e.Flow)
	case FieldStack:
		return int64(e.Stack)
	case FieldLock:
		return int64(e.Lock)
	}
	return 0
}

// set writes the field of an event; it says whether v is in the field's range.
func (of FieldID) set(e *Event, v int64) bool {
	switch of {
	case FieldCPU:
		e.CPU = uint16(v)
	case FieldPID:
		e.PID = int32(v)
	case FieldTID:
		e.TID = int32(v)
	case FieldGIL:
		e.GIL = uint16(v)
	case FieldOther:
		e.Other = int32(v)
	case FieldArg:
		e.Arg = v
	case FieldFlow:
		e.Flow = uint64(v)
	case FieldStack:
		e.Stack = StackID(v)
	case FieldLock:
		e.Lock = LockKind(v)
	}
	return of.get(e) == v
}
