package trace

// cpuTrack is the counter of a process's running or runnable threads, its descriptor
// written. It stands beside the threads, in no group: it is about all of them.
func (w *Writer) cpuTrack(e *Event) uint64 {
	p, what := w.process(e.PID), Specs[e.Kind].Track
	t := &p.cpus[what-TrackRunning]
	if t.uuid == 0 {
		*t = w.newTrack(what, p.own.uuid)
	}
	if t.gen != w.in.gen {
		w.useProcess(p)
		w.processTrack(p)
		w.needTrack(t)
	}
	return t.uuid
}
