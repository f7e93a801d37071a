package analyze

// Schema names the JSON form of Report. A field may be added under the same
// name; a change of meaning makes a new one.
const Schema = "gilscope.report/v1"

// Report is everything the analyzers found, and exactly the JSON of
// gilscope.report/v1. Times are integer nanoseconds; a nil pointer (null) means
// "not known at this detail", which is never written as 0; lists are never null.
type Report struct {
	Schema       string         `json:"schema"`
	Recording    Recording      `json:"recording"`
	Processes    []Process      `json:"processes"`
	Threads      []ThreadRow    `json:"threads"`
	ThreadMakers []ThreadMaker  `json:"thread_makers"` // lines that made threads while recorded, by how many
	GIL          []GILRow       `json:"gil"`
	Loops        []LoopRow      `json:"loops"`
	Executors    []ExecutorRow  `json:"executors"`
	Locks        []LockRow      `json:"locks"`
	Deadlocks    []DeadlockRow  `json:"deadlocks"`
	LockOrders   []LockOrderRow `json:"lock_orders"`
	StopTheWorld []WorldRow     `json:"-"` // of all processes; in the JSON each has its own, in scaling
	Scaling      *Scaling       `json:"scaling"`
	Forks        []struct{}     `json:"forks"`
	Findings     []Finding      `json:"findings"`
	Skipped      []Skipped      `json:"skipped"`
	pooled       pooled
}

// pooled is the waits and holds of all GILs together.
type pooled struct {
	waits, holds                    int64
	waitP50NS, waitP99NS, holdP99NS *int64
}

// Recording says how far the rest can be trusted.
type Recording struct {
	DurationNS    int64    `json:"duration_ns"`
	Detail        *string  `json:"detail"` // waits, full, or auto if it changed
	Complete      bool     `json:"complete"`
	LostEvents    int64    `json:"lost_events"`
	Losses        []Loss   `json:"losses"`       // by begin; where the recorder did not get to tell, less than lost_events
	LoopsOffNS    int64    `json:"loops_off_ns"` // time in which event loops were not watched, for it cost too much
	ProbeHits     *int64   `json:"probe_hits"`
	NSPerHit      *float64 `json:"ns_per_hit"`
	OverheadShare *float64 `json:"overhead_share"`
}

// Loss is a stretch of time in which a CPU lost events: what is told of it is
// not all that happened.
type Loss struct {
	BeginNS int64 `json:"begin_ns"` // BOOTTIME
	EndNS   int64 `json:"end_ns"`
	CPU     int64 `json:"cpu"`
	Events  int64 `json:"events"`
}

// Process is one process of the recording. In the report parents come before
// their children, and children in order of their start.
type Process struct {
	PID                 int32   `json:"pid"`
	ParentPID           *int32  `json:"parent_pid"`
	NSPID               *int32  `json:"ns_pid"`       // its pid in its own pid namespace; null: the same
	Name                *string `json:"name"`         // of its executable
	StartMethod         *string `json:"start_method"` // fork, spawn, forkserver, subprocess; null: it ran before, or was launched
	Role                *string `json:"role"`         // of multiprocessing's own processes
	StartedNS           *int64  `json:"started_ns"`   // BOOTTIME; null: it ran before, or was launched
	ChildrenNotRecorded int64   `json:"children_not_recorded"`
	Python              *Python `json:"python"`
	Exit                *Exit   `json:"exit"` // null: it did not end while recorded
}

// Python is a process's interpreter.
type Python struct {
	Version      string      `json:"version"`
	GILChanges   []GILChange `json:"gil_changes"` // of a free-threaded build; GILEnabled is how it was in the end
	FreeThreaded *bool       `json:"free_threaded"`
	GILEnabled   *bool       `json:"gil_enabled"`
	Stripped     *bool       `json:"stripped"`
	Linkage      *string     `json:"linkage"`
	Libc         *string     `json:"libc"`
}

// Exit is how a process ended.
type Exit struct {
	Code   int64 `json:"code"`
	Signal int64 `json:"signal"` // 0: none
}

