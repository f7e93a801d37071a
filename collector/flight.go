package collector

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"gilscope/internal/safefile"
	"gilscope/internal/trace"
)

// FlightOptions make a flight recorder of a recording: nothing is written but
// the last part of it, and that when there is a reason to.
type FlightOptions struct {
	Keep     time.Duration    // 0: no flight recorder
	Triggers []Trigger        // what is a reason, besides a request and the end of the recording
	After    time.Duration    // how long to record on after a trigger
	MaxDumps int              // the recording ends with so many
	Request  <-chan os.Signal // a value asks for a dump
}

// Reasons of dumps and ends.
const (
	reasonRequest = "SIGUSR1"
	reasonSize    = "size"
	reasonDumps   = "enough dumps"
)

// flight is the recording's flight recorder. What it keeps, and how that becomes
// a recording, is trace.Flight's; here stands when.
type flight struct {
	o       FlightOptions
	kept    *trace.Flight
	alarm   *alarm    // nil: no triggers
	reason  string    // of the dump that is due, "" if none is
	due     time.Time // when it is
	dumps   int       // begun
	written []string  // their files
	writing chan dumped
	told    bool // that less than Keep can be kept
}

// dumped is how the writing of a dump ended.
type dumped struct {
	path, reason string
	info         trace.DumpInfo
	err          error
}

// newFlight makes a flight recorder, if its dumps can be written.
func (s *session) newFlight(o trace.WriterOptions) error {
	if err := canCreate(s.o.Output); err != nil {
		return fmt.Errorf("%w: %w", ErrOutput, err)
	}
	s.flight = &flight{
		o: s.o.Flight, alarm: newAlarm(s.o.Flight.Triggers),
		kept: trace.NewFlight(o, now(), trace.Time(s.o.Flight.Keep), s.o.MaxBytes),
	}
	s.w = s.flight.kept.Writer()
	return nil
}

var errNothing = errors.New("nothing to write yet")

// canCreate says now, and not after hours, that a file cannot be made there. It leaves none.
func canCreate(path string) error {
	err := safefile.Write(path, func(io.Writer) error { return errNothing })
	if errors.Is(err, errNothing) {
		return nil
	}
	return err
}

// tickFlight does what is due now and then.
func (s *session) tickFlight() error {
	f := s.flight
	if f == nil {
		return nil
	}
	if err := s.advance(); err != nil {
		return err
	}
	if f.alarm != nil {
		s.watchAlarm()
	}
	select {
	case r := <-f.writing:
		if err := s.dumpEnded(r); err != nil {
			s.prog.note(s.o.Words, "warning: "+err.Error())
		}
	default:
	}
	switch {
	case f.writing != nil: // one after the other
	case len(f.o.Request) > 0:
		<-f.o.Request
		return s.beginDump(reasonRequest)
	case f.reason != "" && !time.Now().Before(f.due):
		reason := f.reason
		f.reason = ""
		return s.beginDump(reason)
	}
	return nil
}

// watchAlarm looks at what goes on; the alarm has seen what ended.
func (s *session) watchAlarm() {
	f := s.flight
	f.alarm.goingOn(s.d, now())
	if f.reason == "" && f.alarm.fired != "" {
		f.reason, f.due = f.alarm.fired, time.Now().Add(f.o.After)
		s.prog.note(s.o.Words, f.reason)
	}
	f.alarm.fired = "" // what happens until a dump is in it
}

// advance lets go what is too old, and says if that is less than was asked for.
func (s *session) advance() error {
	f := s.flight
	if !f.kept.Due(now()) {
		return nil
	}
	counts, err := s.counts()
	if err != nil {
		return err
	}
	if err := f.kept.Advance(now(), counts); err != nil {
		return err
	}
	if size, short := f.kept.Size(); short && !f.told {
		f.told = true
		s.prog.note(s.o.Words, fmt.Sprintf("warning: %.1f MB hold less than %v; raise --max-size, or keep less", float64(size)/1e6, f.o.Keep))
	}
	return nil
}

