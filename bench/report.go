package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
)

// spread is how a number scatters over the rounds.
type spread struct {
	Median int64 `json:"median"`
	Min    int64 `json:"min"`
	Max    int64 `json:"max"`
	Q1     int64 `json:"q1"`
	Q3     int64 `json:"q3"`
}

// spreadOf sorts the values; there is at least one.
func spreadOf(values []int64) spread {
	slices.Sort(values)
	// at interpolates between the two nearest values, in quarters of the way.
	at := func(quarter int) int64 {
		n := (len(values) - 1) * quarter
		v := values[n/4]
		if n%4 != 0 {
			v += (values[n/4+1] - v) * int64(n%4) / 4
		}
		return v
	}
	return spread{Min: values[0], Q1: at(1), Median: at(2), Q3: at(3), Max: values[len(values)-1]}
}

// ratio is one median over another.
type ratio struct {
	Value float64 `json:"value"`
	Error float64 `json:"error"` // half the width of a 95 % interval, roughly
}

// ratioOf takes medians of n values each. Their errors are those of the notches
// of a box plot, 1.57 IQR / sqrt(n) (McGill, Tukey and Larsen 1978).
func ratioOf(x, base spread, n int) ratio {
	value := float64(x.Median) / float64(base.Median)
	return ratio{value, value * math.Hypot(x.iqr(), base.iqr()) * 1.57 / math.Sqrt(float64(n))}
}

// iqr is the interquartile range as a share of the median.
func (s spread) iqr() float64 { return float64(s.Q3-s.Q1) / float64(s.Median) }

// measured is one workload at one detail.
type measured struct {
	Detail      string   `json:"detail"`
	Wall        spread   `json:"wall_ns"`
	CPU         spread   `json:"cpu_ns"` // of the recorded program
	WallRatio   ratio    `json:"wall_ratio"`
	CPURatio    ratio    `json:"cpu_ratio"`
	RecorderCPU spread   `json:"recorder_cpu_ns"`
	Events      spread   `json:"events"`
	Lost        int64    `json:"lost"` // of all rounds
	Samples     []sample `json:"samples"`
}

// result is one workload.
type result struct {
	workload
	Operations int64      `json:"operations"`
	Details    []measured `json:"details"`
	// UnitNS is what detail full costs the program for each unit: CPU time by
	// round, full less none; nil where the workload has no unit.
	UnitNS *spread `json:"unit_ns,omitempty"`
}

// newResult takes the samples by detail and round.
func newResult(w workload, samples [][]sample) result {
	r := result{workload: w, Operations: samples[0][0].Operations}
	for i, detail := range details {
		m := measured{
			Detail: detail, Samples: samples[i],
			Wall:        spreadBy(samples[i], func(s sample) int64 { return s.WallNS }),
			CPU:         spreadBy(samples[i], func(s sample) int64 { return s.CPUNS }),
			RecorderCPU: spreadBy(samples[i], func(s sample) int64 { return s.RecorderCPUNS }),
			Events:      spreadBy(samples[i], func(s sample) int64 { return s.Events }),
		}
		for _, s := range samples[i] {
			m.Lost += s.Lost
		}
		r.Details = append(r.Details, m)
		base := &r.Details[0]
		r.Details[i].WallRatio = ratioOf(m.Wall, base.Wall, len(samples[i]))
		r.Details[i].CPURatio = ratioOf(m.CPU, base.CPU, len(samples[i]))
	}
	if w.Unit != "" {
		r.UnitNS = r.unitNS()
	}
	return r
}

// unitNS has the difference of the medians as its median, as the ratios do.
func (r *result) unitNS() *spread {
	bare, full := r.Details[0], r.Details[len(r.Details)-1]
	var each []int64
	for i := range full.Samples {
		each = append(each, (full.Samples[i].CPUNS-bare.Samples[i].CPUNS)/r.Operations)
	}
	s := spreadOf(each)
	s.Median = (full.CPU.Median - bare.CPU.Median) / r.Operations
	return &s
}

func spreadBy(samples []sample, value func(sample) int64) spread {
	values := make([]int64, len(samples))
	for i, s := range samples {
		values[i] = value(s)
	}
	return spreadOf(values)
}

