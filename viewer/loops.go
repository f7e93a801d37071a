package viewer

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"gilscope/analyze"
)

// loops writes the table of event loops, and of the longest blocks of each.
func (p *page) loops(r *analyze.Report, top int) {
	if len(r.Loops) == 0 {
		return
	}
	p.line("")
	p.line("Event loops")
	p.line("  %6s  %6s  %10s  %9s  %6s  %9s  %9s  loop", "busy", "peak", "iterations", "each", "blocks", "blocked", "longest")
	for i := range r.Loops {
		if i == top {
			p.line("  and %s", count(int64(len(r.Loops)-i), "more loop"))
			break
		}
		l := &r.Loops[i]
		p.line("  %6s  %6s  %10d  %9s  %6d  %9s  %9s  %s", percent(l.Utilization), percent(l.UtilizationMax), l.Iterations, average(l),
			len(l.Blocks), duration(l.BlockedNS), duration(longest(l)), loopName(r, l))
	}
	if off := r.Recording.LoopsOffNS; off > 0 {
		p.line("  not watched for %s of the %s: it costs system calls more than --max-overhead", duration(off), duration(r.Recording.DurationNS))
	}
	for i := range r.Loops[:min(len(r.Loops), top)] {
		p.lag(r, &r.Loops[i])
		p.blocks(r, &r.Loops[i], top)
		p.tasks(r, &r.Loops[i], top)
	}
}

// average is how long an iteration takes.
func average(l *analyze.LoopRow) string {
	if l.Iterations == 0 {
		return unknown
	}
	return duration(l.BusyNS / l.Iterations)
}

func longest(l *analyze.LoopRow) (ns int64) {
	for i := range l.Blocks {
		ns = max(ns, l.Blocks[i].DurationNS)
	}
	return ns
}

func loopName(r *analyze.Report, l *analyze.LoopRow) string {
	name := l.Kind + ", " + party(analyze.Party{TID: &l.TID, Name: l.Name})
	if several(r) {
		name += " of " + processName(r, l.PID)
	}
	return name
}

// longestBlocks are the blocks of a loop, the longest first.
func longestBlocks(l *analyze.LoopRow) []analyze.BlockRow {
	rows := slices.Clone(l.Blocks)
	slices.SortStableFunc(rows, func(x, y analyze.BlockRow) int { return cmp.Compare(y.DurationNS, x.DurationNS) })
	return rows
}

func (p *page) blocks(r *analyze.Report, l *analyze.LoopRow, top int) {
	if len(l.Blocks) == 0 {
		return
	}
	p.line("")
	if len(r.Loops) > 1 {
		p.line("  blocks of %s", loopName(r, l))
	}
	p.line("  %9s  %-8s  %9s  %9s  %9s  %9s", "lasted", "cause", "on CPU", "GIL wait", "blocked", "runnable")
	for i, b := range longestBlocks(l) {
		if i == top {
			p.line("  and %s", count(int64(len(l.Blocks)-i), "more block"))
			break
		}
		s := [...]string{unknown, unknown, unknown, unknown}
		if b.Split != nil {
			s = [...]string{duration(b.Split.OnCPUNS), duration(b.Split.GILWaitNS), duration(b.Split.BlockedNS), duration(b.Split.RunnableNS)}
		}
		p.line("  %9s  %-8s  %9s  %9s  %9s  %9s", duration(b.DurationNS), b.Cause, s[0], s[1], s[2], s[3])
		p.wrap("             ", blockPlace(&b))
		if b.Culprit != nil {
			p.wrap("             ", "<- innocent: "+at(*b.Culprit)+" had the GIL")
		}
	}
}

// blockPlace names the line of a block, and what the loop ran.
func blockPlace(b *analyze.BlockRow) string {
	s := place(b.Site)
	if s == "" {
		s = "an unknown line"
	}
	if b.Syscall != nil {
		s += " in " + *b.Syscall
	}
	switch {
	case b.Task != nil && b.Coroutine != nil:
		s += fmt.Sprintf(", task %s: %s", *b.Task, chain(b.Awaits, *b.Coroutine))
	case b.Coroutine != nil:
		s += ", task of " + chain(b.Awaits, *b.Coroutine)
	}
	return s
}

// shownAwaits is how many async functions of a chain are named; of a longer one, the first and the last.
const shownAwaits = 4

// chain names async functions, as one awaits the other; without them, the coroutine.
func chain(awaits []analyze.SiteRow, coroutine string) string {
	var names []string
	for i := range awaits {
		if f := awaits[i].Function; f != nil {
			names = append(names, *f)
		}
	}
	if len(names) == 0 {
		return coroutine
	}
	if more := len(names) - shownAwaits; more > 0 {
		names = slices.Replace(names, 1, 1+more, "...")
	}
	return strings.Join(names, " -> ")
}

// splitText is the split of a block in a cell.
func splitText(s *analyze.Split) string {
	if s == nil {
		return unknown
	}
	text := fmt.Sprintf("%s on CPU, %s GIL, %s blocked, %s runnable", duration(s.OnCPUNS), duration(s.GILWaitNS), duration(s.BlockedNS), duration(s.RunnableNS))
	if s.GCNS != nil && *s.GCNS > 0 {
		text += ", " + duration(*s.GCNS) + " garbage collection"
	}
	return text
}

// markdownLoops is the table of blocks.
func markdownLoops(b *bytes.Buffer, r *analyze.Report, top int) {
	for i := range r.Loops[:min(len(r.Loops), top)] {
		l := &r.Loops[i]
		fmt.Fprintf(b, "### Event loop: %s\n\n", markdown(loopName(r, l)))
		fmt.Fprintf(b, "Busy %s of the time in %d iterations; %s, %s in all\\.\n\n", markdown(percent(l.Utilization)), l.Iterations,
			count(int64(len(l.Blocks)), "block"), markdown(duration(l.BlockedNS)))
		if line := lagText(l); line != "" {
			fmt.Fprintf(b, "Lag: %s\\.\n\n", markdown(line))
		}
		if line := tasksLine(l.Tasks); line != "" {
			fmt.Fprintf(b, "%s\\.\n\n", markdown(line))
			for k, place := range l.Tasks.Places {
				if k == top {
					break
				}
				fmt.Fprintf(b, "- %s\n", markdown(placeText(&place)))
			}
			b.WriteString("\n")
		}
		if len(l.Blocks) == 0 {
			continue
		}
		b.WriteString("| lasted | cause | where | split |\n|---|---|---|---|\n")
		for k, row := range longestBlocks(l) {
			if k == top {
				break
			}
			where := blockPlace(&row)
			if row.Culprit != nil {
				where += " (innocent: " + at(*row.Culprit) + " had the GIL)"
			}
			fmt.Fprintf(b, "| %s | %s | %s | %s |\n", markdown(duration(row.DurationNS)), markdown(row.Cause), markdown(where), markdown(splitText(row.Split)))
		}
		b.WriteString("\n")
	}
}
