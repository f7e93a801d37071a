package trace

import (
	"fmt"
	"io"
)

// reinternEvery is after how many bytes of packets all state is cleared and
// interned again, so that any part of a file after a loss is readable.
const reinternEvery = 4 << 20

// sequenceID is the trusted_packet_sequence_id of all our packets.
const sequenceID = 1

// WriterOptions says how a trace is written and what machine it is from.
type WriterOptions struct {
	// Level of zlib compression, 1 (fast) to 9; 0 writes uncompressed packets.
	Level int
	// NoCallstacks leaves the callstacks of slices and instants out, which
	// Perfetto before v53 counts as import errors (unknown_extension_fields).
	// The file keeps the stacks for Read.
	NoCallstacks bool
	// Release, Version and Machine are those of uname(2). Perfetto needs the
	// release to decode the scheduler states.
	Release, Version, Machine string
	CPUs                      int // number of CPUs of the machine
	SampleHz                  int // frequency of CPU samples; 0: none are taken
	TracerVersion             string
}

// Writer writes a recording as a Perfetto trace. It is used by one goroutine.
// Errors stick: after the first one nothing is written, and Err, Flush and
// Close return it. Close must be called, also after an error.
//
// Events may come in any order with these exceptions: the begin and the end of
// one slice come in that order, and the GILHolder, GILWaiters and GILBusy
// events of one GIL, and the SchedSwitch events of one CPU, come in order of
// time. Only fields that the kind's row in Specs lists are written.
type Writer struct {
	o       WriterOptions
	out     *output
	err     error
	buf     []byte // whole packets not yet handed to out
	handed  int64  // bytes handed to out
	cleared int64  // handed+len(buf) when state was cleared last
	every   int64  // reinternEvery, less in tests

	in       interner
	uuids    uint64 // last uuid given to a track
	notes    track
	procs    map[int32]*process
	threads  map[uint64]*thread // by threadKey
	byTID    map[int32]*thread  // the latest of that number, for scheduling events
	last     *thread            // of the last event
	cpus     []*cpuBuffer
	comms    []*thread // of the bundle being written
	bundleNo uint32
}

// NewWriter begins a trace. The caller first writes a NoteRecording, which
// makes the file a recording of ours, and last a NoteEnd.
func NewWriter(w io.Writer, o WriterOptions) *Writer {
	return newWriter(w, o, reinternEvery)
}

func newWriter(w io.Writer, o WriterOptions, every int64) *Writer {
	t := &Writer{
		o:       o,
		out:     newOutput(w, o.Level),
		buf:     make([]byte, 0, batchSize+batchSlack),
		every:   every,
		in:      newInterner(),
		procs:   map[int32]*process{},
		threads: map[uint64]*thread{},
		byTID:   map[int32]*thread{},
	}
	t.notes = t.newTrack(trackNotes, 0)
	other := &thread{pid: OtherTID, tid: OtherTID, name: otherName, declared: true}
	other.proc = &process{pid: OtherTID, name: otherName, declared: true}
	other.nameID = t.in.name(other.name)
	t.byTID[OtherTID] = other
	t.state(true)
	t.system()
	return t
}

// String returns the id of a string. Strings from targets are bounded to 1 KiB
// and made valid UTF-8; the empty string is 0.
func (w *Writer) String(s string) StringID {
	id := w.in.string(s)
	w.boundPending()
	return id
}

// Frame returns the id of a frame, whose strings come from String.
func (w *Writer) Frame(f Frame) FrameID {
	id := w.in.frame(f)
	w.boundPending()
	return id
}

// Stack returns the id of a stack, leaf first; of one deeper than 1024 frames
// the root's end is cut. The slice is not kept.
func (w *Writer) Stack(leafFirst []FrameID) StackID {
	id := w.in.stack(leafFirst)
	w.boundPending()
	return id
}

