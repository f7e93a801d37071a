package trace

// ofLoop says of a track whether it is one of a loop.
func (t Track) ofLoop() bool { return t >= TrackLoop && t <= TrackLoopLag }

// ofExecutor says of a track whether it is one of an executor.
func (t Track) ofExecutor() bool { return t >= TrackExecutorWorkers && t <= TrackExecutorAtMost }

// loopCounter is the row of a counter of a loop.
func loopCounter(name string, on Track, key string, rank uint8) Spec {
	return Spec{Name: name, Form: FormCounter, Track: on, Rank: rank, Fields: []Field{pidField, tidField, {Of: FieldArg, Key: key}}}
}

// executorCounter is the row of a counter of an executor.
func executorCounter(name string, on Track, key string, rank uint8) Spec {
	return Spec{Name: name, Form: FormCounter, Track: on, Rank: rank, Fields: []Field{pidField, {Of: FieldGIL, Key: "executor"}, {Of: FieldArg, Key: key}}}
}

// sum says of a counter that its values count what was since the value before.
func (s *Spec) sum() bool {
	switch on := s.Track; on {
	case TrackLoopShare, TrackExecutorWorkers, TrackExecutorBusy, TrackExecutorDNS, TrackExecutorQueue:
		return false
	case TrackRunning, TrackRunnable:
		return true // the share of a time, which the window may cut
	default:
		return on.ofLoop() || on.ofExecutor()
	}
}

// counterOn is the kind of a counter's track.
func counterOn(t Track) Kind {
	for k := range Specs {
		if Specs[k].Form == FormCounter && Specs[k].Track == t {
			return Kind(k)
		}
	}
	return NoKind
}
