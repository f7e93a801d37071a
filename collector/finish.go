package collector

import (
	"errors"
	"fmt"
	"time"

	"gilscope/internal/trace"
)

// finish detaches, drains the ring, and only then counts: in this order nothing
// is in flight while it is counted. The recording ends before the first program
// is detached, since from then on some see what others do not.
func (s *session) finish() error {
	s.tellAllTasks()
	for _, p := range s.d.procs {
		if p.py != nil && len(p.places) > 0 && !p.exited {
			s.checkEnabled(p)
		}
	}
	begun, at := time.Now(), now()
	s.d.end = at
	for _, p := range s.d.procs {
		if !p.exited {
			s.charge(p)
		}
	}
	errs := []error{s.probes.Silence(), s.probes.Detach(), s.lookForLosses()} // nothing can be lost any more
	s.prog.finish(s.o.Words)
	s.sum.Detach = time.Since(begun)
	for {
		if err := s.probes.Read(&s.batch, 0); err != nil {
			errs = append(errs, err)
			break
		}
		if s.batch.Len() == 0 {
			break
		}
		s.consume(true)
	}
	for _, p := range s.d.procs {
		if p.turnedOn.at != 0 && !p.exited {
			s.checkEnabled(p) // a probe told so just now
		}
	}
	s.d.losses.tell(s.w, whatever, at)
	s.tellLoopsOff(at)
	errs = append(errs, s.checkCounts())
	for _, p := range s.d.procs {
		if !p.exited {
			s.name(p)
			s.d.close(p, at, trace.WaitUnknown)
		}
		if p.py != nil {
			p.py.Close()
		}
	}
	if s.flight != nil {
		errs = append(errs, s.lastDump(s.sum.Reason, at, s.costArgs(begun.Sub(s.begun))))
	} else {
		errs = append(errs, s.close(at, begun.Sub(s.begun)))
	}
	if s.o.Verbose {
		s.sayCost(begun.Sub(s.begun))
	}
	s.sayNothing()
	if n := s.d.children; n > 0 {
		fmt.Fprintf(s.o.Words, "child processes not recorded: %d; pass --follow to record them, too\n", n)
	}
	return errors.Join(errs...)
}

// close closes the trace with what was produced and lost.
func (s *session) close(at trace.Time, over time.Duration) error {
	counts, err := s.counts()
	args := append([]trace.Arg{{Key: "reason", Text: s.sum.Reason}, {Key: "events", Num: s.sum.Events}}, counts...)
	s.w.Note(trace.Note{Time: at, Name: trace.NoteEnd, Args: append(args, s.costArgs(over)...)})
	if closing := s.w.Close(); closing != nil {
		err = errors.Join(err, s.outputFailed(closing))
	}
	s.sum.Bytes = s.w.Written()
	return err
}

// counts are what was counted since the begin of the recording. They only rise.
func (s *session) counts() ([]trace.Arg, error) {
	counts, err := s.probes.Counts()
	hits := s.d.hits
	s.sum.Produced, s.sum.Lost = 0, 0
	for _, c := range counts {
		s.sum.Produced += int64(c.Produced)
		s.sum.Lost += int64(c.Lost)
		hits += int64(c.Hits)
	}
	s.sum.Stored, s.sum.Events, s.sum.Repaired = s.d.records, s.d.events, s.d.repaired
	unresolved := s.d.unresolved
	for _, p := range s.d.procs {
		if p.stacks != nil {
			unresolved += p.stacks.unresolved
		}
	}
	return []trace.Arg{
		{Key: "produced", Num: s.sum.Produced}, {Key: "stored", Num: s.sum.Stored},
		{Key: "lost", Num: s.sum.Lost}, {Key: "repaired", Num: s.sum.Repaired},
		{Key: "stacks_unresolved", Num: unresolved}, {Key: "probe_hits", Num: hits},
		{Key: "recorder_cpu_ns", Num: cpuTime()},
	}, err
}
