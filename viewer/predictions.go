package viewer

import (
	"fmt"

	"gilscope/analyze"
)

// predictionTexts say what is predicted of a process, or why nothing is.
func predictionTexts(row *analyze.ScalingRow) []string {
	var list []string
	for i := range row.Predictions {
		p := &row.Predictions[i]
		switch {
		case p.Why != nil:
			list = append(list, fmt.Sprintf("Without a GIL: not known (%s).", *p.Why))
		case p.WallNS != nil && p.RecordedNS != nil:
			text := predictionText(p, i > 0)
			if i == 0 {
				text += starved(row, p)
			}
			list = append(list, text)
		}
	}
	return list
}

// starved says that not the GIL alone can be why the same work would be faster: without one, as many threads
// run as there are CPUs, at most. What is beyond that lies with who else used the CPUs.
func starved(row *analyze.ScalingRow, p *analyze.Prediction) string {
	if p.Speedup == nil || *p.Speedup <= float64(p.CPUs) {
		return ""
	}
	for _, l := range row.Limits {
		if l.Kind == "cpu" {
			return fmt.Sprintf(" More than %d times is not due to the GIL: threads were ready for %s and had no CPU.", p.CPUs, duration(l.WaitNS))
		}
	}
	return ""
}

func predictionText(p *analyze.Prediction, enough bool) string {
	if enough {
		return fmt.Sprintf("With %s, %s: up to %s times as fast.", count(p.CPUs, "CPU"), duration(*p.WallNS), mean(p.Speedup))
	}
	s := fmt.Sprintf("Without a GIL, on %s: the work of %s in %s would take %s, up to %s times as fast", count(p.CPUs, "CPU"), count(p.Threads, "thread"),
		duration(*p.RecordedNS), duration(*p.WallNS), mean(p.Speedup))
	if p.WallMinNS != nil && *p.WallMinNS < *p.WallNS {
		s += fmt.Sprintf(" (%s if they never waited for locks)", mean(p.SpeedupMax))
	}
	return s + ". Data that threads share makes it less."
}
