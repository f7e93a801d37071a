package viewer

import (
	"bytes"
	"fmt"
	"strconv"

	"gilscope/analyze"
)

// scaling writes how parallel the processes were.
func (p *page) scaling(r *analyze.Report, top int) {
	rows := scalingRows(r)
	if len(rows) == 0 {
		return
	}
	p.line("")
	p.line("Parallelism")
	for i := range rows {
		if i == min(top, maxParties) {
			p.line("  and %d more that ran less", len(rows)-i)
			break
		}
		row := &rows[i]
		p.wrap("  ", scalingText(r, row))
		p.line("  %9s  %9s  %6s  %s", "running", "time", "share", "threads that waited meanwhile, on the average")
		for _, l := range row.Levels {
			p.line("  %9d  %9s  %6s  %s", l.Running, duration(l.NS), part(l.NS, row.SpanNS), levelText(l))
		}
		for _, s := range append([]string{limitsText(row), togetherText(row), runtimeText(row)}, predictionTexts(row)...) {
			if s != "" {
				p.wrap("  ", s)
			}
		}
	}
}

// scalingRows are the processes whose parallelism is known.
func scalingRows(r *analyze.Report) []analyze.ScalingRow {
	if r.Scaling == nil {
		return nil
	}
	return append([]analyze.ScalingRow{r.Scaling.ScalingRow}, r.Scaling.Others...)
}

// scalingText says in a sentence how parallel a process was.
func scalingText(r *analyze.Report, row *analyze.ScalingRow) string {
	of := "CPUs"
	if row.CPUs != nil {
		of = count(*row.CPUs, "CPU")
	}
	s := fmt.Sprintf("%s threads on %s on the average, at most %d; %s ready without one, at most %d. One thread ran alone for %s of the time in which any ran; for %s others wanted to run meanwhile.",
		mean(row.ParallelismMean), of, row.ParallelismMax, mean(row.RunnableMean), row.RunnableMax, percent(row.SerialShare), percent(row.SerializedShare))
	if several(r) {
		s = processName(r, row.PID) + ": " + s
	}
	return s
}

func mean(v *float64) string {
	if v == nil {
		return unknown
	}
	return strconv.FormatFloat(*v, 'f', 2, 64)
}

// levelText says how many threads waited for what at a level.
func levelText(l analyze.Level) string {
	text := ""
	for _, w := range []struct {
		ns   int64
		what string
	}{{l.RunnableNS, "CPU"}, {l.GILWaitNS, "GIL"}, {l.LockWaitNS, "lock"}, {l.OthersWaitNS, "for others"}, {l.BlockedNS, "asleep"}} {
		if n := float64(w.ns) / float64(max(l.NS, 1)); n >= 0.005 {
			if text != "" {
				text += ", "
			}
			text += fmt.Sprintf("%s %.2f", w.what, n)
		}
	}
	return text
}

// limitsText names the largest limits.
func limitsText(row *analyze.ScalingRow) string {
	text := ""
	for _, l := range row.Limits[:min(len(row.Limits), maxParties)] {
		if text == "" {
			text = "Limits: "
		} else {
			text += "; "
		}
		text += limitText(l)
	}
	return text
}

func limitText(l analyze.Limit) string {
	switch where := place(l.Site); {
	case l.Kind == "cpu":
		return duration(l.WaitNS) + " without a CPU"
	case where == "":
		return fmt.Sprintf("%s for the %s, no line known", duration(l.WaitNS), limitName(l.Kind))
	case l.Kind == "gil":
		return fmt.Sprintf("%s for the GIL held by %s", duration(l.WaitNS), where)
	default:
		return fmt.Sprintf("%s for the lock at %s", duration(l.WaitNS), where)
	}
}

func limitName(kind string) string {
	if kind == "gil" {
		return "GIL"
	}
	return kind
}

// markdownScaling is the table of levels.
func markdownScaling(b *bytes.Buffer, r *analyze.Report, top int) {
	rows := scalingRows(r)
	if len(rows) == 0 {
		return
	}
	b.WriteString("### Parallelism\n\n")
	for i := range rows[:min(len(rows), top, maxParties)] {
		row := &rows[i]
		fmt.Fprintf(b, "%s\n\n| running | time | share | threads that waited meanwhile |\n|---|---|---|---|\n", markdown(scalingText(r, row)))
		for _, l := range row.Levels {
			fmt.Fprintf(b, "| %d | %s | %s | %s |\n", l.Running, duration(l.NS), part(l.NS, row.SpanNS), markdown(levelText(l)))
		}
		b.WriteString("\n")
		for _, s := range append([]string{limitsText(row), togetherText(row), runtimeText(row)}, predictionTexts(row)...) {
			if s != "" {
				fmt.Fprintf(b, "%s\n\n", markdown(s))
			}
		}
	}
}
