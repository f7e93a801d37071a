package collector

import (
	"golang.org/x/sys/unix"

	"gilscope/internal/trace"
)

// now is the moment on the clock of the events.
func now() trace.Time { return readClock(unix.CLOCK_BOOTTIME) }

func readClock(id int32) trace.Time {
	var ts unix.Timespec
	if err := unix.ClockGettime(id, &ts); err != nil {
		return 0 // the three clocks we ask for always exist
	}
	return trace.Time(ts.Nano())
}

// clock writes a snapshot that links the clock of the events to wall time.
func (s *session) clock() {
	s.w.Clock(now(), readClock(unix.CLOCK_MONOTONIC), readClock(unix.CLOCK_REALTIME))
}

// cpuTime is the CPU time that this program has used, ns.
func cpuTime() int64 {
	return int64(readClock(unix.CLOCK_PROCESS_CPUTIME_ID))
}

type host struct{ release, version, machine string }

func uname() host {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return host{}
	}
	return host{
		release: unix.ByteSliceToString(u.Release[:]),
		version: unix.ByteSliceToString(u.Version[:]),
		machine: unix.ByteSliceToString(u.Machine[:]),
	}
}
