package viewer

import (
	"fmt"
	"slices"
	"strings"

	"gilscope/analyze"
	"gilscope/internal/scaling"
)

// lost says what each step lost, and to what.
func (p *page) lost(s *scaling.SeriesRow) {
	for i := range s.Steps {
		for _, words := range lossLines(&s.Steps[i]) {
			p.wrap("  ", words)
		}
	}
}

// lossLines is what a step lost, and what its threads waited for if it was recorded.
func lossLines(s *scaling.StepRow) []string {
	var out []string
	if s.Workers > 1 {
		out = append(out, fmt.Sprintf("at %d: %s", s.Workers, lossWords(s)))
	}
	if words := grownWords(s); words != "" {
		out = append(out, words)
	}
	if len(s.Limits) > 0 {
		out = append(out, fmt.Sprintf("at %d, recorded: %s.", s.Workers, limitWords(s.Limits)))
	}
	return out
}

// lossWords: the two parts sum to the loss, so one of them may be a gain.
func lossWords(s *scaling.StepRow) string {
	if s.LostShare < 0.01 {
		return "nothing is lost."
	}
	why := "the same work took more CPU time (contention, spinning, caches)"
	if s.CPUGrowthShare <= s.IdleShare {
		why = waitCause(s)
	}
	return fmt.Sprintf("%s of the CPUs' time is lost, most of all because %s; %s more CPU time, %s not used.",
		percentage(s.LostShare), why, signed(s.CPUGrowthShare), signed(s.IdleShare))
}

// waitCause says why the CPUs were not used. What threads waited for explains it
// if it makes up half of that at least. Waiting for other threads never does: it
// is these that have to be explained.
func waitCause(s *scaling.StepRow) string {
	if len(s.Limits) == 0 {
		why := "the workers waited"
		if s.OthersShare != nil && *s.OthersShare > disturbed {
			why += fmt.Sprintf(", or had no CPU (other programs used %s of the time)", percentage(*s.OthersShare))
		}
		return why
	}
	unused := s.IdleShare * s.Ideal * float64(s.WallNS)
	for _, kinds := range [][]string{{analyze.LimitGIL, analyze.LimitLock, analyze.LimitRunnable}, {analyze.LimitBlocked}} {
		for _, l := range s.Limits { // the largest comes first
			if l.Site == nil && slices.Contains(kinds, l.Kind) && float64(l.WaitNS) >= unused/2 {
				return "threads " + limitNames[l.Kind]
			}
		}
	}
	return "too few threads had something to do (a part of the program is serial, or the work is divided unevenly)"
}

func signed(v float64) string { return fmt.Sprintf("%+.1f%%", v*100) }

// limitNames are the kinds of analyze.StepLimit in words.
var limitNames = map[string]string{
	analyze.LimitGIL: "waited for the GIL", analyze.LimitLock: "waited for locks", analyze.LimitOthers: "waited for other threads (queues, joins)",
	analyze.LimitRunnable: "were ready but had no CPU", analyze.LimitBlocked: "were blocked otherwise (I/O, sleep)",
}

// limitWords are the sums, each with its largest lines.
func limitWords(limits []analyze.StepLimit) string {
	var out strings.Builder
	var sum analyze.StepLimit
	first := true // of the lines of a sum
	for _, l := range limits {
		switch {
		case l.WaitNS*200 < limits[0].WaitNS: // so little is noise
		case l.Site == nil:
			if out.Len() > 0 {
				out.WriteString("; ")
			}
			fmt.Fprintf(&out, "threads %s for %s", limitNames[l.Kind], duration(l.WaitNS))
			sum, first = l, true
		case l.WaitNS*100 >= sum.WaitNS:
			separator := ", "
			if first {
				separator = ": "
			}
			fmt.Fprintf(&out, "%s%s %s", separator, duration(l.WaitNS), place(l.Site))
			first = false
		}
	}
	return out.String()
}
