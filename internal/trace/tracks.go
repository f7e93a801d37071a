package trace

import "strconv"

// otherName stands for all threads that are not a target's.
const otherName = "(other)"

// track is a track of the file. Uuids are small numbers, since every event
// carries one.
type track struct {
	uuid, parent uint64
	gen          uint32 // generation in which its descriptor was written
	what         Track
	gil          uint16
	tid          int32 // of a loop's track: its thread
}

// process is what the writer knows about a process.
type process struct {
	pid, ppid int32
	name      string
	declared  bool // by Process; otherwise only events name it
	exited    bool
	seen      uint32 // generation in which it was used last
	threads   int    // in Writer.threads
	gen       uint32
	own       track
	gils      []gilTracks
	loops     track // the group of the event loops; uuid 0: there is none
	executors executorGroup
	cpus      [2]track // running and runnable threads; uuid 0: not yet
}

// gilTracks is the group of one GIL.
type gilTracks struct {
	group, holder, waiters, busy track
	held                         bool // a slice of the holder lane is open
}

// thread is what the writer knows about a thread.
type thread struct {
	pid, tid int32
	name     string
	nameID   uint32
	declared bool
	exited   bool
	open     int8   // slices that are open: waits and holds
	seen     uint32 // generation in which it was used last
	gen      uint32
	own      track
	gils     []track     // "GIL" tracks by interpreter, nearly always one, and that of pauses
	loop     *loopTracks // nil: it is no event loop
	proc     *process
	bundle   uint32 // bundle in which comm is the thread's place
	comm     uint32
}

func threadKey(pid, tid int32) uint64 { return uint64(uint32(pid))<<32 | uint64(uint32(tid)) }

// Process names a process; a later one of the same PID replaces it.
func (w *Writer) Process(p Process) {
	w.room()
	pr := w.process(p.PID)
	pr.ppid, pr.name, pr.declared, pr.exited = p.PPID, cleanText(p.Name, maxText), true, false
	w.writeProcess(pr)
}

// Thread names a thread; a later one of the same TID replaces it.
func (w *Writer) Thread(t Thread) {
	if t.TID == OtherTID {
		return // it has a name already
	}
	w.room()
	th := w.thread(t.PID, t.TID)
	th.name, th.declared, th.exited = cleanText(t.Name, maxText), true, false
	th.nameID = w.in.name(shownName(th.name, t.TID))
	w.byTID[t.TID] = th
	w.writeThread(th)
}

// shownName is how a thread appears as a holder: its name, or its number.
func shownName(name string, tid int32) string {
	if name == "" {
		return "thread " + strconv.Itoa(int(tid))
	}
	return name
}

// process finds a process, a new one if it was not named.
func (w *Writer) process(pid int32) *process {
	p := w.procs[pid]
	if p == nil {
		p = &process{pid: pid, own: w.newTrack(trackProcess, 0)}
		w.procs[pid] = p
	}
	p.seen = w.in.gen
	return p
}

// thread finds a thread, a new one if it was not named.
func (w *Writer) thread(pid, tid int32) *thread {
	if t := w.last; t != nil && t.tid == tid && t.pid == pid {
		return t
	}
	t := w.threads[threadKey(pid, tid)]
	if t == nil {
		t = w.newThread(pid, tid)
	}
	t.seen = w.in.gen // forget clears w.last, so that every generation comes here
	w.last = t
	return t
}

// peer finds the other thread of an event of process pid: it may be another process's.
func (w *Writer) peer(pid, tid int32) *thread {
	if t := w.byTID[tid]; t != nil && t.pid != pid && w.threads[threadKey(pid, tid)] == nil {
		pid = t.pid
	}
	return w.thread(pid, tid)
}

func (w *Writer) newThread(pid, tid int32) *thread {
	t := &thread{pid: pid, tid: tid, own: w.newTrack(TrackThread, 0), proc: w.process(pid)}
	t.nameID = w.in.name(shownName("", tid))
	t.proc.threads++
	w.threads[threadKey(pid, tid)] = t
	if w.byTID[tid] == nil {
		w.byTID[tid] = t
	}
	return t
}

func (w *Writer) newTrack(what Track, parent uint64) track {
	w.uuids++
	return track{uuid: w.uuids, parent: parent, what: what}
}

// useProcess and useThread see to it that the names are in this generation.
func (w *Writer) useProcess(p *process) {
	if p.declared && !p.exited && p.gen != w.in.gen {
		w.writeProcess(p)
	}
}

func (w *Writer) useThread(t *thread) {
	if t.declared && !t.exited && t.gen != w.in.gen {
		w.writeThread(t)
	}
}

func (w *Writer) writeProcess(p *process) {
	p.gen = w.in.gen
	at := w.begin()
	b, tree := open(w.buf, fPacketProcessTree)
	b, entry := open(b, fTreeProcess)
	b = appendUint(b, fProcPID, uint64(p.pid))
	b = appendUint(b, fProcPPID, uint64(p.ppid))
	b = appendString(b, fProcCmdline, p.name)
	w.buf = seal(seal(b, entry), tree)
	w.end(at)
}

