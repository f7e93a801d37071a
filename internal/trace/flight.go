package trace

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"sync"
)

// Flight keeps the last part of a recording in memory, to be written when there
// is a reason to (a flight recorder).
//
// What its Writer writes is kept as it would stand in a file (5 to 7 bytes an
// event), in segments that each begin a generation and so can be read by
// themselves. A segment that is too old is read once more, for the state that
// it leaves behind (see window), and forgotten. A dump reads the kept segments
// one by one and writes what lies in its window through a Writer of its own:
// every dump is a recording like any other, and needs no second way to write
// one. A dump works on segments that do not change any more, so it may go on in
// a goroutine while the recording does.
type Flight struct {
	o     WriterOptions
	keep  Time  // how much time is kept
	limit int64 // bytes of segments at most
	w     *Writer
	kept  []segment
	base  *window // the state at the begin of the first kept segment
	short bool    // limit was reached: less than keep is there

	mu   sync.Mutex // of what the compressor's goroutine adds to
	cur  segment
	size int64 // of all segments
}

// segment is a stretch of packets that can be read by itself.
type segment struct {
	begin  Time
	counts []Arg // what had been counted when it began
	parts  [][]byte
	size   int64
}

// Segments are cut by time and by size, so that reading one again takes
// milliseconds, and there are enough of them for the window to slide.
const (
	segmentsKept = 32
	segmentMost  = 1 << 20
	// MinFlightBytes is the least that a Flight can be limited to: a batch in each segment.
	MinFlightBytes = 1 << 20
)

// NewFlight begins a recording of which the last keep ns are kept, in limit
// bytes at most. The caller writes to Writer as to any other.
func NewFlight(o WriterOptions, at, keep Time, limit int64) *Flight {
	f := &Flight{o: o, keep: keep, limit: max(limit, MinFlightBytes), base: newWindow(), cur: segment{begin: at}}
	o.Level = max(o.Level, 1)
	f.w = NewWriter((*flightOutput)(f), o)
	return f
}

// Writer takes the recording.
func (f *Flight) Writer() *Writer { return f.w }

// flightOutput is a Flight as the output of its Writer.
type flightOutput Flight

// Write keeps one compressed batch.
func (f *flightOutput) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cur.parts = append(f.cur.parts, bytes.Clone(b))
	f.cur.size += int64(len(b))
	f.size += int64(len(b))
	return len(b), nil
}

// Size is how many bytes are kept, and whether that is the limit, so that less
// time is kept than was asked for.
func (f *Flight) Size() (n int64, short bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.size, f.short
}

// Due says that Advance has something to do.
func (f *Flight) Due(at Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return at-f.cur.begin >= f.keep/segmentsKept || f.cur.size >= min(segmentMost, f.limit/segmentsKept)
}

// Advance ends a segment and forgets what is too old or too much. Counts are
// numbers that rise over the recording; a dump states by how much they did.
func (f *Flight) Advance(at Time, counts []Arg) error {
	if err := f.cut(at, counts); err != nil {
		return err
	}
	for len(f.kept) > 1 {
		old := f.kept[1].begin < at-f.keep
		size, _ := f.Size()
		if !old && size <= f.limit {
			return nil
		}
		f.short = !old
		if err := f.forget(); err != nil {
			return err
		}
	}
	return nil
}

// cut ends the segment.
func (f *Flight) cut(at Time, counts []Arg) error {
	if err := f.w.Flush(); err != nil {
		return err
	}
	f.mu.Lock()
	if f.cur.size > 0 {
		f.kept = append(f.kept, f.cur)
	}
	f.cur = segment{begin: at, counts: counts}
	f.mu.Unlock()
	f.w.newGeneration()
	return nil
}

// forget takes the state that the oldest segment leaves behind into the base.
func (f *Flight) forget() error {
	old := f.kept[0]
	t, err := old.read()
	if err != nil {
		return err
	}
	f.base.apply(t)
	f.kept[0] = segment{} // for the collector of garbage: the array stays
	f.kept = f.kept[1:]
	f.mu.Lock()
	f.size -= old.size
	f.mu.Unlock()
	return nil
}

// read decodes a segment.
func (s *segment) read() (*Trace, error) {
	readers := make([]io.Reader, len(s.parts))
	for i, p := range s.parts {
		readers[i] = bytes.NewReader(p)
	}
	d := newDecoder(noLimit)
	d.maxGaps = 1 << 32 // ids of the whole recording, our own
	if err := d.read(io.MultiReader(readers...)); err != nil {
		return nil, fmt.Errorf("read back what was kept in memory: %w; please report this", err)
	}
	if d.damaged {
		return nil, fmt.Errorf("read back what was kept in memory: it is damaged; please report this")
	}
	return d.finish(), nil
}

// Dump is what a Flight kept at one moment.
type Dump struct {
	o        WriterOptions
	base     *window
	segments []segment
	counts   []Arg
	from, to Time
}

// Dump takes what is kept now; counts are as for Advance. The Flight goes on,
// and the next dump may hold the same once more.
func (f *Flight) Dump(at Time, counts []Arg) (*Dump, error) {
	if err := f.cut(at, counts); err != nil {
		return nil, err
	}
	from := at - f.keep
	if f.short && len(f.kept) > 0 {
		from = max(from, f.kept[0].begin)
	}
	return &Dump{
		o: f.o, base: f.base.clone(nil, from, at, [3]Time{}), segments: slices.Clone(f.kept),
		counts: counts, from: from, to: at,
	}, nil
}

// Close ends the Flight and its memory.
func (f *Flight) Close() error {
	f.kept, f.base = nil, newWindow()
	return f.w.Close()
}

// DumpInfo is what a written dump holds.
type DumpInfo struct {
	Events int64
	Bytes  int64
	Window Time // ns
}

// Write writes the dump to out as a complete recording; clock is what
// CLOCK_BOOTTIME, MONOTONIC and REALTIME showed at one moment. The closing note
// gets args, after the reason, the events, and by how much the counts rose.
func (d *Dump) Write(out io.Writer, clock [3]Time, reason string, args []Arg) (DumpInfo, error) {
	w := NewWriter(out, d.o)
	x := d.base.clone(w, d.from, d.to, clock)
	for i := range d.segments {
		t, err := d.segments[i].read()
		if err != nil {
			return DumpInfo{}, joinClose(err, w)
		}
		x.apply(t)
		if err := w.Err(); err != nil {
			return DumpInfo{}, joinClose(err, w)
		}
	}
	end := append([]Arg{{Key: "reason", Text: reason}}, d.counted(x.lost)...)
	err := x.close(Note{Args: append(end, args...)})
	return DumpInfo{x.events, w.Written(), x.to - x.from}, err
}

func joinClose(err error, w *Writer) error {
	w.Close()
	return err
}

// counted are the counts of the dump's time, with the losses that stand in it. What
// was produced is what was stored and lost: the rest is in the ring still.
func (d *Dump) counted(lost int64) []Arg {
	out, stored := d.risen(), int64(0)
	for _, a := range out {
		if a.Key == "stored" {
			stored = a.Num
		}
	}
	for i := range out {
		switch out[i].Key {
		case "lost":
			out[i].Num = lost
		case "produced":
			out[i].Num = stored + lost
		}
	}
	return out
}

// risen is by how much the counts rose since the first segment that is kept.
func (d *Dump) risen() []Arg {
	out := slices.Clone(d.counts)
	if len(d.segments) == 0 {
		return out
	}
	for i := range out {
		for _, was := range d.segments[0].counts {
			if was.Key == out[i].Key {
				out[i].Num -= was.Num
			}
		}
	}
	return out
}
