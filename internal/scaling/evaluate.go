package scaling

import (
	"fmt"
	"math"
	"slices"

	"gilscope/analyze"
)

// Run is one run of the program.
type Run struct {
	WallNS     int64
	CPUNS      int64   // user and system, of the program and the children it waited for
	OthersNS   *int64  // CPU time that others had on its CPUs meanwhile; nil: unknown
	Throughput float64 // work per second, as the program printed it; 0: the work is fixed
}

// perWork is the time and the CPU time for a fixed amount of work, in ns.
func (r Run) perWork() (wall, cpu float64) {
	if r.Throughput > 0 {
		wall = 1e9 / r.Throughput
		return wall, wall * float64(r.CPUNS) / float64(max(r.WallNS, 1))
	}
	return float64(max(r.WallNS, 1)), float64(r.CPUNS)
}

// Results are the runs of a plan. Runs of a step are in the order of the rounds.
type Results struct {
	Runs   map[Step][]Run
	Limits map[Step][]analyze.StepLimit // of the recorded runs, if there were any
	CPU    map[Step][]analyze.LineTime  // CPU time of those by line
}

// Rounds is how many rounds were run to their end: a round that was cut short
// does not count.
func (r Results) Rounds(p Plan) int {
	n := p.Rounds
	for _, s := range p.Steps() {
		n = min(n, len(r.Runs[s]))
	}
	return n
}

// ladder is one series while it is evaluated.
type ladder struct {
	points    []Point
	runs      [][]Run     // by point, of the whole rounds
	wall, cpu [][]float64 // for the same work, by point and round
	rounds    int
	draws     [][]int
	drawn     [][]float64 // median wall by resample and point
}

// Evaluate fits and predicts. There must be at least one whole round.
func (p Plan) Evaluate(r Results, cpus int) ([]SeriesRow, error) {
	rounds := r.Rounds(p)
	if rounds < 1 {
		return nil, fmt.Errorf("evaluate: no round was run to its end: let it run for longer")
	}
	drawn := draws(rounds, p.Seed)
	rows := make([]SeriesRow, 0, len(p.Series))
	for i := range p.Series {
		l := ladder{points: p.Series[i].Points, rounds: rounds, draws: drawn}
		row := SeriesRow{Kind: p.Series[i].Kind, Predictions: []Prediction{}, Unknown: []string{}}
		if gil := p.Series[i].GIL; gil != Keep {
			row.GIL = &gil
		}
		for k := range l.points {
			l.add(r.Runs[Step{i, k}][:rounds])
		}
		l.resample()
		for k := range l.points {
			step := l.step(k)
			step.Limits = r.Limits[Step{i, k}]
			if step.Throughput == nil {
				step.grown(&row, r.CPU[Step{i, 0}], r.CPU[Step{i, k}])
			}
			row.Steps = append(row.Steps, step)
		}
		l.laws(&row, cpus)
		row.round()
		rows = append(rows, row)
	}
	return rows, nil
}

func (l *ladder) add(runs []Run) {
	wall, cpu := make([]float64, len(runs)), make([]float64, len(runs))
	for i, r := range runs {
		wall[i], cpu[i] = r.perWork()
	}
	l.runs = append(l.runs, runs)
	l.wall, l.cpu = append(l.wall, wall), append(l.cpu, cpu)
}

func (l *ladder) resample() {
	picked := make([]float64, l.rounds)
	for _, draw := range l.draws {
		medians := make([]float64, len(l.points))
		for k := range l.points {
			for i, round := range draw {
				picked[i] = l.wall[k][round]
			}
			medians[k] = median(picked)
		}
		l.drawn = append(l.drawn, medians)
	}
}

// mid is the median of a row, which stays as it is.
func mid(v []float64) float64 { return median(slices.Clone(v)) }

func (l *ladder) step(k int) StepRow {
	p := l.points[k]
	used := min(p.Workers, p.CPUs)
	wall, cpu := mid(l.wall[k]), mid(l.cpu[k])
	first, firstCPU := mid(l.wall[0]), mid(l.cpu[0])
	could := float64(used) * wall
	s := StepRow{
		Workers: p.Workers, CPUs: p.CPUs, Oversubscribed: p.Oversubscribed(), Ideal: float64(used),
		Speedup: l.speedup(k), Efficiency: first / could, ParallelismMean: cpu / wall,
		LostShare: 1 - first/could, CPUGrowthShare: (cpu - firstCPU) / could,
	}
	s.IdleShare = s.LostShare - s.CPUGrowthShare
	s.OthersShare = l.others(k, p.CPUs-used, float64(used))
	l.times(k, &s)
	return s
}

// grown says how the CPU time of the same work differs from that of the first step.
func (s *StepRow) grown(row *SeriesRow, first, lines []analyze.LineTime) {
	more := int64(0)
	if len(row.Steps) > 0 {
		more = s.CPUNS - row.Steps[0].CPUNS
	}
	s.CPUGrowthNS = &more
	if lines != nil {
		s.CPUGrowth = analyze.Grown(first, lines)
	}
}

// others is the part of the workers' CPUs that others used: what is left of it
// once they have filled the CPUs for which there is no worker.
func (l *ladder) others(k, spare int, used float64) *float64 {
	var shares []float64
	for _, r := range l.runs[k] {
		if r.OthersNS == nil {
			return nil
		}
		wall := float64(max(r.WallNS, 1))
		shares = append(shares, max(0, float64(*r.OthersNS)-float64(spare)*wall)/(used*wall))
	}
	v := min(median(shares), 1)
	return &v
}

func (l *ladder) times(k int, s *StepRow) {
	var walls, cpus, rates []float64
	for _, r := range l.runs[k] {
		walls, cpus, rates = append(walls, float64(r.WallNS)), append(cpus, float64(r.CPUNS)), append(rates, r.Throughput)
	}
	s.WallNS, s.CPUNS = int64(median(walls)), int64(median(cpus))
	s.WallMinNS, s.WallMaxNS = int64(walls[0]), int64(walls[len(walls)-1])
	if rate := median(rates); rate > 0 {
		s.Throughput = &rate
	}
}

// speedup has its interval on the logarithm: it is a ratio.
func (l *ladder) speedup(k int) Interval {
	value := mid(l.wall[0]) / mid(l.wall[k])
	if k == 0 {
		return Interval{Value: 1} // by definition
	}
	logs := make([]float64, len(l.drawn))
	for i, medians := range l.drawn {
		logs[i] = math.Log(medians[0] / medians[k])
	}
	h, ok := halfWidth(logs, l.rounds)
	if !ok {
		return Interval{Value: value}
	}
	low, high := value*math.Exp(-h), value*math.Exp(h)
	return Interval{value, &low, &high}
}

// samples are the medians that a law may be fitted to: without the steps that
// had more workers than CPUs.
func (l *ladder) samples(medians []float64) []sample {
	var out []sample
	for k, p := range l.points {
		if !p.Oversubscribed() {
			out = append(out, sample{float64(p.Workers), medians[k]})
		}
	}
	return out
}

func (l *ladder) medians() []float64 {
	out := make([]float64, len(l.points))
	for k := range out {
		out[k] = mid(l.wall[k])
	}
	return out
}
