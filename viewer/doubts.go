package viewer

import (
	"fmt"

	"gilscope/analyze"
)

// Doubts say why a report is not to be trusted altogether. They stand before
// everything else; a recording without losses that was finished has none.
func Doubts(r *analyze.Report) []string {
	var out []string
	if r.Recording.LostEvents > 0 {
		out = append(out, lostWords(r)+"; the numbers are estimates.")
	}
	if !r.Recording.Complete {
		out = append(out, "the trace has no end (recorder killed or file cut); what is here is true.")
	}
	return out
}

// lostWords say how much was lost, when, and what that concerns.
func lostWords(r *analyze.Report) string {
	s := count(r.Recording.LostEvents, "event") + " lost"
	ns, stretches := r.Recording.LossNS()
	if stretches == 0 {
		return s
	}
	var waits, touched, touchedNS int64
	for i := range r.GIL {
		waits += r.GIL[i].Waits
		touched += r.GIL[i].UncertainWaits
		touchedNS += r.GIL[i].UncertainWaitNS
	}
	s += fmt.Sprintf(" in %s of the %s", duration(ns), duration(r.Recording.DurationNS))
	if touched > 0 {
		s += fmt.Sprintf("; %d of %s (%s) touch that time and may be cut, joined or missed", touched, count(waits, "wait"), duration(touchedNS))
	}
	return s
}
