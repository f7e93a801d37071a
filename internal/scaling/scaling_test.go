package scaling

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// plan is a ladder of threads on a machine of so many CPUs.
func plan(t testing.TB, cpus, rounds int, workers ...int) Plan {
	t.Helper()
	p, err := NewPlan(Choice{Kinds: []Kind{Threads}, Workers: workers, Machine: cpus, Rounds: rounds, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// simulate runs a program that obeys a law, with relative noise on each run and
// on each round.
func simulate(p Plan, law Law, noise float64, seed uint64) Results {
	r := rand.New(rand.NewPCG(seed, 7))
	out := Results{Runs: map[Step][]Run{}}
	for range p.Rounds {
		round := 1 + noise*r.NormFloat64()
		for _, s := range p.Steps() {
			n := float64(p.At(s).Workers)
			wall := law.T1 / law.Speedup(n) * round * (1 + noise*r.NormFloat64())
			out.Runs[s] = append(out.Runs[s], Run{WallNS: int64(wall), CPUNS: int64(law.T1)})
		}
	}
	return out
}

func evaluate(t testing.TB, p Plan, r Results, cpus int) SeriesRow {
	t.Helper()
	rows, err := p.Evaluate(r, cpus)
	if err != nil {
		t.Fatal(err)
	}
	return rows[0]
}

var known = []Law{
	{1e9, 0, 0}, {1e9, 0.05, 0}, {1e9, 0.5, 0}, {1e9, 1, 0},
	{1e9, 0.03, 0.001}, {1e9, 0.2, 0.01}, {1e9, 0, 0.02}, {1e9, 1, 0.05},
}

// TestExact: without noise the parameters come out as they went in.
func TestExact(t *testing.T) {
	for _, law := range known {
		p := plan(t, 32, 3)
		row := evaluate(t, p, simulate(p, law, 0, 1), 32)
		if got := row.USL; math.Abs(got.Sigma.Value-law.Sigma) > 1e-5 || math.Abs(got.Kappa.Value-law.Kappa) > 1e-6 {
			t.Errorf("%+v: USL has sigma %v and kappa %v", law, got.Sigma.Value, got.Kappa.Value)
		}
		if law.Kappa == 0 && math.Abs(row.Amdahl.Sigma.Value-law.Sigma) > 1e-6 {
			t.Errorf("%+v: Amdahl's serial share is %v", law, row.Amdahl.Sigma.Value)
		}
		if want := law.Peak(); law.Kappa > 0 && math.Abs(row.USL.Peak.Value-want) > 0.01*want {
			t.Errorf("%+v: the peak is at %v, want %v", law, row.USL.Peak.Value, want)
		}
		for i, n := range []int{64, 128, 256} {
			if got := row.Predictions[i]; got.CPUs != n || math.Abs(got.USL.Value/law.Speedup(float64(n))-1) > 0.01 {
				t.Errorf("%+v: predicted %v for %d CPUs, want %v", law, got.USL.Value, got.CPUs, law.Speedup(float64(n)))
			}
		}
	}
}

// TestCoverage: of many simulated measurements with noise, nearly all intervals
// contain the truth, and they are narrow enough to say something.
func TestCoverage(t *testing.T) {
	const trials = 150
	for _, law := range known {
		p := plan(t, 16, 5)
		var covered [5]int
		var width float64
		for trial := range trials {
			row := evaluate(t, p, simulate(p, law, 0.02, uint64(trial)), 16)
			last := row.Steps[len(row.Steps)-1]
			in := []bool{
				contains(last.Speedup, law.Speedup(16)), contains(row.USL.Sigma, law.Sigma), contains(*row.USL.Kappa, law.Kappa),
				contains(*row.Predictions[0].USL, law.Speedup(32)), law.Kappa > 0 || contains(row.Amdahl.Sigma, law.Sigma),
			}
			for i, ok := range in {
				if ok {
					covered[i]++
				}
			}
			width += *last.Speedup.High - *last.Speedup.Low
		}
		for i, what := range []string{"speed-up", "sigma", "kappa", "prediction", "serial share"} {
			if share := float64(covered[i]) / trials; share < 0.90 {
				t.Errorf("%+v: the interval of the %s contains the truth in %.0f%% of the trials, want 95%%", law, what, share*100)
			}
		}
		if mean := width / trials / law.Speedup(16); mean > 0.25 {
			t.Errorf("%+v: with 2%% noise the speed-up's interval is %.0f%% wide", law, mean*100)
		}
	}
}

func contains(i Interval, v float64) bool {
	const rounding = 1e-6
	return i.Low != nil && *i.Low-rounding <= v && v <= *i.High+rounding
}

// TestTooFew: what the steps cannot tell is said, and not made up.
func TestTooFew(t *testing.T) {
	law := Law{1e9, 0.1, 0}
	for _, c := range []struct {
		cpus, rounds         int
		workers              []int
		amdahl, usl          bool
		predictions, unknown int
	}{
		{1, 5, []int{1, 2, 4}, false, false, 0, 1},
		{2, 5, nil, true, false, 0, 2},
		{2, 5, []int{1, 2, 4, 8}, true, false, 0, 2}, // more threads than CPUs teach nothing
		{2, 2, nil, true, false, 0, 3},
		{8, 5, []int{1, 4, 8}, true, true, 3, 1},
		{4, 5, nil, true, true, 3, 0},
	} {
		p := plan(t, c.cpus, c.rounds, c.workers...)
		row := evaluate(t, p, simulate(p, law, 0.01, 3), c.cpus)
		if (row.Amdahl != nil) != c.amdahl || (row.USL != nil) != c.usl {
			t.Errorf("%+v: Amdahl %v, USL %v", c, row.Amdahl, row.USL)
		}
		if len(row.Predictions) != c.predictions || len(row.Unknown) != c.unknown {
			t.Errorf("%+v: %d predictions, unknown %q", c, len(row.Predictions), row.Unknown)
		}
		if narrow := c.rounds >= minRounds; len(row.Steps) > 1 && (row.Steps[1].Speedup.Low != nil) != narrow {
			t.Errorf("%+v: the speed-up has an interval, or none: %+v", c, row.Steps[1].Speedup)
		}
	}
	// With three steps only Amdahl's law predicts, and nobody may be sure of it.
	p := plan(t, 8, 5, 1, 4, 8)
	row := evaluate(t, p, simulate(p, law, 0.001, 3), 8)
	if got := row.Predictions[0]; got.USL != nil || got.Amdahl == nil || got.Confidence != Low {
		t.Errorf("three steps: %+v", got)
	}
}

// TestConfidence: it falls with the reach of a prediction, and with noise.
func TestConfidence(t *testing.T) {
	p := plan(t, 32, 7)
	row := evaluate(t, p, simulate(p, Law{1e9, 0.05, 0}, 0.002, 5), 32)
	got := []Confidence{row.Predictions[0].Confidence, row.Predictions[1].Confidence, row.Predictions[2].Confidence}
	if !slices.Equal(got, []Confidence{Good, Fair, Low}) {
		t.Errorf("little noise: %v", got)
	}
	row = evaluate(t, p, simulate(p, Law{1e9, 0.05, 0}, 0.2, 5), 32)
	if row.Predictions[0].Confidence != Low {
		t.Errorf("20%% noise: %+v", row.Predictions[0])
	}
}

// TestStep: the loss is split by what the CPUs did.
func TestStep(t *testing.T) {
	p := plan(t, 2, 1, 1, 2, 4)
	r := Results{Runs: map[Step][]Run{
		{0, 0}: {{WallNS: 1000, CPUNS: 1000}},
		{0, 1}: {{WallNS: 800, CPUNS: 1200}}, // 1600 could have been used: 200 more work, 400 idle
		{0, 2}: {{WallNS: 500, CPUNS: 1000}},
	}}
	row := evaluate(t, p, r, 2)
	two, four := row.Steps[1], row.Steps[2]
	if two.Speedup.Value != 1.25 || two.Ideal != 2 || two.Efficiency != 0.625 || two.ParallelismMean != 1.5 {
		t.Errorf("two threads: %+v", two)
	}
	if two.LostShare != 0.375 || two.CPUGrowthShare != 0.125 || two.IdleShare != 0.25 {
		t.Errorf("two threads lost %v: %v more work, %v idle", two.LostShare, two.CPUGrowthShare, two.IdleShare)
	}
	if !four.Oversubscribed || four.Ideal != 2 || four.LostShare != 0 {
		t.Errorf("four threads on two CPUs: %+v", four)
	}
}

// TestThroughput: a program that runs for a fixed time tells its own rate.
func TestThroughput(t *testing.T) {
	p := plan(t, 2, 1)
	row := evaluate(t, p, Results{Runs: map[Step][]Run{
		{0, 0}: {{WallNS: 1e9, CPUNS: 1e9, Throughput: 100}},
		{0, 1}: {{WallNS: 1e9, CPUNS: 2e9, Throughput: 150}},
	}}, 2)
	if s := row.Steps[1]; s.Speedup.Value != 1.5 || *s.Throughput != 150 || math.Abs(s.CPUGrowthShare-0.25) > 1e-9 {
		t.Errorf("%+v", s)
	}
}

// TestMissingRounds: an interrupted measurement counts whole rounds only.
func TestMissingRounds(t *testing.T) {
	p := plan(t, 2, 5)
	r := simulate(p, Law{1e9, 0, 0}, 0, 1)
	r.Runs[Step{0, 1}] = r.Runs[Step{0, 1}][:3]
	if n := r.Rounds(p); n != 3 {
		t.Errorf("%d whole rounds, want 3", n)
	}
	evaluate(t, p, r, 2)
	r.Runs[Step{0, 1}] = nil
	if _, err := p.Evaluate(r, 2); err == nil {
		t.Error("no round, and no error")
	}
}
