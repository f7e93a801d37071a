package viewer

import (
	"encoding/json"
	"fmt"
	"io"
	"math"

	"gilscope/internal/scaling"
)

// ScaleJSON writes a report on scaling as gilscope.scale/v1.
func ScaleJSON(w io.Writer, r *scaling.Report) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write the report on scaling as JSON: %w", err)
	}
	_, err = w.Write(append(visible(data), '\n'))
	return err
}

// ScaleText writes a report on scaling for a person: what came out, then each
// ladder with its laws, its limits, and what it cannot tell.
func ScaleText(w io.Writer, r *scaling.Report) error {
	p := &page{}
	for _, doubt := range scaleDoubts(r) {
		p.wrap("", "WARNING: "+doubt)
	}
	for _, s := range scaleVerdict(r) {
		p.wrap("", s)
	}
	p.line("")
	p.wrap("", scaleAbout(r))
	for i := range r.Series {
		p.ladder(&r.Series[i])
	}
	if len(r.Skipped) > 0 {
		p.line("")
	}
	for _, s := range r.Skipped {
		p.wrap("", fmt.Sprintf("Not measured: %s: %s.", s.What, s.Why))
	}
	_, err := w.Write(p.buf.Bytes())
	return err
}

// disturbed is the share of the CPUs' time from which on what others took of it
// is worth a word; the kernel counts it in ticks of 10 ms.
const disturbed = 0.05

// scaleDoubts are reasons to run it again.
func scaleDoubts(r *scaling.Report) []string {
	var worst float64
	for i := range r.Series {
		for k := range r.Series[i].Steps {
			if o := r.Series[i].Steps[k].OthersShare; o != nil {
				worst = max(worst, *o)
			}
		}
	}
	if worst < disturbed {
		return nil
	}
	return []string{fmt.Sprintf("other programs used up to %s of the CPUs that a step might use, so the speed-ups may be too small or too large: "+
		"run it again when the machine is quiet", percentage(worst))}
}

// scaleAbout says where and how it was measured.
func scaleAbout(r *scaling.Report) string {
	python := ""
	if r.Python != nil {
		python = ", Python " + r.Python.Version
		if r.Python.FreeThreaded {
			python += " (free-threaded build)"
		}
	}
	work := "the same work at each step"
	if r.Work != "fixed" {
		work = "throughput as the program told it"
	}
	return fmt.Sprintf("measured  %s%s, %s, Linux %s, %s in shuffled order (seed %d), %s", r.Program, python,
		count(int64(r.Machine.CPUs), "CPU"), r.Machine.Kernel, count(int64(r.Rounds), "round"), r.Seed, work)
}

// ladderName is what tells series apart.
func ladderName(s *scaling.SeriesRow, all []scaling.SeriesRow) string {
	name := map[scaling.Kind]string{scaling.Threads: "Threads", scaling.Processes: "Processes", scaling.CPUs: "CPUs"}[s.Kind]
	if s.GIL != nil {
		name += ", GIL " + string(*s.GIL)
	}
	for i := range all {
		o := &all[i]
		if o != s && o.Kind == s.Kind && o.Steps[0].CPUs != s.Steps[0].CPUs {
			return name + ", on " + count(int64(s.Steps[0].CPUs), "CPU")
		}
	}
	return name
}

// best is the fastest step that has a CPU for each worker.
func best(s *scaling.SeriesRow) *scaling.StepRow {
	b := &s.Steps[0]
	for i := range s.Steps {
		if step := &s.Steps[i]; !step.Oversubscribed && step.Speedup.Value > b.Speedup.Value {
			b = step
		}
	}
	return b
}

// tooNoisy is the last step with a CPU for each worker, if its interval is so
// wide that one end is twice the other; else nil.
func tooNoisy(s *scaling.SeriesRow) *scaling.StepRow {
	var last *scaling.StepRow
	for i := range s.Steps {
		if !s.Steps[i].Oversubscribed {
			last = &s.Steps[i]
		}
	}
	if i := last.Speedup; i.Low == nil || *i.High < 2**i.Low {
		return nil
	}
	return last
}

// scaleVerdict is a sentence for each ladder, and one on the GIL.
func scaleVerdict(r *scaling.Report) []string {
	var out []string
	for i := range r.Series {
		s := &r.Series[i]
		name := ladderName(s, r.Series)
		if noisy := tooNoisy(s); noisy != nil {
			out = append(out, fmt.Sprintf("%s: too noisy to tell: %d are x%s of one. More --rounds, more work in each run, or a quieter machine would tell.",
				name, noisy.Workers, between(noisy.Speedup, ratio)))
		} else if b := best(s); b.Speedup.Low != nil && *b.Speedup.Low <= 1 {
			out = append(out, fmt.Sprintf("%s: no step is surely faster than one; %d are x%s.", name, b.Workers, between(b.Speedup, ratio)))
		} else if b.Workers > 1 {
			out = append(out, fmt.Sprintf("%s: fastest at %d, x%s of one; ideal is x%s.", name, b.Workers, between(b.Speedup, ratio), ratio(b.Ideal)))
		} else {
			out = append(out, fmt.Sprintf("%s: no step is faster than one.", name))
		}
	}
	return append(out, gilVerdict(r)...)
}

