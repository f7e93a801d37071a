package trace

// packed walks a packed array of varints.
type packed struct {
	b []byte
	i int
}

// next is the next number; ok is false at the end and at damage.
func (p *packed) next() (v uint64, ok bool) {
	i := p.i
	if i < len(p.b) && p.b[i] < 0x80 {
		p.i = i + 1
		return uint64(p.b[i]), true
	}
	v, p.i = uvarint(p.b, i)
	return v, p.i != 0
}

// bundle decodes the scheduling events of a CPU.
func (d *decoder) bundle(b []byte) {
	var cpu uint64
	var compact []byte
	f := fields{b: b}
	for f.next() {
		switch f.num {
		case fBundleCPU:
			cpu = f.val
		case fBundleCompact:
			compact = f.sub
		}
	}
	if compact == nil || cpu > 1<<16-1 {
		return
	}
	list := d.cpus[cpu]
	if list == nil {
		list = &eventList{budget: d.budget}
		d.cpus[cpu] = list
	}
	decodeSwitches(list, uint16(cpu), compact)
}

// decodeSwitches decodes the arrays of a bundle.
func decodeSwitches(list *eventList, cpu uint16, compact []byte) {
	var switches, wakings [4]packed // time, arg, tid, priority
	f := fields{b: compact}
	for f.next() {
		switch f.num {
		case fSwitchTime:
			switches[0].b = f.sub
		case fSwitchState:
			switches[1].b = f.sub
		case fSwitchNext:
			switches[2].b = f.sub
		case fSwitchPrio:
			switches[3].b = f.sub
		case fWakeTime:
			wakings[0].b = f.sub
		case fWakeCPU:
			wakings[1].b = f.sub
		case fWakeTID:
			wakings[2].b = f.sub
		case fWakePrio:
			wakings[3].b = f.sub
		}
	}
	decodeArrays(list, SchedSwitch, cpu, &switches)
	decodeArrays(list, SchedWaking, cpu, &wakings)
}

// decodeArrays keeps the events of four arrays of one length.
func decodeArrays(list *eventList, kind Kind, cpu uint16, arrays *[4]packed) {
	var time Time
	for {
		delta, ok := arrays[0].next()
		arg, ok1 := arrays[1].next()
		tid, ok2 := arrays[2].next()
		prio, ok3 := arrays[3].next()
		if !ok || !ok1 || !ok2 || !ok3 {
			return
		}
		time += Time(delta)
		if prio == prioOpening {
			continue
		}
		e := list.slot()
		e.Time, e.Kind, e.CPU, e.TID, e.Arg = time, kind, cpu, int32(tid), int64(arg)
	}
}
