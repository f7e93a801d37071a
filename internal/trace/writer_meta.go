package trace

// state begins a generation: it clears what Perfetto has interned of our
// sequence and writes what every generation needs. Everything else follows
// when it is used.
func (w *Writer) state(first bool) {
	at := w.begin()
	w.buf = appendUint(w.buf, fPacketSequenceFlags, seqCleared|seqNeedsState)
	w.buf = appendUint(w.buf, fPacketStateCleared, 1)
	if first {
		w.buf = appendUint(w.buf, fPacketFirstOnSequence, 1)
	}
	w.buf = appendVarint(appendTag(w.buf, fPacketInterned, wireBytes), uint64(len(wire.static)))
	w.buf = append(w.buf, wire.static...)
	w.defaults()
	w.end(at)
	w.cleared = w.handed + int64(len(w.buf))
}

// defaults writes what all CPU samples have in common.
func (w *Writer) defaults() {
	b, defaults := open(w.buf, fPacketDefaults)
	b, perf := open(b, fDefaultsPerf)
	b, timebase := open(b, fPerfTimebase)
	b = appendUint(b, fTimebaseFreq, uint64(max(w.o.SampleHz, 1)))
	b = appendUint(b, fTimebaseCounter, softwareCPUClock)
	w.buf = seal(seal(seal(b, timebase), perf), defaults)
}

// system writes what the recording was made on and with.
func (w *Writer) system() {
	at := w.begin()
	b, info := open(w.buf, fPacketSystemInfo)
	b, uts := open(b, fSystemUtsname)
	b = appendString(b, fUtsSysname, "Linux")
	b = appendString(b, fUtsVersion, cleanText(w.o.Version, maxText))
	b = appendString(b, fUtsRelease, cleanText(w.o.Release, maxText))
	b = appendString(b, fUtsMachine, cleanText(w.o.Machine, maxText))
	b = seal(b, uts)
	if w.o.TracerVersion != "" {
		b = appendString(b, fSystemService, "gilscope "+cleanText(w.o.TracerVersion, maxText))
	}
	if w.o.CPUs > 0 {
		b = appendUint(b, fSystemCPUs, uint64(w.o.CPUs))
	}
	w.buf = seal(b, info)
	w.end(at)
}

// Clock writes what CLOCK_BOOTTIME, CLOCK_MONOTONIC and CLOCK_REALTIME showed
// at one moment, so that Perfetto can tell the time of day. The recorder calls
// it at the start and every 10 s. Read does not return it.
func (w *Writer) Clock(boot, mono, real Time) {
	w.room()
	at := w.begin()
	b, snapshot := open(w.buf, fPacketClockSnapshot)
	b = appendClock(b, clockBoottime, boot)
	b = appendClock(b, clockMonotonic, mono)
	b = appendClock(b, clockRealtime, real)
	b = appendUint(b, fPrimaryClock, clockBoottime)
	w.buf = seal(b, snapshot)
	w.end(at)
}

func appendClock(b []byte, id uint64, t Time) []byte {
	b, at := open(b, fClocks)
	b = appendUint(b, fClockID, id)
	b = appendUint(b, fClockTime, uint64(t))
	return seal(b, at)
}

// Note writes a note. Its names and texts are not interned, so that notes
// stay readable whatever is lost around them. Texts are bounded to 4 KiB. A
// NoteEnd comes after all events in the file, so that it vouches for them.
func (w *Writer) Note(n Note) {
	if n.Name == NoteEnd {
		w.settle()
	}
	w.room()
	if n.Name == NoteExit && w.procs[n.PID] != nil {
		w.procs[n.PID].exited = true
	}
	w.needTrack(&w.notes)
	at := w.beginAt(n.Time)
	b, event := open(w.buf, fPacketTrackEvent)
	b = appendUint(b, fEventType, typeInstant)
	b = appendUint(b, fEventTrack, w.notes.uuid)
	b = appendString(b, fEventCategory, trackNames[trackNotes])
	b = appendString(b, fEventName, cleanText(n.Name, maxText))
	b = appendArg(b, Arg{Key: notePID, Num: int64(n.PID)})
	for _, a := range n.Args[:min(len(n.Args), maxNoteArgs)] {
		b = appendArg(b, a)
	}
	w.buf = seal(b, event)
	w.end(at)
}

// notePID is the key of the note's process; it comes before the Args.
const notePID = "pid"

func appendArg(b []byte, a Arg) []byte {
	b, at := open(b, fEventAnnotation)
	b = appendString(b, fAnnotationName, cleanText(a.Key, maxText))
	if a.Text != "" {
		b = appendString(b, fAnnotationString, cleanText(a.Text, maxNoteText))
	} else {
		b = appendUint(b, fAnnotationInt, uint64(a.Num))
	}
	return seal(b, at)
}