// report is everything that was measured.
type report struct {
	Python    python   `json:"python"`
	Kernel    string   `json:"kernel"`
	CPUs      int      `json:"cpus"`
	Rounds    int      `json:"rounds"`
	Quick     bool     `json:"quick"`
	PairGoal  int64    `json:"pair_goal_ns"`
	Workloads []result `json:"workloads"`
}

func newReport(py python, o options) *report {
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		kernel = []byte("unknown")
	}
	return &report{Python: py, Kernel: strings.TrimSpace(string(kernel)), CPUs: runtime.NumCPU(),
		Rounds: o.rounds, Quick: o.quick, PairGoal: pairGoal}
}

// print writes the report as a table.
func (r *report) print(out io.Writer) error {
	fmt.Fprintf(out, "CPython %s (%s), Linux %s, %d CPUs, medians of %d interleaved rounds\n",
		r.Python.Version, r.Python.Path, r.Kernel, r.CPUs, r.Rounds)
	if r.Quick {
		fmt.Fprintln(out, "-quick: too little work to tell what recording costs")
	}
	fmt.Fprintln(out)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "workload\tdetail\twall ms\tmin-max\tIQR\tratio\tgoal\ttarget CPU ms\tmin-max\tIQR\tratio\trecorder CPU ms\tevents\tlost")
	for _, w := range r.Workloads {
		for i, m := range w.Details {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", w.Name, m.Detail,
				m.Wall.cells(), m.WallRatio.cell(i), r.waitsGoal(&w, &m), m.CPU.cells(), m.CPURatio.cell(i), m.recorder())
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	for _, w := range r.Workloads {
		r.printOperations(out, &w)
	}
	_, err := fmt.Fprintln(out, "recorder CPU is from its start to the end of the trace, with loading the programs and attaching")
	return err
}

// cells are the median, the range in ms and the interquartile range in percent of the median.
func (s spread) cells() string {
	ms := func(ns int64) float64 { return float64(ns) / 1e6 }
	return fmt.Sprintf("%.1f\t%.1f-%.1f\t%.1f%%", ms(s.Median), ms(s.Min), ms(s.Max), 100*s.iqr())
}

// cell is the ratio with its error; the measure itself, detail 0, has none.
func (x ratio) cell(detail int) string {
	if detail == 0 {
		return "x1"
	}
	return fmt.Sprintf("x%.3f ±%.3f", x.Value, x.Error)
}

func (r *report) waitsGoal(w *result, m *measured) string {
	if m.Detail != "waits" {
		return "-"
	}
	return fmt.Sprintf("%.2f%s", w.Goal, r.verdict(m.WallRatio.Value-w.Goal, m.WallRatio.Error))
}

// verdict judges by how far a number is above its goal.
func (r *report) verdict(above, uncertain float64) string {
	switch {
	case r.Quick:
		return ""
	case math.Abs(above) < uncertain:
		return " unclear"
	case above <= 0:
		return " met"
	}
	return " MISSED"
}

func (m *measured) recorder() string {
	if m.Detail == none {
		return "-\t-\t-"
	}
	return fmt.Sprintf("%.1f\t%d\t%d", float64(m.RecorderCPU.Median)/1e6, m.Events.Median, m.Lost)
}

// printOperations says the same for each operation, and what a take and drop costs.
func (r *report) printOperations(out io.Writer, w *result) {
	fmt.Fprintf(out, "%s: %d operations, wall and target CPU each:", w.Name, w.Operations)
	for _, m := range w.Details {
		fmt.Fprintf(out, " %s %d and %d ns;", m.Detail, m.Wall.Median/w.Operations, m.CPU.Median/w.Operations)
	}
	fmt.Fprintln(out)
	u := w.UnitNS
	if u == nil {
		return
	}
	goal := ""
	if w.Unit == aPair {
		goal = fmt.Sprintf("; goal %d%s", r.PairGoal, r.verdict(float64(u.Median-r.PairGoal), 0))
	}
	fmt.Fprintf(out, "  detail full costs %d ns of target CPU for each %s (rounds: %d-%d)%s\n", u.Median, w.Unit, u.Min, u.Max, goal)
}
