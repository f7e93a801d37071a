package trace

import "sort"

const (
	bundleEvents = 512 // scheduling events of a CPU that are written together
	// Priorities are not recorded: 120 is that of a normal thread. The switch
	// that opens a CPU, which Perfetto needs and makes no row of, has another
	// one, by which Read knows it.
	prioNormal  = 120
	prioOpening = 1
	idleName    = "swapper"
)

// schedEvent is a switch or a waking that waits for its bundle.
type schedEvent struct {
	time Time
	arg  int64 // previous state, or target CPU
	tid  int32
	comm uint32
	prio uint8
}

// cpuBuffer collects the scheduling events of one CPU.
type cpuBuffer struct {
	opened            bool
	switches, wakings []schedEvent
	comms             []string // of the bundle being written
}

// cpu finds the buffer of a CPU and makes room in it for two events.
func (w *Writer) cpu(cpu uint16) *cpuBuffer {
	for int(cpu) >= len(w.cpus) {
		w.cpus = append(w.cpus, nil)
	}
	c := w.cpus[cpu]
	if c == nil {
		c = &cpuBuffer{}
		w.cpus[cpu] = c
	}
	if len(c.switches)+len(c.wakings)+2 > bundleEvents {
		w.flushCPU(int(cpu))
	}
	return c
}

func (w *Writer) schedSwitch(e *Event) {
	c := w.cpu(e.CPU)
	if !c.opened {
		c.opened = true
		c.switches = append(c.switches, schedEvent{time: e.Time, tid: IdleTID, prio: prioOpening})
	}
	c.switches = append(c.switches, schedEvent{time: e.Time, tid: e.TID, arg: e.Arg, prio: prioNormal})
}

func (w *Writer) schedWaking(e *Event) {
	c := w.cpu(e.CPU)
	c.wakings = append(c.wakings, schedEvent{time: e.Time, tid: e.TID, arg: e.Arg, prio: prioNormal})
}

// flushCPU writes the bundle of a CPU.
func (w *Writer) flushCPU(cpu int) {
	c := w.cpus[cpu]
	if c == nil || len(c.switches)+len(c.wakings) == 0 {
		return
	}
	sortSched(c.switches)
	sortSched(c.wakings)
	w.bundleNo++
	w.comms = w.comms[:0]
	c.comms = c.comms[:0]
	w.nameSched(c, c.switches)
	w.nameSched(c, c.wakings)

	at := w.begin()
	b, bundle := open(w.buf, fPacketFtrace)
	b = appendUint(b, fBundleCPU, uint64(cpu))
	b, compact := open(b, fBundleCompact)
	for _, comm := range c.comms {
		b = appendString(b, fSchedComms, comm)
	}
	b = appendSched(b, c.switches, [5]uint64{fSwitchTime, fSwitchState, fSwitchNext, fSwitchPrio, fSwitchComm})
	b = appendSched(b, c.wakings, [5]uint64{fWakeTime, fWakeCPU, fWakeTID, fWakePrio, fWakeComm})
	w.buf = seal(seal(b, compact), bundle)
	w.end(at)
	c.switches, c.wakings = c.switches[:0], c.wakings[:0]
}

// sortSched puts events in order of time; nearly always they are.
func sortSched(s []schedEvent) {
	for i := 1; i < len(s); i++ {
		if s[i].time < s[i-1].time {
			sort.SliceStable(s, func(i, j int) bool { return s[i].time < s[j].time })
			return
		}
	}
}

// nameSched gives each event the place of its thread's name in the bundle.
func (w *Writer) nameSched(c *cpuBuffer, events []schedEvent) {
	for i := range events {
		e := &events[i]
		t := w.schedThread(e.tid)
		if t.bundle != w.bundleNo {
			t.bundle, t.comm, t.seen = w.bundleNo, uint32(len(c.comms)), w.in.gen
			w.useThread(t)
			c.comms = append(c.comms, w.in.names[t.nameID].text)
		}
		e.comm = t.comm
	}
}

// schedThread finds the thread of a scheduling event, which has no PID.
func (w *Writer) schedThread(tid int32) *thread {
	t := w.byTID[tid]
	if t == nil {
		name := shownName("", tid)
		if tid == IdleTID {
			name = idleName
		}
		t = &thread{tid: tid, nameID: w.in.name(name)}
		w.byTID[tid] = t
	}
	return t
}

// appendSched appends events as five packed arrays: time since the event
// before, arg, thread, priority, place of the name.
func appendSched(b []byte, events []schedEvent, field [5]uint64) []byte {
	if len(events) == 0 {
		return b
	}
	b, at := open(b, field[0])
	last := Time(0)
	for i := range events {
		b = appendVarint(b, uint64(events[i].time-last))
		last = events[i].time
	}
	b, at = open(seal(b, at), field[1])
	for i := range events {
		b = appendVarint(b, uint64(events[i].arg))
	}
	b, at = open(seal(b, at), field[2])
	for i := range events {
		b = appendVarint(b, uint64(events[i].tid))
	}
	b, at = open(seal(b, at), field[3])
	for i := range events {
		b = appendVarint(b, uint64(events[i].prio))
	}
	b, at = open(seal(b, at), field[4])
	for i := range events {
		b = appendVarint(b, uint64(events[i].comm))
	}
	return seal(b, at)
}
