package trace

import (
	"strconv"
	"strings"
)

// chunk decodes a number of whole packets.
func (d *decoder) chunk(b []byte) {
	f := fields{b: b}
	for f.next() {
		if f.num == fTracePacket && f.sub != nil {
			d.packet(f.sub)
		}
	}
	if len(f.b) > 0 {
		d.damaged = true
	}
}

// Keys of the fields of the hot messages: number and wire type.
const (
	keyTimestamp   = fPacketTimestamp<<3 | wireVarint
	keyTrackEvent  = fPacketTrackEvent<<3 | wireBytes
	keyPerfSample  = fPacketPerfSample<<3 | wireBytes
	keyFtrace      = fPacketFtrace<<3 | wireBytes
	keyInterned    = fPacketInterned<<3 | wireBytes
	keyDescriptor  = fPacketTrackDescriptor<<3 | wireBytes
	keyProcessTree = fPacketProcessTree<<3 | wireBytes
)

// packet decodes one packet.
func (d *decoder) packet(b []byte) {
	var event, sample []byte
	var time Time
	for i := 0; i < len(b); {
		key, val, next := field(b, i)
		if next == 0 {
			break
		}
		i = next
		switch key {
		case keyTimestamp:
			time = Time(val)
		case keyTrackEvent:
			event = b[val:next]
		case keyPerfSample:
			sample = b[val:next]
		case keyFtrace:
			d.bundle(b[val:next])
		case keyInterned:
			d.interned(b[val:next])
		case keyDescriptor:
			d.descriptor(b[val:next])
		case keyProcessTree:
			d.processTree(b[val:next])
		}
	}
	if event != nil {
		d.trackEvent(time, event)
	}
	if sample != nil {
		d.sample(time, sample)
	}
}

// processTree decodes the names of processes and threads.
func (d *decoder) processTree(b []byte) {
	f := fields{b: b}
	for f.next() {
		switch f.num {
		case fTreeProcess:
			d.process(f.sub)
		case fTreeThread:
			d.thread(f.sub)
		}
	}
}

func (d *decoder) process(b []byte) {
	var p Process
	f := fields{b: b}
	for f.next() {
		switch f.num {
		case fProcPID:
			p.PID = int32(f.val)
		case fProcPPID:
			p.PPID = int32(f.val)
		case fProcCmdline:
			p.Name = cleanText(string(f.sub), maxText)
		}
	}
	if _, ok := d.processAt[p.PID]; p.PID == OtherTID || !ok && !d.budget.spend(namedEntry+len(p.Name)) {
		return
	}
	d.t.addProcess(d.processAt, p)
}

func (d *decoder) thread(b []byte) {
	var t Thread
	f := fields{b: b}
	for f.next() {
		switch f.num {
		case fTreeThreadTID:
			t.TID = int32(f.val)
		case fTreeThreadPID:
			t.PID = int32(f.val)
		case fTreeName:
			t.Name = cleanText(string(f.sub), maxText)
		}
	}
	if _, ok := d.threadAt[threadKey(t.PID, t.TID)]; t.TID == OtherTID || !ok && !d.budget.spend(namedEntry+len(t.Name)) {
		return
	}
	d.t.addThread(d.threadAt, t)
}

// addProcess adds or replaces a process; at says where each stands.
func (t *Trace) addProcess(at map[int32]int, p Process) {
	if i, ok := at[p.PID]; ok {
		t.Processes[i] = p
		return
	}
	at[p.PID] = len(t.Processes)
	t.Processes = append(t.Processes, p)
}

// addThread adds or replaces a thread; at says where each stands.
func (t *Trace) addThread(at map[uint64]int, th Thread) {
	key := threadKey(th.PID, th.TID)
	if i, ok := at[key]; ok {
		t.Threads[i] = th
		return
	}
	at[key] = len(t.Threads)
	t.Threads = append(t.Threads, th)
}

// trackInfo is what the uuid of a track stands for.
type trackInfo struct {
	pid, tid int32
	gil      uint16
	what     Track
}

// trackTable finds tracks by uuid. The Writer numbers from 1.
type trackTable struct {
	low  [1024]trackInfo
	rest map[uint64]trackInfo
}

func (t *trackTable) get(uuid uint64) trackInfo {
	if uuid < uint64(len(t.low)) {
		return t.low[uuid]
	}
	return t.rest[uuid]
}

func (t *trackTable) set(uuid uint64, i trackInfo) {
	if uuid < uint64(len(t.low)) {
		t.low[uuid] = i
		return
	}
	t.rest[uuid] = i
}

// descriptor decodes the description of a track. What a track is follows from
// its name and its parent, which was described before.
func (d *decoder) descriptor(b []byte) {
	var info trackInfo
	var uuid, parent uint64
	var name []byte
	f := fields{b: b}
	for f.next() {
		switch f.num {
		case fTrackUUID:
			uuid = f.val
		case fTrackParent:
			parent = f.val
		case fTrackName:
			name = f.sub
		case fTrackProcess:
			info.what = trackProcess
			info.pid, _ = decodeIDs(f.sub)
		case fTrackThread:
			info.what = TrackThread
			info.pid, info.tid = decodeIDs(f.sub)
		}
	}
	if info.what == NoTrack {
		info = childTrack(d.tracks.get(parent), string(name))
	}
	if uuid >= uint64(len(d.tracks.low)) && d.tracks.rest[uuid] == (trackInfo{}) && !d.budget.spend(namedEntry) {
		return
	}
	d.tracks.set(uuid, info)
}

// decodeIDs decodes the first two numbers of a Process- or ThreadDescriptor.
func decodeIDs(b []byte) (pid, tid int32) {
	f := fields{b: b}
	for f.next() {
		switch f.num {
		case fThreadPID:
			pid = int32(f.val)
		case fThreadTID:
			tid = int32(f.val)
		}
	}
	return pid, tid
}

// childTrack tells what a track with a name is.
func childTrack(parent trackInfo, name string) trackInfo {
	info := parent
	var may []Track
	switch parent.what {
	case NoTrack:
		may = []Track{trackNotes}
	case TrackThread:
		may = []Track{TrackThreadGIL, TrackWorld}
	case trackProcess:
		may = []Track{trackGroup, trackLoops, trackExecutors, TrackRunning, TrackRunnable}
	case trackLoops:
		may = []Track{TrackLoopShare, TrackLoopBusy, TrackLoopIdle, TrackLoopIterations, TrackLoopEvents, TrackLoopLate, TrackLoopLag, TrackLoop}
	case trackExecutors:
		may = executorTracks
	case trackGroup:
		may = []Track{TrackHolder, TrackWaiters, TrackBusy}
	}
	for _, what := range may {
		number, ok := strings.CutPrefix(name, trackNames[what])
		if !ok {
			continue
		}
		if what.ofLoop() {
			if n, err := strconv.ParseInt(strings.TrimPrefix(number, " "), 10, 32); err == nil {
				info.what, info.tid = what, int32(n)
				return info
			}
			continue
		}
		if number == "" {
			info.what = what
			return info
		}
		if n, err := strconv.ParseUint(strings.TrimPrefix(number, " "), 10, 16); err == nil {
			info.what, info.gil = what, uint16(n)
			return info
		}
	}
	return trackInfo{}
}
