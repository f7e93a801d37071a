package collector

import "gilscope/internal/trace"

// thread is what the collector knows of one thread of a target.
type thread struct {
	tid        int32
	proc       *process
	ended      trace.Time // 0: it lives
	lastIn     trace.Time // last time it got a CPU
	woken      trace.Time // last time somebody made it runnable
	signal     bool       // and that was a drop; otherwise a timer
	slice      bool       // a probe saw it enter a wait; it has not slept since
	asked      bool       // to drop the GIL, since it last took it
	cpu        onCPU
	cpuSince   trace.Time
	wait       wait
	lock       lockWait
	holds      *gil       // detail full: the GIL it holds
	since      trace.Time // detail full: since when
	tasks      loopTasks
	loop       *loop      // nil: it is no event loop
	inLoop     uint32     // CPU samples in a loop that is not watched
	worker     *worker    // nil: it works for no executor
	looks      int        // at its stack, see findWorkers
	born       trace.Time // 0: before the recording
	daemonTold bool       // whether it is one has been told
	stops      trace.Time // since when it stops all others; 0: it does not
	imported   string     // the module that it imported last, if a probe told
	fired      trace.Time // begin of the wait or hold of which an alarm has told
}

// wait is a GIL wait that goes on, or the start of none.
type wait struct {
	open     bool
	of       *gil
	told     bool       // its begin is in the trace
	guess    bool       // nothing has proved yet that it is one
	slept    bool       // a guess, but the thread slept: if it then takes the GIL it was one
	blocked  bool       // the thread sleeps at present
	slice    bool       // its present or last sleep is a timed slice
	expired  trace.Time // when its last slice was found to have expired, 0: not
	mine     bool       // the GIL's last holder was the waiter itself
	begin    trace.Time
	sleep    trace.Time // when the present or last sleep began
	end      trace.Time // the last time it got a CPU: here the wait ends unless it goes on
	onCPU    trace.Time // time on CPU since its last sleep
	holder   int32      // at the begin
	stack    trace.StackID
	locked   bool   // the GIL's fields at the last sleep
	last     int32  // its holder then
	switches uint32 // its switch number then
}

// sample is the GIL's fields at one moment.
type sample struct {
	time     trace.Time
	holder   int32  // thread id of last_holder; 0: not known
	tstate   uint64 // last_holder itself
	switches uint32
	locked   bool
}
