package trace

// followSwitch follows who waits for a CPU up to the window's start.
func (x *window) followSwitch(e *Event) {
	if x.w != nil && e.Time >= x.from {
		return
	}
	delete(x.runnable, e.TID)
	left := x.cpus[e.CPU].last.TID
	if (e.Arg == 0 || e.Arg == statePreempted) && left != IdleTID && left != OtherTID && left != e.TID {
		x.runnable[left] = e.CPU
	}
}

// statePreempted is how a switch tells that the thread that left is runnable
// though it was not in the state for that (TASK_REPORT_MAX, include/linux/sched.h).
const statePreempted = 0x100

// lane finds the lane of an event, by its kind and interpreter.
func (p *windowProcess) lane(e *Event) *laneState {
	ofLoop := Specs[e.Kind].Track.ofLoop()
	for i := range p.lanes {
		if l := &p.lanes[i]; l.last.Kind == e.Kind && l.last.GIL == e.GIL && (!ofLoop || l.last.TID == e.TID) {
			return l
		}
	}
	p.lanes = append(p.lanes, laneState{last: Event{Kind: e.Kind, PID: e.PID, GIL: e.GIL, Time: noTime}})
	if ofLoop {
		p.lanes[len(p.lanes)-1].last.TID = e.TID
	}
	return &p.lanes[len(p.lanes)-1]
}

// noTime marks a lane that had no value yet.
const noTime = Time(-1 << 63)

// lane takes in a value of a lane.
func (x *window) lane(l *laneState, e *Event) {
	switch {
	case x.w == nil || e.Time < x.from:
		l.last = *e
	case e.Time <= x.to:
		if e.Time > x.from {
			x.restate(l)
		}
		l.told = true
		x.write(e)
	}
}

// restate tells at the window's first moment what a lane shows then.
func (x *window) restate(l *laneState) {
	if l.told || l.last.Kind == NoKind || l.last.Time == noTime {
		return
	}
	l.told = true
	e := l.last
	if Specs[e.Kind].sum() {
		return // it counts what was before the window
	}
	e.Time = x.from
	if e.Kind == SchedSwitch {
		e.Arg = 0 // who left is not known
	}
	x.write(&e)
}