func (w *Writer) writeThread(t *thread) {
	t.gen = w.in.gen
	if t.proc != nil {
		w.useProcess(t.proc)
	}
	at := w.begin()
	b, tree := open(w.buf, fPacketProcessTree)
	b, entry := open(b, fTreeThread)
	b = appendUint(b, fTreeThreadTID, uint64(t.tid))
	b = appendString(b, fTreeName, t.name)
	b = appendUint(b, fTreeThreadPID, uint64(t.pid))
	w.buf = seal(seal(b, entry), tree)
	w.end(at)
}

// childTrack is the thread's track of a GIL, or of the pauses it makes, its descriptor written.
func (w *Writer) childTrack(t *thread, what Track, gil uint16) uint64 {
	for i := range t.gils {
		if tr := &t.gils[i]; tr.gil == gil && tr.what == what {
			if tr.gen != w.in.gen {
				w.threadTrack(t)
				w.needTrack(tr)
			}
			return tr.uuid
		}
	}
	tr := w.newTrack(what, t.own.uuid)
	tr.gil = gil
	t.gils = append(t.gils, tr)
	return w.childTrack(t, what, gil)
}

// threadTrack is the thread's own track, its descriptor written.
func (w *Writer) threadTrack(t *thread) uint64 {
	if t.own.gen != w.in.gen {
		w.useThread(t)
		w.descriptor(&t.own, func(b []byte) []byte {
			b, at := open(b, fTrackThread)
			b = appendUint(b, fThreadPID, uint64(t.pid))
			b = appendUint(b, fThreadTID, uint64(t.tid))
			return seal(b, at)
		})
	}
	return t.own.uuid
}

// gilGroup is the group of a process's GIL, its descriptors written.
func (w *Writer) gilGroup(pid int32, gil uint16) *gilTracks {
	p := w.process(pid)
	for i := range p.gils {
		g := &p.gils[i]
		if g.group.gil != gil {
			continue
		}
		if g.group.gen != w.in.gen {
			w.useProcess(p)
			w.processTrack(p)
			w.needTrack(&g.group)
			w.needTrack(&g.holder)
			w.needTrack(&g.waiters)
			w.needTrack(&g.busy)
		}
		return g
	}
	g := gilTracks{group: w.newTrack(trackGroup, p.own.uuid)}
	g.holder = w.newTrack(TrackHolder, g.group.uuid)
	g.waiters = w.newTrack(TrackWaiters, g.group.uuid)
	g.busy = w.newTrack(TrackBusy, g.group.uuid)
	g.group.gil, g.holder.gil, g.waiters.gil, g.busy.gil = gil, gil, gil, gil
	p.gils = append(p.gils, g)
	return w.gilGroup(pid, gil)
}

func (w *Writer) processTrack(p *process) {
	if p.own.gen != w.in.gen {
		w.descriptor(&p.own, func(b []byte) []byte {
			b, at := open(b, fTrackProcess)
			b = appendUint(b, fProcessPID, uint64(p.pid))
			return seal(b, at)
		})
	}
}

// needTrack writes the descriptor of a track that has a name of its own.
func (w *Writer) needTrack(t *track) {
	if t.gen == w.in.gen {
		return
	}
	w.descriptor(t, func(b []byte) []byte {
		b = appendString(b, fTrackName, t.name())
		switch t.what {
		case trackGroup:
			b = appendUint(b, fTrackOrdering, orderExplicit)
		case TrackThreadGIL, TrackLoop, TrackWorld:
			b = appendUint(b, fTrackMerge, mergeNone)
		case TrackHolder, TrackWaiters, TrackBusy:
			b = appendUint(b, fTrackRank, uint64(t.what-TrackHolder))
		}
		switch t.what {
		case TrackWaiters, TrackLoopBusy, TrackLoopIdle, TrackLoopIterations, TrackLoopEvents, TrackLoopLate, TrackLoopLag,
			TrackExecutorWorkers, TrackExecutorBusy, TrackExecutorDNS, TrackExecutorBusyNS, TrackExecutorIdleNS,
			TrackExecutorQueue, TrackExecutorLeft, TrackExecutorWaited, TrackExecutorAtMost:
			b = appendString(b, fTrackCounter, "")
		case TrackBusy, TrackLoopShare, TrackRunning, TrackRunnable:
			b, at := open(b, fTrackCounter)
			return seal(appendString(b, fCounterUnit, "%"), at)
		}
		return b
	})
}

// descriptor writes a track descriptor, the particulars by more.
func (w *Writer) descriptor(t *track, more func([]byte) []byte) {
	t.gen = w.in.gen
	at := w.begin()
	b, desc := open(w.buf, fPacketTrackDescriptor)
	b = appendUint(b, fTrackUUID, t.uuid)
	if t.parent != 0 {
		b = appendUint(b, fTrackParent, t.parent)
	}
	w.buf = seal(more(b), desc)
	w.end(at)
}

// name is the name of a track in the file.
func (t *track) name() string {
	switch {
	case t.what.ofLoop():
		return trackNames[t.what] + " " + strconv.Itoa(int(t.tid))
	case t.gil == 0:
		return trackNames[t.what]
	}
	return trackNames[t.what] + " " + strconv.Itoa(int(t.gil))
}
