package collector

import (
	"gilscope/internal/trace"
)

// turnedOn is the import of a module that needs the GIL, of which a probe told.
type turnedOn struct {
	at     trace.Time // 0: none
	tid    int32
	module string
	stack  trace.StackID
}

// longBefore is how long before the GIL is found on an import may have turned it on.
const longBefore = trace.Time(5e9)

// noteGILState tells that the GIL was turned on, or off, and by what if that is known: without
// symbols no probe tells, and the time is that of the first look that found it so.
func (s *session) noteGILState(p *process, enabled bool) {
	n := trace.Note{Time: p.toggled, PID: p.pid, Name: trace.NoteGILState, Args: []trace.Arg{{Key: "enabled", Num: bit(enabled)}}}
	if on := p.turnedOn; enabled && on.at != 0 && on.at <= p.toggled && p.toggled-on.at < longBefore {
		n.Time = on.at
		n.Args = append(n.Args, trace.Arg{Key: "tid", Num: int64(on.tid)})
		if on.module != "" {
			n.Args = append(n.Args, trace.Arg{Key: "module", Text: on.module})
		}
		s.d.event(p, trace.Event{Time: on.at, Kind: trace.GILOn, TID: on.tid, Stack: on.stack})
	}
	p.turnedOn = turnedOn{}
	s.w.Note(n)
}