// ThreadRow is what one thread did with its time. The kernel gives numbers out
// again: two rows of one process and number are two threads, one after the other.
type ThreadRow struct {
	PID              int32        `json:"pid"`
	TID              int32        `json:"tid"`
	Name             string       `json:"name"`
	StartedNS        *int64       `json:"started_ns"`         // when it was made, BOOTTIME; null: before the recording, or not seen
	CreatedBy        *Party       `json:"created_by"`         // the thread and line that made it; null: not known, as of those that were there before
	RanPythonNS      *int64       `json:"ran_python_ns"`      // when it was first seen with the GIL or a Python stack; null: it was there before, or that is not known
	EndedNS          *int64       `json:"ended_ns"`           // null: not while recorded
	EndedWithProcess *bool        `json:"ended_with_process"` // it was still there when its process called exit, or was killed; null: not known, or it did not end
	Daemon           *bool        `json:"daemon"`             // as its Thread object says; null: not known
	Joins            []ThreadJoin `json:"joins"`              // those who were seen to wait until it had ended; who comes later need not wait
	OnCPUNS          *int64       `json:"on_cpu_ns"`
	RunnableNS       *int64       `json:"runnable_ns"`
	BlockedNS        *int64       `json:"blocked_ns"`
	GILWaitNS        int64        `json:"gil_wait_ns"`
	GILWaits         int64        `json:"gil_waits"`
	GILWaitMaxNS     int64        `json:"gil_wait_max_ns"`
	GILHoldNS        *int64       `json:"gil_hold_ns"`
	GILHolds         *int64       `json:"gil_holds"`
	ForcedDrops      *int64       `json:"forced_drops"`
	VoluntaryDrops   *int64       `json:"voluntary_drops"`
	LockWaitNS       *int64       `json:"lock_wait_ns"`
}

// GILRow is one interpreter's lock.
type GILRow struct {
	PID              int32    `json:"pid"`
	Interpreter      uint16   `json:"interpreter"`
	SwitchIntervalNS *int64   `json:"switch_interval_ns"`
	FullShare        *float64 `json:"full_share"` // part of the time in which every take and drop was recorded
	WaitNS           int64    `json:"wait_ns"`
	Waits            int64    `json:"waits"`
	WaitP50NS        *int64   `json:"wait_p50_ns"` // null: there was no wait
	WaitP99NS        *int64   `json:"wait_p99_ns"`
	WaitMaxNS        *int64   `json:"wait_max_ns"`
	WaitErrorShare   float64  `json:"wait_error_share"`  // how far off a thread's total wait may be, as measured by our tests
	UncertainWaits   int64    `json:"uncertain_waits"`   // of waits, those that touch a stretch with losses:
	UncertainWaitNS  int64    `json:"uncertain_wait_ns"` // they may be too long, too short, several, or not all
	Switches         *int64   `json:"switches"`          // by the interpreter's own count
	ContendedShare   *float64 `json:"contended_share"`   // part of the recording in which somebody waited
	BusyShare        *float64 `json:"busy_share"`        // part of the recording in which it was held
	Causes           Causes   `json:"causes"`
	Blame            []Blame  `json:"blame"` // sums to WaitNS
	// The waited time by the innermost line of the program itself, of none of its libraries, that the holder was
	// at; the leaf's where there is none. Time without a stack of the holder is in none. The longest first.
	ProgramLines []LineTime `json:"program_lines"`
	Switching    Switching  `json:"switching"`
	holdMaxNS    *int64
	holdP99NS    *int64
	holds        int64
	inLibraries  bool // some of the lines in blame are
}

// InLibraries says that some of the lines in Blame are not the program's own, so that ProgramLines says more.
func (g *GILRow) InLibraries() bool { return g.inLibraries }

// Causes splits the waited time by what the waiter was waiting for; the parts
// sum to wait_ns. A holder that is not known counts as one.
type Causes struct {
	BeforeRequestNS int64 `json:"before_request_ns"` // nobody had asked the holder to drop yet
	HolderBusyNS    int64 `json:"holder_busy_ns"`    // asked, but it did not drop
	HandoffNS       int64 `json:"handoff_ns"`        // nobody held it
}

