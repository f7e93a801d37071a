package oracle

import (
	"encoding/json"
	"fmt"
)

// Truth is what a program of testdata/truth measured of itself: the JSON object it prints last. Times are on CLOCK_BOOTTIME.
type Truth struct {
	Schema     string                 `json:"schema"`
	Program    string                 `json:"program"`
	PID        int                    `json:"pid"`
	Python     string                 `json:"python"`
	IntervalNS int64                  `json:"interval_ns"` // switch interval
	FloorNS    int64                  `json:"floor_ns"`    // shorter waits are not in the list
	Threads    map[int32]*TruthThread `json:"threads"`     // by thread id
	Expect     []Expectation          `json:"expect"`
	WaitShare  float64                `json:"wait_share"` // cpu_threads.py: the share of its time each thread should wait
	Born       int                    `json:"born"`       // churn.py: threads started
	// Interpreters is the interpreter in which each thread ran, by thread id (interpreters.py).
	Interpreters map[int32]uint16 `json:"interpreters"`
}

// TruthThread is one thread's own measurement.
type TruthThread struct {
	Name       string                `json:"name"`
	Role       string                `json:"role"`
	Waits      []Interval            `json:"waits"`        // for the GIL; nil: this thread does not measure its waits
	Holds      []Interval            `json:"holds"`        // of the GIL; nil: not measured (only holds.py does)
	Calls      map[string][]Interval `json:"calls"`        // long C calls under the GIL, by the function that made them
	Forced     []int64               `json:"forced"`       // when it lost the GIL without choosing to
	Voluntary  int64                 `json:"voluntary"`    // how often it gave the GIL away, lower bound
	CPUNS      int64                 `json:"cpu_ns"`       // whole life
	RunDelayNS int64                 `json:"run_delay_ns"` // whole life: runnable, but not running
}

// Interval is a begin and an end, ns.
type Interval [2]int64

// Expectation says whom a report must blame: threads of WaiterRole wait while threads of HolderRole are in Function.
type Expectation struct {
	WaiterRole string  `json:"waiter_role"`
	HolderRole string  `json:"holder_role"`
	Function   string  `json:"function"`
	File       string  `json:"file"`
	Line       [2]int  `json:"line"`   // first and last line of Function
	Native     *string `json:"native"` // C function it is in, if known
}

// ParseTruth reads the last line of a truth program.
func ParseTruth(line []byte) (*Truth, error) {
	t := new(Truth)
	if err := json.Unmarshal(line, t); err != nil {
		return nil, fmt.Errorf("read the truth: %w; the last line of a truth program is its JSON", err)
	}
	if t.Schema != "gilscope.truth/v1" {
		return nil, fmt.Errorf("read the truth: schema %q, want gilscope.truth/v1", t.Schema)
	}
	return t, nil
}

// Clip returns the total length, in ns, of the parts of the intervals between from and to, and how many reach into it.
func Clip(all []Interval, from, to int64) (totalNS int64, count int) {
	for _, i := range all {
		if begin, end := max(i[0], from), min(i[1], to); begin < end {
			totalNS += end - begin
			count++
		}
	}
	return totalNS, count
}
