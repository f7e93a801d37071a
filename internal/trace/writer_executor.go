package trace

// executorTracks are the counters of an executor.
var executorTracks = []Track{TrackExecutorWorkers, TrackExecutorBusy, TrackExecutorDNS, TrackExecutorBusyNS, TrackExecutorIdleNS,
	TrackExecutorQueue, TrackExecutorLeft, TrackExecutorWaited, TrackExecutorAtMost}

// executorGroup is the group of a process's executors and the tracks in it.
type executorGroup struct {
	own    track // uuid 0: there is none
	tracks []track
}

// executorTrack is the track of an executor's counter, its descriptor written.
func (w *Writer) executorTrack(e *Event) uint64 {
	p, what := w.process(e.PID), Specs[e.Kind].Track
	g := &p.executors
	if g.own.uuid == 0 {
		g.own = w.newTrack(trackExecutors, p.own.uuid)
	}
	for i := range g.tracks {
		if t := &g.tracks[i]; t.what == what && t.gil == e.GIL {
			if t.gen != w.in.gen {
				w.useProcess(p)
				w.processTrack(p)
				w.needTrack(&g.own)
				w.needTrack(t)
			}
			return t.uuid
		}
	}
	t := w.newTrack(what, g.own.uuid)
	t.gil = e.GIL
	g.tracks = append(g.tracks, t)
	return w.executorTrack(e)
}