// Blame charges waited time of one thread and line to one holder and line.
type Blame struct {
	Waiter Party `json:"waiter"`
	Holder Party `json:"holder"` // tid 0: handing over; tid null: not known
	WaitNS int64 `json:"wait_ns"`
	Waits  int64 `json:"waits"` // waits with a part in this row
	busyNS int64 // the part after the holder was asked to drop
}

// Party is a thread at a place.
type Party struct {
	TID  *int32   `json:"tid"`
	Name string   `json:"name"`
	Site *SiteRow `json:"site"`
}

// SiteRow is a Site in the report.
type SiteRow struct {
	Function *string `json:"function"`
	File     *string `json:"file"`
	Line     *int32  `json:"line"`
	Native   *string `json:"native"` // "module function"; null: none outside the interpreter, or not known
}

// Switching is how the GIL changed hands.
type Switching struct {
	DropRequests       int64    `json:"drop_requests"`
	ForcedDrops        *int64   `json:"forced_drops"`
	VoluntaryDrops     *int64   `json:"voluntary_drops"`
	RequestToDropP50NS *int64   `json:"request_to_drop_p50_ns"`
	RequestToDropP99NS *int64   `json:"request_to_drop_p99_ns"`
	RequestToDropMaxNS *int64   `json:"request_to_drop_max_ns"`
	HandoffP50NS       *int64   `json:"handoff_p50_ns"` // nobody held, until a waiter took; null: not known at this detail
	HandoffP99NS       *int64   `json:"handoff_p99_ns"`
	HandoffMaxNS       *int64   `json:"handoff_max_ns"`
	Convoys            []Convoy `json:"convoys"`
	WhatIf             []WhatIf `json:"what_if"`
}

// Convoy is a thread that waits about a switch interval, again and again, for
// one CPU-bound holder, with little work of its own in between.
type Convoy struct {
	VictimTID int32 `json:"victim_tid"`
	HolderTID int32 `json:"holder_tid"`
	Cycles    int64 `json:"cycles"`
	CostNS    int64 `json:"cost_ns"`
	busyNS    int64 // the part after the holder was asked to drop
}

// WhatIf is the predicted wait at another switch interval.
type WhatIf struct {
	IntervalNS     int64   `json:"interval_ns"`
	WaitNS         int64   `json:"wait_ns"`
	SwitchesPerSec float64 `json:"switches_per_s"`
}

// Finding is one conclusion, with its cost in time lost and what to do about it.
type Finding struct {
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	Title    string   `json:"title"`
	CostNS   int64    `json:"cost_ns"`
	PID      *int32   `json:"pid"`
	TID      *int32   `json:"tid"`
	Site     *SiteRow `json:"site"`
	Advice   string   `json:"advice"`
	Evidence string   `json:"evidence"`
}

// Severity ranks findings that cost the same.
type Severity string

// Severities.
const (
	Info    Severity = "info"
	Warning Severity = "warning"
	Error   Severity = "error"
)

// Skipped says what the report does not tell, and why.
type Skipped struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// newReport is an empty report: every list there, every unknown nil.
func newReport() *Report {
	return &Report{
		Schema: Schema, Processes: []Process{}, Threads: []ThreadRow{}, ThreadMakers: []ThreadMaker{}, GIL: []GILRow{},
		Loops: []LoopRow{}, Executors: []ExecutorRow{}, Locks: []LockRow{}, Deadlocks: []DeadlockRow{}, LockOrders: []LockOrderRow{}, StopTheWorld: []WorldRow{},
		Forks: []struct{}{}, Findings: []Finding{}, Skipped: []Skipped{},
		Recording: Recording{Losses: []Loss{}},
	}
}

// row is the site as the report writes it; nil for "not known".
func (tl *Timeline) row(id SiteID) *SiteRow {
	if id <= 0 || int(id) >= len(tl.Sites) {
		return nil
	}
	s := tl.Sites[id]
	return &SiteRow{Function: known(s.Function), File: known(s.File), Line: known(s.Line), Native: known(s.Native)}
}

// known is a pointer to the value, nil if it is the zero value that stands for "not known".
func known[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