// gilVerdict compares the ladders of threads with and without the GIL.
func gilVerdict(r *scaling.Report) []string {
	var on, off *scaling.SeriesRow
	for i := range r.Series {
		s := &r.Series[i]
		if s.Kind != scaling.Threads && s.Kind != scaling.CPUs || s.GIL == nil {
			continue
		}
		if *s.GIL == scaling.On {
			on = s
		} else {
			off = s
		}
	}
	if on == nil || off == nil {
		return nil
	}
	last := 0
	for i := range on.Steps {
		if !on.Steps[i].Oversubscribed {
			last = i
		}
	}
	s := fmt.Sprintf("Without the GIL, one takes x%s of the time that it takes with it", ratio(faster(&off.Steps[0], &on.Steps[0])))
	if last > 0 {
		s += fmt.Sprintf(", and %d take x%s", on.Steps[last].Workers, ratio(faster(&off.Steps[last], &on.Steps[last])))
	}
	return []string{s + "."}
}

// faster is how much time a step takes for the work, as a part of what b takes.
func faster(a, b *scaling.StepRow) float64 {
	if a.Throughput != nil && b.Throughput != nil {
		return *b.Throughput / *a.Throughput
	}
	return float64(a.WallNS) / float64(b.WallNS)
}

func ratio(v float64) string { return fmt.Sprintf("%.2f", v) }

func percentage(v float64) string { return fmt.Sprintf("%.1f%%", v*100) }

// between writes a value with its interval.
func between(i scaling.Interval, form func(float64) string) string {
	low, high := unknown, unknown
	if i.Low == nil && i.High == nil {
		return form(i.Value)
	}
	if i.Low != nil {
		low = form(*i.Low)
	}
	if i.High != nil {
		high = form(*i.High)
	}
	return fmt.Sprintf("%s (%s to %s)", form(i.Value), low, high)
}

func (p *page) ladder(s *scaling.SeriesRow) {
	p.line("")
	p.line("%s", ladderName(s, []scaling.SeriesRow{*s}))
	p.line("  %7s  %4s  %8s  %19s  %20s  %5s  %10s  %8s", "workers", "CPUs", "time", "shortest - longest", "speed-up (95 %)", "ideal", "efficiency", "CPU time")
	star := false
	for i := range s.Steps {
		step := &s.Steps[i]
		workers := fmt.Sprint(step.Workers)
		if step.Oversubscribed {
			workers, star = workers+"*", true
		}
		p.line("  %7s  %4d  %8s  %19s  %20s  %5s  %10s  %8s", workers, step.CPUs, duration(step.WallNS),
			duration(step.WallMinNS)+" - "+duration(step.WallMaxNS), between(step.Speedup, ratio), ratio(step.Ideal),
			percentage(step.Efficiency), duration(step.CPUNS))
	}
	if star {
		p.line("  * more workers than CPUs: shown, but not used for the fits")
	}
	p.laws(s)
	p.lost(s)
	for _, u := range s.Unknown {
		p.wrap("  ", "unknown: "+u+".")
	}
}

func (p *page) laws(s *scaling.SeriesRow) {
	if s.Amdahl != nil {
		p.wrap("  ", amdahlWords(s.Amdahl))
	}
	if s.USL != nil {
		p.wrap("  ", uslWords(s.USL))
	}
	if len(s.Predictions) == 0 {
		return
	}
	p.line("  %14s  %24s  %24s  %s", "predicted for", "Amdahl", "USL", "confidence")
	for _, x := range s.Predictions {
		p.line("  %9d CPUs  %24s  %24s  %s", x.CPUs, maybeInterval(x.Amdahl), maybeInterval(x.USL), x.Confidence)
	}
	p.wrap("  ", predictionWords(s))
}

// predictionWords says which law to believe, and what no law knows.
func predictionWords(s *scaling.SeriesRow) string {
	which := "Too few steps to hold USL against them."
	switch {
	case s.Predictions[0].USL == nil || s.USL.Kappa.Low == nil:
	case *s.USL.Kappa.Low > 0:
		which = "The steps speak for USL: there is a cost that grows with each pair of workers."
	default:
		which = "The steps do not tell the two laws apart."
	}
	return which + " Predictions hold only if nothing new sets in that these CPUs do not show (memory, sockets, I/O)."
}

func maybeInterval(i *scaling.Interval) string {
	if i == nil {
		return unknown
	}
	return between(*i, ratio)
}

func amdahlWords(f *scaling.Fit) string {
	s := "Amdahl: serial share " + between(f.Sigma, percentage)
	if f.Limit != nil {
		s += "; any number of CPUs gives at most x" + between(*f.Limit, ratio)
	}
	return s + misfitWords(f) + "."
}

func uslWords(f *scaling.Fit) string {
	s := "USL: contention " + between(f.Sigma, percentage) + ", coherence " + between(*f.Kappa, func(v float64) string { return fmt.Sprintf("%.3f%%", v*100) })
	if f.Peak != nil {
		s += "; more workers than " + between(*f.Peak, func(v float64) string { return fmt.Sprint(math.Round(v)) }) + " make it slower"
	} else {
		s += "; no peak is seen"
	}
	return s + misfitWords(f) + "."
}

func misfitWords(f *scaling.Fit) string {
	if f.MisfitShare == nil {
		return ""
	}
	return "; the steps lie " + percentage(*f.MisfitShare) + " off"
}
