package viewer

import (
	"bytes"
	"fmt"

	"gilscope/analyze"
)

// executors writes the table of executors.
func (p *page) executors(r *analyze.Report, top int) {
	if len(r.Executors) == 0 {
		return
	}
	p.line("")
	p.line("Executors")
	p.line("  %8s  %6s  %9s  %5s  %9s  %8s  executor", "workers", "busy", "all busy", "queue", "saturated", "waited")
	for i := range r.Executors {
		if i == top {
			p.line("  and %s", count(int64(len(r.Executors)-i), "more executor"))
			break
		}
		x := &r.Executors[i]
		p.line("  %8s  %6s  %9s  %5s  %9s  %8s  %s", workersText(x), percent(x.BusyShare), duration(x.AllBusyNS), countText(x.QueueMax),
			durationOr(x.SaturatedNS), delayText(x), executorName(r, x))
	}
}

// workersText is how many workers there were, of how many that may be.
func workersText(x *analyze.ExecutorRow) string {
	if x.MaxWorkers == nil {
		return fmt.Sprint(x.Workers)
	}
	return fmt.Sprintf("%d of %d", x.Workers, *x.MaxWorkers)
}

func countText(n *int64) string {
	if n == nil {
		return unknown
	}
	return fmt.Sprint(*n)
}

func durationOr(ns *int64) string {
	if ns == nil {
		return unknown
	}
	return duration(*ns)
}

// delayText is the longest wait in the queue, which is a lower bound.
func delayText(x *analyze.ExecutorRow) string {
	if x.DelayMaxNS == nil {
		return unknown
	}
	return ">=" + duration(*x.DelayMaxNS)
}

func executorName(r *analyze.Report, x *analyze.ExecutorRow) string {
	name := x.Kind
	if x.Name != nil {
		name = *x.Name + ", " + x.Kind
	}
	if several(r) {
		name += " of " + processName(r, x.PID)
	}
	return name
}

// markdownExecutors is the table of executors.
func markdownExecutors(b *bytes.Buffer, r *analyze.Report, top int) {
	if len(r.Executors) == 0 {
		return
	}
	b.WriteString("### Executors\n\n| workers | busy | all busy | queue | saturated | waited | executor |\n|---|---|---|---|---|---|---|\n")
	for i := range r.Executors[:min(len(r.Executors), top)] {
		x := &r.Executors[i]
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s |\n", markdown(workersText(x)), markdown(percent(x.BusyShare)), markdown(duration(x.AllBusyNS)),
			markdown(countText(x.QueueMax)), markdown(durationOr(x.SaturatedNS)), markdown(delayText(x)), markdown(executorName(r, x)))
	}
	b.WriteString("\n")
}
