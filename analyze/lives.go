package analyze

import (
	"sort"

	"gilscope/internal/trace"
)

// The kernel gives a number to a new thread as soon as the old one is gone, in
// another process or in the same one. A Thread of the Timeline is therefore one
// life: a pair of process and number from its start to its end. Events that name
// a process belong to the latest life of that pair. Those of the scheduler name
// a number only, and belong to whoever lives under it at that moment: the thread
// that started last, or that last did something itself.

// threadKey is a thread's process and number as one.
func threadKey(pid, tid int32) uint64 { return uint64(uint32(pid))<<32 | uint64(uint32(tid)) }

// thread finds or makes the thread that does something at this moment; none for
// ids that are no target's thread. A pid of 0 asks for whoever has the number.
func (b *builder) thread(tid, pid int32) int32 {
	if tid == b.lastTID && (pid == b.lastPID || pid == 0) {
		return b.lastIdx
	}
	return b.find(tid, pid, true)
}

// claimed is thread for one whom only the interpreter's memory names. After a
// fork that still names the parent's thread: the number does not move for it.
func (b *builder) claimed(tid, pid int32) int32 {
	if tid == b.lastTID && pid == b.lastPID {
		return b.lastIdx
	}
	return b.find(tid, pid, false)
}

func (b *builder) find(tid, pid int32, acts bool) int32 {
	if tid <= trace.IdleTID || tid == trace.OtherTID {
		return none
	}
	i, ok := b.latest[tid]
	if !ok {
		i = b.add(tid, pid)
		b.latest[tid] = i
	} else if has := b.tl.Threads[i].PID; pid != 0 && pid != has {
		if i = b.elsewhere(i, tid, pid, acts); i == none || b.latest[tid] != i {
			return i
		}
	}
	if pid = b.tl.Threads[i].PID; pid != 0 {
		b.lastTID, b.lastPID, b.lastIdx = tid, pid, i
	}
	return i
}

// elsewhere finds the thread of this process while another one, has, was the
// last under its number.
func (b *builder) elsewhere(has, tid, pid int32, acts bool) int32 {
	i, ok := b.tl.threadOf[threadKey(pid, tid)]
	if b.tl.Threads[has].PID == 0 && !ok {
		// Scheduling events name no process. What they met first learns it here.
		b.tl.Threads[has].PID = pid
		b.tl.threadOf[threadKey(pid, tid)] = has
		return has
	}
	switch free := b.run[has].ended; {
	case ok && (b.run[i].ended || !acts):
		return i // late news of a thread that is gone, or a claim
	case !acts && !free:
		return none
	case !ok:
		i = b.add(tid, pid)
	}
	b.succeed(tid, i)
	return i
}

// succeed gives a number to another thread. Who had it is gone by then.
func (b *builder) succeed(tid, i int32) {
	if was, ok := b.latest[tid]; ok {
		b.ends(was, trace.WaitUnknown, trace.DropUnknown)
	}
	if th := &b.tl.Threads[i]; len(th.States) == 0 {
		th.Start = b.now
	}
	b.latest[tid] = i
	b.lastTID, b.lastPID, b.lastIdx = trace.IdleTID, 0, none
}

// add makes a thread; the caller says whether it has its number now.
func (b *builder) add(tid, pid int32) int32 {
	i := int32(len(b.tl.Threads))
	key := threadKey(pid, tid)
	th := Thread{PID: pid, TID: tid, Start: b.tl.Start, End: b.tl.End}
	if before, ok := b.tl.threadOf[key]; ok {
		th.Name = b.tl.Threads[before].Name // a trace has one name for all lives of a number in a process
		if len(b.tl.lives[key]) == 0 {
			b.tl.lives[key] = []int32{before}
		}
		b.tl.lives[key] = append(b.tl.lives[key], i)
	}
	b.tl.threadOf[key] = i
	b.tl.Threads = append(b.tl.Threads, th)
	b.run = append(b.run, threadRun{wait: none, hold: none, laneGIL: none, cpu: none})
	return i
}

// threadAt is who had a number in a process at a moment.
func (tl *Timeline) threadAt(pid, tid int32, at trace.Time) (int32, bool) {
	key := threadKey(pid, tid)
	if lives := tl.lives[key]; len(lives) > 0 {
		k := sort.Search(len(lives), func(k int) bool { return tl.Threads[lives[k]].Start > at })
		return lives[max(k-1, 0)], true
	}
	i, ok := tl.threadOf[key]
	return i, ok
}

// declared takes over the trace's table of threads.
func (b *builder) declared(threads []trace.Thread) {
	for _, th := range threads {
		if th.TID <= trace.IdleTID || th.TID == trace.OtherTID {
			continue
		}
		i, ok := b.tl.threadOf[threadKey(th.PID, th.TID)]
		if !ok {
			i = b.add(th.TID, th.PID)
		}
		if _, taken := b.latest[th.TID]; !taken {
			b.latest[th.TID] = i // the table is in the order in which they were met
		}
		b.tl.Threads[i].Name = th.Name
	}
}

// starts begins the life of a thread.
func (b *builder) starts(tid, pid int32) {
	i, ok := b.tl.threadOf[threadKey(pid, tid)]
	if ok && b.run[i].ended {
		i = b.add(tid, pid)
		b.succeed(tid, i)
	} else if i = b.thread(tid, pid); i == none {
		return
	}
	if th := &b.tl.Threads[i]; len(th.States) == 0 && !th.Started {
		th.Start, th.Started = b.now, true
	}
}

func (b *builder) threadExit(e *trace.Event) {
	i := b.thread(e.TID, e.PID)
	if i == none || b.run[i].ended && b.latest[e.TID] != i {
		return
	}
	b.ends(i, trace.WaitExit, trace.DropExit)
	b.tl.Threads[i].End, b.tl.Threads[i].Ended = b.now, true
}

// ends closes all that a thread was in the middle of.
func (b *builder) ends(i int32, outcome trace.WaitOutcome, reason trace.DropReason) {
	b.waitEnd(i, outcome)
	b.holdEnd(i, reason, false)
	b.setState(i, NoState)
	if g := b.run[i].laneGIL; g != none {
		b.holder(g, Unknown, 0)
	}
	if !b.run[i].ended {
		b.tl.Threads[i].End = b.now
		b.run[i].ended = true
	}
}

// processStart is the fork that made a recorded process, which starts its first thread.
type processStart struct {
	at  trace.Time
	pid int32
}

func processStarts(t *trace.Trace) []processStart {
	var list []processStart
	for i := range t.Notes {
		if n := &t.Notes[i]; n.Name == trace.NoteStarted && n.PID > 0 {
			list = append(list, processStart{n.Time, n.PID})
		}
	}
	return list
}
