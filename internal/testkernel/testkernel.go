// Package testkernel owns what a virtual machine tells the host in `make
// kernels`: guest, the first process of the machine, runs gilscope on a kernel
// that the host does not have, and sends what came of it as lines of JSON over
// a serial port; boot starts the machines and judges. Whatever can be judged
// later is sent, not judged: the emulated machine is slow, and the judge may change.
package testkernel

import "time"

// Run is one run of gilscope in the guest.
type Run struct {
	Args   []string
	Exit   int // its exit code; -1: it did not start, or was killed after too long
	Stdout string
	Stderr string
	Took   time.Duration
}

// Names of steps, in the order in which the guest takes them.
const (
	Boot    = "boot"    // no run: Kernel is set
	Doctor  = "doctor"  // gilscope doctor --json -p of a Python
	Waits   = "waits"   // record convoy.py with --detail waits
	Full    = "full"    // ... with --detail full
	Auto    = "auto"    // ... without --detail
	Follow  = "follow"  // record family.py from its start, with its children, at full
	Contain = "contain" // record family.py in a pid namespace with -p and --follow, at waits
	Loops   = "loops"   // record two.py, which blocks its event loop, at waits
	Failed  = "failed"  // the last one if the guest could not go on: Error is set
	Done    = "done"    // else
)

// Step is one line.
type Step struct {
	Name   string
	Kernel string   // release, as uname tells it
	Error  string   // of the guest itself, not of gilscope
	Run    Run      // gilscope doctor, or gilscope record
	Report Run      // gilscope report --format json, of the trace
	Truths []string // what the recorded processes measured of themselves, JSON
	Trace  []byte   // the recording
	Left   string   // what gilscope left behind in the kernel and in the process, "" if nothing
}

// Places in the guest's root folder.
const (
	Gilscope = "/usr/bin/gilscope"
	Python   = "/usr/bin/python3"
	Programs = "/testdata" // testdata/truth, testdata/processes and testdata/loops
)

// PortArg names, on the kernel's command line, the serial port where the lines
// go; the kernel hands it on to the first process as a variable.
const PortArg = "gilscope_port"
