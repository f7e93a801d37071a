package collector

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// visitCPUs runs for a moment on each CPU that the recorder may use, in a thread of
// its own. Who has a CPU when the recording begins is seen when it is switched out,
// and a thread that computes may keep its CPU for a long time.
func visitCPUs() {
	runtime.LockOSThread() // for good: the thread ends with its goroutine, and its affinity with it
	var may, one unix.CPUSet
	if unix.SchedGetaffinity(0, &may) != nil {
		return
	}
	for cpu := range maxCPUs {
		if !may.IsSet(cpu) {
			continue
		}
		one.Zero()
		one.Set(cpu)
		if unix.SchedSetaffinity(0, &one) != nil {
			return // what is not visited is seen later
		}
	}
}

// maxCPUs is how many CPUs a unix.CPUSet has.
const maxCPUs = 1024
