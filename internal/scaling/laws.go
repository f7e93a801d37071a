package scaling

import "math"

// Law is the Universal Scalability Law (N. Gunther, "Guerrilla Capacity
// Planning", 2007): the time for the work of one worker, done by n, is
// T1 (1 + sigma (n-1) + kappa n (n-1)) / n. With Kappa 0 it is Amdahl's law
// (1967), and Sigma the serial share.
type Law struct {
	T1    float64 // time with one worker, in the unit of the samples
	Sigma float64 // contention: the share of the work that one worker at a time does; 0 to 1
	Kappa float64 // coherence: what each pair of workers costs, as a share of the work; 0 or more
}

// Slowdown is how much more CPU time n workers need than one would: n over the speed-up.
func (l Law) Slowdown(n float64) float64 { return 1 + l.Sigma*(n-1) + l.Kappa*n*(n-1) }

// Speedup is how many times as fast as one n workers are.
func (l Law) Speedup(n float64) float64 { return n / l.Slowdown(n) }

// Peak is the number of workers with the largest speed-up; infinite if more is
// always better.
func (l Law) Peak() float64 {
	if l.Kappa <= 0 {
		return math.Inf(1)
	}
	return max(1, math.Sqrt((1-l.Sigma)/l.Kappa))
}

// sample is what a law is fitted to: a time for the same work with n workers.
type sample struct{ n, t float64 }

// model is which law to fit.
type model int

const (
	amdahl model = iota
	usl
)

// parameters is how many a model has, T1 included: it takes at least as many
// different numbers of workers.
func (m model) parameters() int { return int(m) + 2 }

// design is one column of the least squares, by the number of workers. With
// a = T1, b = T1 sigma, c = T1 kappa the law is linear: n t = a + b (n-1) + c n (n-1).
type design func(n float64) float64

func one(float64) float64          { return 1 }
func contention(n float64) float64 { return n - 1 }
func coherence(n float64) float64  { return n * (n - 1) }
func allSerial(n float64) float64  { return n } // a and b are the same: sigma is 1

// shape is a set of columns, and how to read the law from their coefficients.
type shape struct {
	columns []design
	law     func(x []float64) Law
}

// The shapes that the bounds (0 <= sigma <= 1, kappa >= 0) leave: each bound is
// met with equality or not at all, so the best feasible one of them is the
// bounded least squares, without an iteration that may not converge.
var (
	amdahlShapes = []shape{
		{[]design{one, contention}, func(x []float64) Law { return Law{x[0], x[1] / x[0], 0} }},
		{[]design{one}, func(x []float64) Law { return Law{x[0], 0, 0} }},
		{[]design{allSerial}, func(x []float64) Law { return Law{x[0], 1, 0} }},
	}
	uslShapes = append([]shape{
		{[]design{one, contention, coherence}, func(x []float64) Law { return Law{x[0], x[1] / x[0], x[2] / x[0]} }},
		{[]design{one, coherence}, func(x []float64) Law { return Law{x[0], 0, x[1] / x[0]} }},
		{[]design{allSerial, coherence}, func(x []float64) Law { return Law{x[0], 1, x[1] / x[0]} }},
	}, amdahlShapes...)
)

func (m model) shapes() []shape {
	if m == usl {
		return uslShapes
	}
	return amdahlShapes
}

// fit is the law within its bounds that is nearest to the samples.
func (m model) fit(samples []sample) (Law, bool) {
	var best Law
	least, found := math.Inf(1), false
	for _, s := range m.shapes() {
		l, ok := s.fit(samples)
		if !ok || l.T1 <= 0 || l.Sigma < 0 || l.Sigma > 1 || l.Kappa < 0 {
			continue
		}
		if e := misfit(l, samples); e < least {
			best, least, found = l, e, true
		}
	}
	return best, found
}

// free is the fit without bounds. Its scatter under noise is symmetric, also
// where the bounded one stands at a bound: intervals are made from it.
func (m model) free(samples []sample) (Law, bool) { return m.shapes()[0].fit(samples) }

// misfit is the root mean square of the relative residuals.
func misfit(l Law, samples []sample) float64 {
	var sum float64
	for _, s := range samples {
		d := l.T1*l.Slowdown(s.n)/(s.n*s.t) - 1
		sum += d * d
	}
	return math.Sqrt(sum / float64(len(samples)))
}

// fit solves the least squares of relative residuals: the noise of a run is in
// proportion to its time.
func (s shape) fit(samples []sample) (Law, bool) {
	k := len(s.columns)
	if len(samples) < k {
		return Law{}, false
	}
	normal := make([][]float64, k)
	for i := range normal {
		normal[i] = make([]float64, k+1)
	}
	row := make([]float64, k)
	for _, p := range samples {
		for i, column := range s.columns {
			row[i] = column(p.n) / (p.n * p.t)
		}
		for i := range row {
			for j := range row {
				normal[i][j] += row[i] * row[j]
			}
			normal[i][k] += row[i]
		}
	}
	x, ok := solve(normal)
	if !ok || x[0] == 0 {
		return Law{}, false
	}
	return s.law(x), true
}

// solve is Gauss's elimination with pivots; false if the system is singular.
// m has a row for each unknown, with the right side at its end.
func solve(m [][]float64) ([]float64, bool) {
	k := len(m)
	for c := range k {
		p := c
		for r := c; r < k; r++ {
			if math.Abs(m[r][c]) > math.Abs(m[p][c]) {
				p = r
			}
		}
		m[c], m[p] = m[p], m[c]
		if math.Abs(m[c][c]) < 1e-12*math.Abs(m[0][0]) || m[c][c] == 0 {
			return nil, false
		}
		for r := range k {
			if r == c {
				continue
			}
			f := m[r][c] / m[c][c]
			for j := c; j <= k; j++ {
				m[r][j] -= f * m[c][j]
			}
		}
	}
	x := make([]float64, k)
	for i := range x {
		x[i] = m[i][k] / m[i][i]
	}
	return x, true
}
