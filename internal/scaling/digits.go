package scaling

import (
	"math"
	"strconv"
)

// digits is how many significant ones a report has: more would be noise, and
// differ from one processor to another, some of which add and multiply in one step.
const digits = 6

// nothing is what differs from 0 by rounding only, in shares and ratios.
const nothing = 1e-9

func round(v *float64) {
	if v == nil {
		return
	}
	if math.Abs(*v) < nothing {
		*v = 0
	}
	// What was just formatted can be parsed.
	*v, _ = strconv.ParseFloat(strconv.FormatFloat(*v, 'g', digits, 64), 64)
}

func (i *Interval) round() {
	if i != nil {
		round(&i.Value)
		round(i.Low)
		round(i.High)
	}
}

func (f *Fit) round() {
	if f != nil {
		f.Sigma.round()
		f.Kappa.round()
		f.Limit.round()
		f.Peak.round()
		round(f.MisfitShare)
	}
}

func (s *StepRow) round() {
	s.Speedup.round()
	for _, v := range []*float64{s.Throughput, &s.Efficiency, &s.ParallelismMean, &s.LostShare, &s.CPUGrowthShare, &s.IdleShare, s.OthersShare} {
		round(v)
	}
}

// round keeps the digits that mean something.
func (row *SeriesRow) round() {
	for i := range row.Steps {
		row.Steps[i].round()
	}
	row.Amdahl.round()
	row.USL.round()
	for i := range row.Predictions {
		row.Predictions[i].Amdahl.round()
		row.Predictions[i].USL.round()
	}
}
