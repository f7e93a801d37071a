package viewer

import (
	"fmt"
	"strings"

	"gilscope/analyze"
	"gilscope/internal/scaling"
)

// Of the time on CPUs, this share has to be spent by threads at once to be worth a word, and
// by this share it has to grow with more workers.
const (
	togetherShare = 0.1
	grownShare    = 0.05
)

// togetherText says what one recording can tell of threads that slow each other down without
// waiting: how much they computed at once, and where; and what measures the rest.
func togetherText(row *analyze.ScalingRow) string {
	t := row.Together
	if t == nil || float64(t.OnCPUNS) < togetherShare*float64(row.OnCPUNS) {
		return ""
	}
	s := fmt.Sprintf("On-CPU time that may not scale: threads computed for %s of %s while another one ran, too, and meanwhile waited %s for locks.",
		duration(t.OnCPUNS), duration(row.OnCPUNS), duration(t.LockWaitNS))
	if where := lineTimes(t.Lines, t.OnCPUNS); where != "" {
		s += " That was, by CPU samples, " + where + "."
	}
	return s + " Reference counts, cache lines and memory that they share make such time longer and leave no wait; one recording cannot tell by how much. `gilscope scale --record -- CMD` measures it."
}

// runtimeTexts are what the words for the interpreter's own work are.
var runtimeTexts = map[string]string{
	"gc":             "collecting garbage",
	"refcount_merge": "merging reference counts of objects that another thread than their owner gave up",
}

// runtimeText says what the interpreter did for itself, where that is worth a word.
func runtimeText(row *analyze.ScalingRow) string {
	var words []string
	for _, w := range row.RuntimeWork {
		if w.OnCPUNS*50 < row.OnCPUNS {
			continue
		}
		text := duration(w.OnCPUNS) + " " + runtimeTexts[w.Kind]
		if where := lineTimes(w.Lines[:min(len(w.Lines), 1)], w.OnCPUNS); where != "" {
			text += " (most, " + where + ")"
		}
		words = append(words, text)
	}
	if len(words) == 0 {
		return ""
	}
	return fmt.Sprintf("The interpreter's own work, by CPU samples, of %s on CPUs: at least %s.", duration(row.OnCPUNS), strings.Join(words, "; "))
}

// lineTimes are the first lines of a list, without those that make up less than a fiftieth of all.
func lineTimes(lines []analyze.LineTime, all int64) string {
	var words []string
	for _, l := range lines[:min(len(lines), maxParties)] {
		if l.NS*50 >= all {
			words = append(words, duration(l.NS)+" "+place(l.Site))
		}
	}
	return strings.Join(words, ", ")
}

// grownWords says that a step took more CPU time for the same work than one worker, whether waits
// for locks can be why, and at which lines; "" if it did not.
func grownWords(s *scaling.StepRow) string {
	if s.CPUGrowthNS == nil || float64(*s.CPUGrowthNS) < grownShare*float64(s.CPUNS) {
		return ""
	}
	more := *s.CPUGrowthNS
	text := fmt.Sprintf("at %d: on-CPU time that does not scale: %s, by which the same work took longer on CPUs than with one worker", s.Workers, duration(more))
	if len(s.Limits) == 0 {
		return text + "; --record tells at which lines, and whether waits explain it."
	}
	waited := int64(0)
	for _, l := range s.Limits {
		if l.Site == nil && (l.Kind == analyze.LimitGIL || l.Kind == analyze.LimitLock) {
			waited += l.WaitNS
		}
	}
	if waited*10 < more {
		text += fmt.Sprintf(". Waiting does not explain it (%s for locks and the GIL): the workers share reference counts, cache lines or memory, or spin", duration(waited))
	} else {
		text += fmt.Sprintf(". They waited %s for locks and the GIL, too, and handing these over costs CPU time; the rest is reference counts, cache lines or memory that they share", duration(waited))
	}
	if where := grownLines(s.CPUGrowth); where != "" {
		text += ". It grew, by CPU samples of the recorded runs, " + where
	}
	return text + "."
}

// grownLines are the first lines of a list with their shares, without those of less than a fiftieth.
func grownLines(lines []analyze.LineTime) string {
	all := int64(0)
	for _, l := range lines {
		all += l.NS
	}
	var words []string
	for _, l := range lines[:min(len(lines), maxParties)] {
		if l.NS*50 >= all {
			words = append(words, "by "+part(l.NS, all)+" at "+place(l.Site))
		}
	}
	return strings.Join(words, ", ")
}
