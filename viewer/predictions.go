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
			list = append(list, predictionText(p, i > 0))
		}
	}
	return list
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
