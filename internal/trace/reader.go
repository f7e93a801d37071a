package trace

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
)

// Errors of Read about what the file is; both come with the remedy.
var (
	// ErrNotTrace: the file is no Perfetto trace.
	ErrNotTrace = errors.New("not a Perfetto trace")
	// ErrForeign: a Perfetto trace, but not a recording of gilscope.
	ErrForeign = errors.New("not a gilscope recording")
)

// ReadFile reads the recording at path, see Read.
func ReadFile(path string) (*Trace, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open trace: %w; record one with: gilscope record -p PID -o FILE", err)
	}
	defer f.Close()
	t, err := Read(f)
	if err != nil {
		return nil, fmt.Errorf("read trace %s: %w", path, err)
	}
	return t, nil
}

// Read reads what a Writer wrote. It understands that and no more: what else
// a Perfetto trace may have is skipped. The file may be damaged: of one that is
// cut, or has a bad batch, everything readable is returned with Complete
// false and no error. The error is ErrNotTrace or ErrForeign if the file is no
// recording (also if it was cut before its first note), or that of r.
func Read(r io.Reader) (*Trace, error) {
	in := newInput(r)
	go in.run()
	d := newDecoder()
	for c := range in.chunks {
		d.chunk(c.packets)
		if c.damaged {
			d.damaged = true
		}
		in.recycle(c.packets)
	}
	if in.err != nil {
		return nil, in.err
	}
	if !d.recording {
		return nil, fmt.Errorf("%w: it has no %q note, or was cut before it; record with: gilscope record", ErrForeign, NoteRecording)
	}
	return d.finish(), nil
}

// decoder turns packets into a Trace. All ids of the file come from the file
// and are checked before they index anything.
type decoder struct {
	t         *Trace
	recording bool // a NoteRecording was seen
	ended     bool // the last note is a NoteEnd
	damaged   bool

	processAt map[int32]int  // place in t.Processes
	threadAt  map[uint64]int // place in t.Threads, by threadKey
	tracks    trackTable
	names     nameTable
	stringAt  map[string]StringID
	gaps      uint64 // ids left out so far, see maxGaps
	// The function name read last; it is that of the frame that follows.
	functionIID uint64
	function    string

	events eventList
	cpus   map[uint64]*eventList // scheduling events
}

func newDecoder() *decoder {
	return &decoder{
		t:         &Trace{Strings: make([]string, 1), Frames: make([]Frame, 1), Stacks: make([][]FrameID, 1)},
		processAt: map[int32]int{},
		threadAt:  map[uint64]int{},
		names:     newNameTable(),
		stringAt:  map[string]StringID{},
		tracks:    trackTable{rest: map[uint64]trackInfo{}},
		cpus:      map[uint64]*eventList{},
	}
}

// finish puts the events in order and returns the trace.
func (d *decoder) finish() *Trace {
	t := d.t
	cpus := make([]uint64, 0, len(d.cpus))
	for cpu := range d.cpus {
		cpus = append(cpus, cpu)
	}
	sort.Slice(cpus, func(i, j int) bool { return cpus[i] < cpus[j] })
	streams := make([]eventStream, 0, len(cpus)+1)
	for _, cpu := range cpus {
		streams = append(streams, d.cpus[cpu].stream())
	}
	t.Events = mergeStreams(append(streams, d.events.stream()))
	sort.SliceStable(t.Notes, func(i, j int) bool { return t.Notes[i].Time < t.Notes[j].Time })
	t.Complete = d.ended && !d.damaged
	return t
}
