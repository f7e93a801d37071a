package scaling

import (
	"gilscope/analyze"
)

// Schema names the JSON form of Report. A field may be added under the same
// name; a change of meaning makes a new one.
const Schema = "gilscope.scale/v1"

// Report is what the runs showed, and exactly the JSON of gilscope.scale/v1.
// Times are integer nanoseconds; null means "not known"; lists are never null.
// It has the program's name but never its arguments.
type Report struct {
	Schema  string            `json:"schema"`
	Program string            `json:"program"`
	Machine Machine           `json:"machine"`
	Python  *Python           `json:"python"` // null: not asked, or not found
	Rounds  int               `json:"rounds"`
	Seed    uint64            `json:"seed"`
	Work    string            `json:"work"` // "fixed": the same at each step; "output": throughput from the program's output
	Series  []SeriesRow       `json:"series"`
	Skipped []analyze.Skipped `json:"skipped"`
}

// Machine is where it was measured.
type Machine struct {
	CPUs   int     `json:"cpus"` // that the program might use
	Kernel string  `json:"kernel"`
	Load   float64 `json:"load"` // average of the minute before the first run
}

// Python is the interpreter of the command.
type Python struct {
	Version      string `json:"version"`
	FreeThreaded bool   `json:"free_threaded"`
}

// SeriesRow is one ladder.
type SeriesRow struct {
	Kind        Kind         `json:"kind"`
	GIL         *GIL         `json:"gil"` // null: as the program has it
	Steps       []StepRow    `json:"steps"`
	Amdahl      *Fit         `json:"amdahl"` // null: too few steps, see unknown
	USL         *Fit         `json:"usl"`
	Predictions []Prediction `json:"predictions"`
	Unknown     []string     `json:"unknown"` // what these steps cannot tell, and why
}

// StepRow is one point of a ladder. Shares are of the CPU time that its CPUs
// could have given: workers times the time, at most all its CPUs.
type StepRow struct {
	Workers         int      `json:"workers"`
	CPUs            int      `json:"cpus"`
	Oversubscribed  bool     `json:"oversubscribed"` // more workers than CPUs: not used for the fits
	WallNS          int64    `json:"wall_ns"`        // median of the rounds
	WallMinNS       int64    `json:"wall_min_ns"`
	WallMaxNS       int64    `json:"wall_max_ns"`
	CPUNS           int64    `json:"cpu_ns"`     // user and system, of the program and the children it waited for
	Throughput      *float64 `json:"throughput"` // null: the work is fixed
	Speedup         Interval `json:"speedup"`    // against one worker of the same series
	Ideal           float64  `json:"ideal"`
	Efficiency      float64  `json:"efficiency"`
	ParallelismMean float64  `json:"parallelism_mean"` // CPU time by time

	// What was lost against one worker; the two parts sum to it.
	LostShare      float64 `json:"lost_share"`
	CPUGrowthShare float64 `json:"cpu_growth_share"` // the same work took more CPU time
	IdleShare      float64 `json:"idle_share"`       // the program did not use its CPUs: workers waited, or others had the CPUs

	// By how much longer the same work was on CPUs than at the first step; null: the work is not fixed. What threads
	// share makes it grow and leaves no wait.
	CPUGrowthNS *int64 `json:"cpu_growth_ns"`
	// The lines of the program at which recorded runs of the two steps differ by it, the most first; null: none was recorded.
	CPUGrowth []analyze.LineTime `json:"cpu_growth"`

	// What others on the machine used of it: at most that much was taken from the
	// workers, and not left by workers that waited. null: not known.
	OthersShare *float64 `json:"others_share"`

	// What the workers waited for, from one more run that was recorded; null: none was.
	Limits []analyze.StepLimit `json:"limits"`
}

// Interval is a value with the 95 % confidence interval; null: too few rounds.
type Interval struct {
	Value float64  `json:"value"`
	Low   *float64 `json:"low"`
	High  *float64 `json:"high"`
}

// Fit is a law with its parameters.
type Fit struct {
	Sigma       Interval  `json:"sigma"`        // of Amdahl: the serial share
	Kappa       *Interval `json:"kappa"`        // null: the law has none
	Limit       *Interval `json:"limit"`        // of Amdahl: the speed-up with any number of CPUs; null: unbounded
	Peak        *Interval `json:"peak"`         // of USL: workers beyond which it gets slower; null: none is seen
	MisfitShare *float64  `json:"misfit_share"` // root mean square by which the steps lie off; null: no step is left to tell
	law         Law
}

// At is the speed-up that the law has for n workers.
func (f Fit) At(n float64) float64 { return f.law.Speedup(n) }

// Confidence is how sure a prediction is.
type Confidence string

// Grades of confidence. None says more than "if nothing new sets in": a limit
// that these CPUs do not reach yet (memory, sockets, other hardware) is in no fit.
const (
	Good Confidence = "good" // within 10 %, at most twice the measured CPUs
	Fair Confidence = "fair" // within 25 %, at most four times
	Low  Confidence = "low"
)

// Prediction is the speed-up to expect with more CPUs, and as many workers.
type Prediction struct {
	CPUs       int        `json:"cpus"`
	Amdahl     *Interval  `json:"amdahl"`
	USL        *Interval  `json:"usl"`
	Confidence Confidence `json:"confidence"`
}
