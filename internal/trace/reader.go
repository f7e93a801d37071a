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
	// ErrTooBig: the recording needs more memory than it may have.
	ErrTooBig = errors.New("trace is too big")
)

// DefaultMaxBytes is how many bytes a trace may take in memory (see ReadFileWithin),
// unless the caller says otherwise: 45 million events, a file of about 250 MB.
const DefaultMaxBytes = 2 << 30

// noLimit is for what we wrote ourselves.
const noLimit = 1 << 62

// ReadFile reads the recording at path, see Read.
func ReadFile(path string) (*Trace, error) { return ReadFileWithin(path, DefaultMaxBytes) }

// ReadFileWithin reads the recording at path, see Read, but refuses one that
// decodes to more than maxBytes (ErrTooBig): a 4-byte entry of a hostile or huge
// file becomes an Event of 48. Putting events in order takes up to as much once more.
func ReadFileWithin(path string, maxBytes int64) (*Trace, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open trace: %w; record one with: gilscope record -p PID -o FILE", err)
	}
	defer f.Close()
	t, err := read(f, maxBytes)
	if err != nil {
		return nil, fmt.Errorf("read trace %s: %w", path, err)
	}
	return t, nil
}

// Read reads what a Writer wrote. It understands that and no more: what else
// a Perfetto trace may have is skipped. The file may be damaged: of one that is
// cut, or has a bad batch, everything readable is returned with Complete
// false and no error. The error is ErrNotTrace or ErrForeign if the file is no
// recording (also if it was cut before its first note), ErrTooBig if it takes
// more than DefaultMaxBytes, or that of r.
func Read(r io.Reader) (*Trace, error) { return read(r, DefaultMaxBytes) }

func read(r io.Reader, maxBytes int64) (*Trace, error) {
	d := newDecoder(maxBytes)
	if err := d.read(r); err != nil {
		return nil, err
	}
	if !d.recording {
		return nil, fmt.Errorf("%w: it has no %q note, or was cut before it; record with: gilscope record", ErrForeign, NoteRecording)
	}
	return d.finish(), nil
}

// read decodes a file.
func (d *decoder) read(r io.Reader) error {
	in := newInput(r)
	go in.run()
	defer in.stop()
	for c := range in.chunks {
		d.chunk(c.packets)
		if c.damaged {
			d.damaged = true
		}
		if d.budget.left < 0 {
			return fmt.Errorf("%w: it takes more than %d MiB in memory; raise --max-mem, or record a shorter time", ErrTooBig, d.budget.all>>20)
		}
		in.recycle(c.packets)
	}
	return in.err
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
	gaps      uint64 // ids left out so far,
	maxGaps   uint64 // and how many may be, see maxGaps
	budget    *budget
	// The function name read last; it is that of the frame that follows.
	functionIID uint64
	function    string

	events eventList
	cpus   map[uint64]*eventList // scheduling events
}

// budget is how much memory a trace may take.
type budget struct{ left, all int64 }

// spend takes n bytes; false: there are no more, and nothing may be added.
func (b *budget) spend(n int) bool {
	b.left -= int64(n)
	return b.left >= 0
}

func newDecoder(maxBytes int64) *decoder {
	b := &budget{maxBytes, maxBytes}
	return &decoder{
		budget:    b,
		maxGaps:   maxGaps,
		events:    eventList{budget: b},
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
