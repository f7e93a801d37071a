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
	cpus, err := AllowedCPUs()
	if err != nil {
		return
	}
	for _, cpu := range cpus {
		var one unix.CPUSet
		one.Set(cpu)
		if unix.SchedSetaffinity(0, &one) != nil {
			return // what is not visited is seen later
		}
	}
}
