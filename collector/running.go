package collector

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gilscope/internal/trace"
)

// loop reads records until the recording ends, and sets the reason.
func (s *session) loop(ctx context.Context) error {
	s.begun, s.clocked, s.looked = time.Now(), time.Now(), time.Now()
	for {
		if err := s.read(s.patience()); err != nil {
			return err
		}
		switch {
		case s.alive == 0:
			s.sum.Reason = "targets gone"
			return nil
		case ctx.Err() != nil:
			s.sum.Reason = "signal"
			return nil
		case s.o.Duration > 0 && time.Since(s.begun) >= s.o.Duration:
			s.sum.Reason = "duration"
			return nil
		case s.flight == nil && s.o.MaxBytes > 0 && s.w.Written() >= s.o.MaxBytes:
			s.sum.Reason = reasonSize
			s.prog.note(s.o.Words, fmt.Sprintf("the trace has reached --max-size (%.1f MB)", float64(s.o.MaxBytes)/1e6))
			return nil
		case s.flight.enough():
			s.sum.Reason = reasonDumps
			s.prog.note(s.o.Words, fmt.Sprintf("%d dumps are written (--max-dumps)", len(s.sum.Dumps)))
			return nil
		}
		if err := s.housekeep(); err != nil {
			return err
		}
	}
}

// read takes one batch of records from the ring to the trace, waiting for up to a while for the first.
func (s *session) read(wait time.Duration) error {
	asked := time.Now()
	if err := s.probes.Read(&s.batch, wait); err != nil {
		return err
	}
	s.hushBraked()
	if err := s.lookForLosses(); err != nil {
		return err
	}
	if s.consume(false); !s.batch.Full() {
		s.emptied = asked
	}
	s.d.losses.tell(s.w, max(s.d.now, trace.Time(s.batch.Until())), 0)
	return nil
}

// breathe reads while the first targets are looked at, for that takes a while if they have many threads. Later
// ones are looked at between two reads.
func (s *session) breathe() error {
	if !s.begun.IsZero() {
		return nil
	}
	err := s.read(0)
	for n := 0; err == nil && s.batch.Full() && n < breathAtMost; n++ {
		err = s.read(0)
	}
	return err
}

// breathAtMost is how many full batches are read at a time, so that a target that is always ahead of us does
// not keep us from looking at it.
const breathAtMost = 4

// patience is how long the next read may wait for a record.
func (s *session) patience() time.Duration {
	wait := readEvery
	if s.o.Duration > 0 {
		wait = min(wait, max(s.o.Duration-time.Since(s.begun), 0))
	}
	if s.stub {
		wait = min(wait, startEvery)
	}
	wait = s.flight.wait(wait)
	for _, p := range s.d.procs {
		if p.pressed() {
			wait = min(wait, pressedEvery)
		}
	}
	for _, st := range s.starts {
		wait = min(wait, st.every())
	}
	if s.batch.Urgent() || len(s.ends.ended()) > 0 {
		wait = min(wait, endEvery)
	}
	return wait
}

func (s *session) consume(all bool) {
	for {
		r, ok := s.batch.Next(all)
		if !ok {
			return
		}
		s.d.record(r)
	}
}

// housekeep does what is due now and then.
func (s *session) housekeep() error {
	s.findStarted()
	s.reap()
	s.tellNewTasks()
	s.tick()
	s.findLockOrders()
	s.findDeadlocks(max(s.d.now, trace.Time(s.batch.Until())))
	if err := errors.Join(s.govern(), s.governLoops(), s.governLag()); err != nil {
		return err
	}
	due := time.Since(s.looked) > checkEvery
	if err := s.askRunning(due); err != nil {
		return err
	}
	for _, p := range s.d.procs {
		s.findWorkers(p)
		s.assignWorkers(p)
		s.lookAtQueues(p)
		if err := s.checkInterpreters(p, due); err != nil {
			return err
		}
	}
	if due {
		since := time.Since(s.looked)
		s.looked = time.Now()
		s.recheck()
		for _, p := range s.d.procs {
			s.brakeRare(p, since)
			if p.naming > 0 && !p.exited && !p.stub {
				s.name(p)
			}
		}
		s.d.flush()
		s.d.forget(s.looked)
		if s.flight == nil {
			if err := s.flush(); err != nil {
				return err
			}
		}
	}
	if err := s.tickFlight(); err != nil {
		return err
	}
	if time.Since(s.clocked) > 10*time.Second {
		s.clocked = time.Now()
		s.clock()
	}
	return s.report()
}

// askRunning asks who is on the CPUs: once records were lost, and now and then where no CPU samples tell who
// came there by a switch that the kernel did not report.
func (s *session) askRunning(due bool) error {
	if !s.d.forgot && (!due || s.o.SampleHz > 0) {
		return nil
	}
	s.d.forgot = false
	return s.probes.AskRunning()
}

func (s *session) flush() error {
	if err := s.w.Flush(); err != nil {
		return s.outputFailed(err)
	}
	return nil
}

// outputFailed says how much of the trace there is.
func (s *session) outputFailed(err error) error {
	return fmt.Errorf("%w after %d bytes (so far it can be read): %w", ErrOutput, s.w.Written(), err)
}