// take takes what is kept now. Ends that wait for their hand-off are told
// without, so that no hold seems to go on.
func (s *session) take() (*trace.Dump, error) {
	for _, p := range s.d.procs {
		for _, g := range p.gils() {
			g.flushHandOff()
		}
	}
	s.d.flush()
	if err := s.lookForLosses(); err != nil {
		return nil, err
	}
	s.d.losses.tell(s.w, whatever, 0)
	counts, err := s.counts()
	if err != nil {
		return nil, err
	}
	return s.flight.kept.Dump(now(), counts)
}

// beginDump writes what is kept, beside the recording.
func (s *session) beginDump(reason string) error {
	s.d.tellBlocks(now())
	s.tellAllTasks()
	dump, err := s.take()
	if err != nil {
		return err
	}
	f := s.flight
	f.dumps++
	path, args := numbered(s.o.Output, f.dumps), s.costArgs(time.Since(s.begun))
	f.writing = make(chan dumped, 1)
	go func(done chan<- dumped) { done <- writeDump(dump, path, reason, args) }(f.writing)
	return nil
}

// lastDump writes what is kept at the end of the recording.
func (s *session) lastDump(reason string, at trace.Time, args []trace.Arg) error {
	f := s.flight
	var errs []error
	if f.writing != nil {
		errs = append(errs, s.dumpEnded(<-f.writing))
	}
	if reason != reasonDumps {
		if f.reason != "" {
			reason = f.reason // the end came before its time
		}
		counts, err := s.counts()
		errs = append(errs, err)
		dump, err := f.kept.Dump(at, counts)
		if err == nil {
			f.dumps++
			err = s.dumpEnded(writeDump(dump, numbered(s.o.Output, f.dumps), reason, args))
		}
		errs = append(errs, err)
	}
	return errors.Join(append(errs, f.kept.Close())...)
}

// writeDump writes one file, whole or not at all.
func writeDump(d *trace.Dump, path, reason string, args []trace.Arg) dumped {
	r := dumped{path: path, reason: reason}
	r.err = safefile.Write(path, func(w io.Writer) error {
		var err error
		clock := [3]trace.Time{now(), readClock(unix.CLOCK_MONOTONIC), readClock(unix.CLOCK_REALTIME)}
		r.info, err = d.Write(w, clock, reason, args)
		return err
	})
	return r
}

// dumpEnded says what became of a dump.
func (s *session) dumpEnded(r dumped) error {
	s.flight.writing = nil
	if r.err != nil {
		return fmt.Errorf("%w: the dump for %q: %w", ErrOutput, r.reason, r.err)
	}
	s.flight.written = append(s.flight.written, r.path)
	s.sum.Dumps, s.sum.Bytes = s.flight.written, s.sum.Bytes+r.info.Bytes
	s.prog.note(s.o.Words, fmt.Sprintf("wrote %s: %.2f MB, %d events, %.3f s (%s)",
		filepath.Clean(r.path), float64(r.info.Bytes)/1e6, r.info.Events, float64(r.info.Window)/1e9, r.reason))
	return nil
}

// enough says that the recording has written all that it may.
func (f *flight) enough() bool {
	return f != nil && f.o.MaxDumps > 0 && len(f.written) >= f.o.MaxDumps
}

// wait is how long the reader may sleep at most.
func (f *flight) wait(most time.Duration) time.Duration {
	if f == nil || f.reason == "" {
		return most
	}
	return min(most, max(time.Until(f.due), time.Millisecond))
}

// numbered is the file of the nth dump: out.pftrace, out-2.pftrace and so on.
func numbered(path string, n int) string {
	if n == 1 {
		return path
	}
	ext := filepath.Ext(path)
	return strings.TrimSuffix(path, ext) + "-" + strconv.Itoa(n) + ext
}

// say tells how to get what is kept.
func (f *flight) say(w io.Writer) {
	if f != nil {
		fmt.Fprintf(w, "keeping the last %v in memory; to write it: kill -USR1 %d\n", f.o.Keep, os.Getpid())
	}
}

// size is how many bytes the trace has, or the flight recorder keeps.
func (s *session) size() int64 {
	if s.flight == nil {
		return s.w.Written()
	}
	n, _ := s.flight.kept.Size()
	return n
}
