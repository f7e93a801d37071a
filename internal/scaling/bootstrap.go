package scaling

import (
	"math"
	"math/rand/v2"
	"slices"
)

// resamples is how many times the rounds are drawn anew: a standard error is
// then right to 3 %.
const resamples = 600

// minRounds is the least number of rounds that shows how much they scatter.
const minRounds = 3

// studentT is the 97.5 % quantile of Student's t by degrees of freedom from 1 on.
var studentT = []float64{
	12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
	2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
}

func quantileT(df int) float64 {
	if df > len(studentT) {
		return 1.96 + 2.5/float64(df) // the tail of the table to within 0.1 %
	}
	return studentT[df-1]
}

// draws are the rounds of each resample. Whole rounds are drawn: what disturbed
// a round disturbed all its points.
func draws(rounds int, seed uint64) [][]int {
	if rounds < minRounds {
		return nil
	}
	r := rand.New(rand.NewPCG(seed, 0x5ca1e))
	all := make([][]int, resamples)
	for i := range all {
		all[i] = make([]int, rounds)
		for k := range all[i] {
			all[i][k] = r.IntN(rounds)
		}
	}
	return all
}

// halfWidth is half the 95 % interval of a statistic, given its values in the
// resamples of so many rounds: Student's t times the bootstrap's standard error,
// which is too small by the root of (rounds-1)/rounds. Plain percentiles of a
// bootstrap of five rounds would be far too narrow.
func halfWidth(values []float64, rounds int) (float64, bool) {
	values = slices.DeleteFunc(slices.Clone(values), func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
	if len(values) < resamples/2 {
		return 0, false
	}
	var sum, squares float64
	for _, v := range values {
		sum += v
	}
	mean := sum / float64(len(values))
	for _, v := range values {
		squares += (v - mean) * (v - mean)
	}
	se := math.Sqrt(squares / float64(len(values)-1))
	n := float64(rounds)
	return quantileT(rounds-1) * se * math.Sqrt(n/(n-1)), true
}

// around is the interval of a statistic within bounds. It always contains the
// value, which a bound may have moved.
func around(value, centre float64, values []float64, rounds int, low, high float64) Interval {
	h, ok := halfWidth(values, rounds)
	if !ok {
		return Interval{Value: value}
	}
	a := min(max(centre-h, low), value)
	b := max(min(centre+h, high), value)
	return Interval{value, &a, &b}
}

// median of a list that must not be empty, which is sorted by it.
func median(v []float64) float64 {
	slices.Sort(v)
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}
