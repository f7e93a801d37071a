// Package scaling owns the question how a program gets faster with more workers:
// the ladder of steps that are run, the laws fitted to what was measured
// (Amdahl, Universal Scalability Law) with their confidence intervals, what they
// predict, and how sure that is. It runs nothing itself.
package scaling

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
)

// Kind is what there is more of at each step.
type Kind string

// Kinds of steps.
const (
	Threads   Kind = "threads"
	Processes Kind = "processes"
	CPUs      Kind = "cpus" // the program is told nothing, but may use only so many
)

// GIL is how the interpreter is started.
type GIL string

// States of the GIL.
const (
	Keep GIL = ""    // as the program has it
	On   GIL = "on"  // PYTHON_GIL=1
	Off  GIL = "off" // PYTHON_GIL=0
)

// Bounds of a plan: what goes beyond is a mistake on the command line.
const (
	MaxWorkers = 4096
	MaxSteps   = 64
	MaxRounds  = 100
)

// Choice is what the user asked for.
type Choice struct {
	Kinds   []Kind
	GILs    []GIL
	Workers []int // counts of threads or processes; nil: up to Machine
	CPUs    []int // how many CPUs the program may use, one series for each; nil: all
	Match   bool  // n workers may use n CPUs, instead of CPUs
	Machine int   // CPUs that this machine lets us use
	Rounds  int
	Seed    uint64
}

// Point is one step of a ladder: what one run is made of.
type Point struct {
	Kind    Kind
	GIL     GIL
	Workers int
	CPUs    int // that it may use
}

// Oversubscribed says that there are more workers than CPUs: what such a step
// measures is sharing, not scaling.
func (p Point) Oversubscribed() bool { return p.Workers > p.CPUs }

// String names the point for a person.
func (p Point) String() string {
	s := fmt.Sprintf("%s %d on %d CPUs", p.Kind, p.Workers, p.CPUs)
	if p.Kind == CPUs {
		s = fmt.Sprintf("%d CPUs", p.CPUs)
	}
	if p.GIL != Keep {
		s += ", GIL " + string(p.GIL)
	}
	return s
}

// Series is a ladder: points that differ in the number of workers only, the
// first of which has one.
type Series struct {
	Kind   Kind
	GIL    GIL
	Points []Point
}

// Plan is what to run: every point once in each round.
type Plan struct {
	Series []Series
	Rounds int
	Seed   uint64
}

// Step names a point of a plan.
type Step struct{ Series, Point int }

// NewPlan makes the ladders. Processes each have a GIL of their own, so their
// ladder is run once, in the first state of the GIL.
func NewPlan(c Choice) (Plan, error) {
	if c.Machine < 1 {
		return Plan{}, errors.New("plan: no CPU may be used: widen the CPU affinity of this shell (taskset)")
	}
	if c.Rounds < 1 || c.Rounds > MaxRounds {
		return Plan{}, fmt.Errorf("plan: %d rounds: give 1 to %d", c.Rounds, MaxRounds)
	}
	p := Plan{Rounds: c.Rounds, Seed: c.Seed}
	limits := c.CPUs
	if len(limits) == 0 {
		limits = []int{c.Machine}
	}
	for _, kind := range c.Kinds {
		for _, gil := range gilsFor(kind, c.GILs) {
			limits := limits
			if kind == CPUs || c.Match {
				limits = []int{c.Machine} // the ladder itself is the limit
			}
			for _, limit := range limits {
				if limit < 1 || limit > c.Machine {
					return Plan{}, fmt.Errorf("plan: %d CPUs: this machine lets us use 1 to %d", limit, c.Machine)
				}
				s, err := newSeries(c, kind, gil, limit)
				if err != nil {
					return Plan{}, err
				}
				p.Series = append(p.Series, s)
			}
		}
	}
	if n := len(p.Steps()); n == 0 || n > MaxSteps {
		return Plan{}, fmt.Errorf("plan: %d steps: choose 1 to %d, with fewer workers, CPUs or kinds", n, MaxSteps)
	}
	return p, nil
}

func gilsFor(kind Kind, gils []GIL) []GIL {
	if len(gils) == 0 {
		return []GIL{Keep}
	}
	if kind == Processes {
		return gils[:1]
	}
	return gils
}

func newSeries(c Choice, kind Kind, gil GIL, limit int) (Series, error) {
	workers := slices.Clone(c.Workers)
	if len(workers) == 0 {
		workers = Ladder(c.Machine)
	}
	workers = append(workers, 1) // what all others are compared with
	slices.Sort(workers)
	s := Series{Kind: kind, GIL: gil}
	for _, n := range slices.Compact(workers) {
		if kind == CPUs && n > c.Machine {
			return Series{}, fmt.Errorf("plan: %d CPUs: this machine lets us use %d", n, c.Machine)
		}
		if n < 1 || n > MaxWorkers {
			return Series{}, fmt.Errorf("plan: %d workers: give 1 to %d", n, MaxWorkers)
		}
		cpus := limit
		if c.Match {
			cpus = min(n, c.Machine)
		}
		if kind == CPUs {
			cpus = n
		}
		s.Points = append(s.Points, Point{kind, gil, n, cpus})
	}
	return s, nil
}

// Ladder is 1, 2, 3, 4, 6, 8, 12, 16 ... and the number of CPUs itself: dense
// enough that few CPUs still give a law more steps than it has parameters.
func Ladder(cpus int) []int {
	steps := []int{1}
	for n := 2; n < cpus; n *= 2 {
		steps = append(steps, n)
		if half := n + n/2; half < cpus {
			steps = append(steps, half)
		}
	}
	if cpus > 1 {
		steps = append(steps, cpus)
	}
	slices.Sort(steps)
	return slices.Compact(steps)
}

// Steps are all points, in order.
func (p Plan) Steps() []Step {
	var all []Step
	for s := range p.Series {
		for i := range p.Series[s].Points {
			all = append(all, Step{s, i})
		}
	}
	return all
}

// At is the point of a step.
func (p Plan) At(s Step) Point { return p.Series[s.Series].Points[s.Point] }

// Order is the order of the runs of one round, another in each: what drifts on
// the machine (heat, other guests, caches) then falls on all points alike. The
// same seed gives the same order.
func (p Plan) Order(round int) []Step {
	all := p.Steps()
	r := rand.New(rand.NewPCG(p.Seed, uint64(round)))
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}