// Event writes one event; e is not kept.
func (w *Writer) Event(e *Event) {
	if e.Kind == NoKind || e.Kind >= numKinds {
		w.fail(fmt.Errorf("write event: kind %d is not in the Specs table", e.Kind))
		return
	}
	w.room()
	switch loop := Specs[e.Kind].Track.ofLoop(); {
	case loop && Specs[e.Kind].Form == FormCounter:
		w.loopCounter(e)
		return
	case loop:
		w.loopBlock(e)
		return
	case Specs[e.Kind].Track.ofExecutor():
		w.counterValue(e, w.executorTrack(e))
		return
	case e.Kind == ThreadsRunning || e.Kind == ThreadsRunnable:
		w.counterValue(e, w.cpuTrack(e))
		return
	}
	switch Specs[e.Kind].Form {
	case FormSwitch:
		w.schedSwitch(e)
	case FormWaking:
		w.schedWaking(e)
	case FormSample:
		w.sample(e)
	case FormCounter:
		w.counter(e)
	case FormLaneStep:
		w.laneStep(e)
	default:
		w.trackEvent(e)
	}
}

// Flush brings everything written so far to the io.Writer, as whole packets.
func (w *Writer) Flush() error {
	w.settle()
	w.hand()
	w.out.wait()
	return w.Err()
}

// settle makes packets of everything that waits for company.
func (w *Writer) settle() {
	for cpu := range w.cpus {
		w.flushCPU(cpu)
	}
	w.writePending()
}

// Close flushes and ends the Writer; it may be called again. The NoteEnd that
// tells readers that the recording is whole must have been written before.
func (w *Writer) Close() error {
	err := w.Flush()
	w.out.close()
	return err
}

// Written is the number of bytes that reached the io.Writer.
func (w *Writer) Written() int64 { return w.out.written.Load() }

// Err is the first error, or nil.
func (w *Writer) Err() error {
	if w.err != nil {
		return w.err
	}
	return w.out.failed()
}

func (w *Writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// room hands a full batch over and starts a new generation when it is time.
// It is called between packets.
func (w *Writer) room() {
	if len(w.buf) >= batchSize {
		w.hand()
	}
	if w.handed+int64(len(w.buf))-w.cleared >= w.every {
		w.newGeneration()
	}
}

// newGeneration begins a stretch that can be read by itself.
func (w *Writer) newGeneration() {
	w.writePending()
	w.in.gen++
	w.forget()
	w.state(false)
}

func (w *Writer) hand() {
	w.handed += int64(len(w.buf))
	w.buf = w.out.put(w.buf)
}

// begin opens a packet of our sequence; end closes it.
func (w *Writer) begin() int {
	b, at := open(w.buf, fTracePacket)
	w.buf = appendUint(b, fPacketSequence, sequenceID)
	return at
}

// beginAt opens a packet with a time that needs the interned data.
func (w *Writer) beginAt(t Time) int {
	at := w.begin()
	w.buf = appendUint(w.buf, fPacketTimestamp, uint64(t))
	w.buf = appendUint(w.buf, fPacketSequenceFlags, seqNeedsState)
	return at
}

func (w *Writer) end(at int) { w.buf = seal(w.buf, at) }

// boundPending keeps interned data that no event asks for from piling up.
func (w *Writer) boundPending() {
	if len(w.in.pending) >= batchSlack {
		w.writePending()
		w.room()
	}
}

// writePending writes the pending interned data as a packet.
func (w *Writer) writePending() {
	if len(w.in.pending) == 0 {
		return
	}
	at := w.begin()
	w.buf = appendUint(w.buf, fPacketSequenceFlags, seqNeedsState)
	w.buf = appendVarint(appendTag(w.buf, fPacketInterned, wireBytes), uint64(len(w.in.pending)))
	w.buf = append(w.buf, w.in.pending...)
	w.end(at)
	w.in.pending = w.in.pending[:0]
}
