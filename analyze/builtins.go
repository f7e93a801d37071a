package analyze

import (
	"strings"

	"gilscope/internal/trace"
)

// answersWithin is how soon the eval loop notices a drop request. A holder that
// has not dropped by then is inside one C call.
const answersWithin = trace.Time(1e6)

// builtins names C calls of the interpreter itself, such as a sort or a regular
// expression. A leaf in the interpreter usually means bytecode, and then says
// nothing; but in a hold whose drop request goes unanswered it is the reason.
// Different samples of one call show different inner functions, so a line is
// given the one seen most often.
type builtins struct {
	m      *siteMaker
	counts map[SiteID]map[string]int // by Python line
}

func newBuiltins(m *siteMaker) *builtins {
	return &builtins{m: m, counts: map[SiteID]map[string]int{}}
}

// unanswered says whether the sample was taken in a C call that keeps the GIL.
func (s *Stretch) unanswered(at trace.Time) bool {
	return s.Asked != noTime && at >= s.Asked+answersWithin
}

// count notes the inner functions that samples of one hold saw.
func (b *builtins) count(s *Stretch, samples []Sample) {
	for i := range samples {
		st := b.m.tl.stacks[samples[i].Stack]
		if st.inner == "" || !s.unanswered(samples[i].Time) {
			continue
		}
		if b.counts[st.python] == nil {
			b.counts[st.python] = map[string]int{}
		}
		b.counts[st.python][st.inner]++
	}
}

// name gives the samples in unanswered holds their line's function.
func (b *builtins) name(tl *Timeline) {
	sites := map[SiteID]SiteID{}
	for line, counts := range b.counts {
		s := tl.Sites[line]
		s.Native = most(counts)
		sites[line] = b.m.id(s)
	}
	for i := range tl.GILs {
		g := &tl.GILs[i]
		for k := range g.Lane {
			s := &g.Lane[k]
			for j := s.firstSample; j < s.endSample; j++ {
				sample := &g.Samples[j]
				site, ok := sites[tl.stacks[sample.Stack].python]
				if ok && s.unanswered(sample.Time) && tl.Sites[sample.Site].Native == "" {
					sample.Site = site
				}
			}
		}
	}
}

// most is the key with the highest count, the first by name of several.
func most(counts map[string]int) string {
	best := ""
	for name, n := range counts {
		if best == "" || n > counts[best] || n == counts[best] && name < best {
			best = name
		}
	}
	return best
}

// isEvalLoop says that a function of the interpreter runs bytecode, or that
// nothing is known about it.
func isEvalLoop(function string) bool {
	return function == "" || strings.HasPrefix(function, "_PyEval_EvalFrame")
}
