package scaling

import (
	"fmt"
	"math"
)

// fitted is a model with its scatter.
type fitted struct {
	law, centre Law   // within the bounds, and without them
	scatter     []Law // without bounds, of each resample
	rounds      int
}

func (l *ladder) fit(m model, samples []sample) (fitted, bool) {
	var f fitted
	ok, free := false, false
	if f.law, ok = m.fit(samples); ok {
		f.centre, free = m.free(samples)
	}
	if !ok || !free {
		return f, false
	}
	f.rounds = l.rounds
	for _, medians := range l.drawn {
		if law, ok := m.free(l.samples(medians)); ok {
			f.scatter = append(f.scatter, law)
		}
	}
	return f, true
}

// interval is of a number that a law gives, within bounds.
func (f fitted) interval(of func(Law) float64, low, high float64) Interval {
	values := make([]float64, len(f.scatter))
	for i, law := range f.scatter {
		values[i] = of(law)
	}
	return around(of(f.law), of(f.centre), values, f.rounds, low, high)
}

func sigma(l Law) float64 { return l.Sigma }
func kappa(l Law) float64 { return l.Kappa }

// laws fits what the steps allow, and says what they do not. A law is fitted
// with as many steps as it has parameters, and predicts with one to spare: with
// fewer it would go through the points whatever the program does.
func (l *ladder) laws(row *SeriesRow, cpus int) {
	samples := l.samples(l.medians())
	n := len(samples)
	most := samples[n-1].n // the points are sorted; the first has one worker on one CPU or more
	var a, u *fitted
	if n >= amdahl.parameters() {
		a = l.amdahl(row, samples)
	}
	if n >= usl.parameters() {
		u = l.usl(row, samples)
	}
	row.say(n, int(most), l.rounds, row.Kind)
	if n <= amdahl.parameters() {
		a = nil
	}
	if n <= usl.parameters() {
		u = nil
	}
	if a != nil || u != nil {
		for _, times := range []int{2, 4, 8} {
			row.Predictions = append(row.Predictions, predict(a, u, cpus*times, most))
		}
	}
}

func (l *ladder) amdahl(row *SeriesRow, samples []sample) *fitted {
	f, ok := l.fit(amdahl, samples)
	if !ok {
		return nil
	}
	row.Amdahl = &Fit{Sigma: f.interval(sigma, 0, 1), law: f.law, MisfitShare: f.misfit(amdahl, samples)}
	if s := row.Amdahl.Sigma; s.Value > nothing {
		limit := inverse(s)
		row.Amdahl.Limit = &limit
	}
	return &f
}

// inverse is 1/x of an interval; what would be infinite is nil.
func inverse(x Interval) Interval {
	out := Interval{Value: 1 / x.Value}
	if x.High != nil && *x.High > 0 {
		low := 1 / *x.High
		out.Low = &low
	}
	if x.Low != nil && *x.Low > 0 {
		high := 1 / *x.Low
		out.High = &high
	}
	return out
}

func (l *ladder) usl(row *SeriesRow, samples []sample) *fitted {
	f, ok := l.fit(usl, samples)
	if !ok {
		return nil
	}
	k := f.interval(kappa, 0, math.Inf(1))
	row.USL = &Fit{Sigma: f.interval(sigma, 0, 1), Kappa: &k, law: f.law, MisfitShare: f.misfit(usl, samples)}
	row.USL.Peak = row.USL.peak()
	return &f
}

// peak is where the law turns down. Its ends are those of the worst and the best
// of both parameters, so it is rather too wide.
func (f *Fit) peak() *Interval {
	if math.IsInf(f.law.Peak(), 1) {
		return nil
	}
	p := Interval{Value: f.law.Peak()}
	if f.Kappa.High == nil || f.Sigma.High == nil {
		return &p
	}
	low := min(p.Value, Law{0, *f.Sigma.High, *f.Kappa.High}.Peak())
	p.Low = &low
	if high := (Law{0, *f.Sigma.Low, *f.Kappa.Low}).Peak(); !math.IsInf(high, 1) {
		p.High = &high
	}
	return &p
}

// misfit is nil if the law has a parameter for each step: then it always fits.
func (f fitted) misfit(m model, samples []sample) *float64 {
	if len(samples) <= m.parameters() {
		return nil
	}
	v := misfit(f.law, samples)
	return &v
}

// say names what cannot be told.
func (row *SeriesRow) say(n, most, rounds int, kind Kind) {
	tell := func(format string, args ...any) { row.Unknown = append(row.Unknown, fmt.Sprintf(format, args...)) }
	if rounds < minRounds {
		tell("confidence intervals: they take %d rounds or more, there were %d", minRounds, rounds)
	}
	what := map[Kind]string{Threads: "threads", Processes: "processes", CPUs: "CPUs"}[kind]
	switch {
	case n < amdahl.parameters():
		tell("any law: only steps with at most as many %s as CPUs count, and there is one", what)
	case n == amdahl.parameters():
		tell("beyond %d CPUs: two steps (1 and %d %s) fit any law, so nothing beyond can be told", most, most, what)
		tell("USL: it takes 3 steps within the CPUs")
	case n == usl.parameters():
		tell("predictions by USL: it fits any 3 steps, and takes 4 to be held against")
	}
}

// predict is the speed-up of cpus workers on as many CPUs, by each law that has
// a step to spare. measured is the largest number of workers it was fitted to.
func predict(a, u *fitted, cpus int, measured float64) Prediction {
	p := Prediction{CPUs: cpus}
	n := float64(cpus)
	p.Amdahl, p.USL = a.speedup(n), u.speedup(n)
	low, high, value := math.Inf(1), math.Inf(-1), 0.0
	for _, i := range []*Interval{p.Amdahl, p.USL} {
		if i == nil {
			continue
		}
		value = i.Value
		if i.Low == nil {
			p.Confidence = Low
			return p
		}
		low, high = min(low, *i.Low), max(high, *i.High)
	}
	p.Confidence = grade((high-low)/2/value, n/measured, u != nil)
	return p
}

// grade: where only Amdahl's law could be held against the steps, what it does
// not know of (coherence) may bend the curve.
func grade(width, reach float64, both bool) Confidence {
	switch {
	case both && width <= 0.10 && reach <= 2:
		return Good
	case both && width <= 0.25 && reach <= 4:
		return Fair
	}
	return Low
}

// speedup is by way of the slowdown, which is linear in the parameters and so
// scatters evenly; it is at least 1, for no law is better than ideal.
func (f *fitted) speedup(n float64) *Interval {
	if f == nil {
		return nil
	}
	d := f.interval(func(l Law) float64 { return l.Slowdown(n) }, 1, math.Inf(1))
	out := Interval{Value: n / d.Value}
	if d.Low != nil {
		low, high := n / *d.High, n / *d.Low
		out.Low, out.High = &low, &high
	}
	return &out
}
