package viewer

import (
	"bytes"
	"fmt"

	"gilscope/analyze"
)

// world writes the table of stop-the-world pauses.
func (p *page) world(r *analyze.Report, top int) {
	if len(r.StopTheWorld) == 0 {
		return
	}
	p.line("")
	p.line("Stop-the-world pauses")
	p.line("  %9s  %7s  %9s  %9s  %9s  why", "paused", "pauses", "p99", "longest", "stopping")
	for i := range r.StopTheWorld {
		if i == top {
			p.line("  and %s", count(int64(len(r.StopTheWorld)-i), "more line"))
			break
		}
		row := &r.StopTheWorld[i]
		p.line("  %9s  %7d  %9s  %9s  %9s  %s", duration(row.PauseNS), row.Pauses, maybe(row.PauseP99), duration(row.PauseMax), maybe(row.StopNS), worldName(r, row))
		p.wrap("             ", "asked for by: "+at(row.Requester))
		if s := stoppedThreads(row); s != "" {
			p.wrap("             ", "stopped: "+s)
		}
	}
}

// worldName is why, and what of the pauses is to be known.
func worldName(r *analyze.Report, row *analyze.WorldRow) string {
	return row.Reason + remarks(r, row.Open, row.PID)
}

func stoppedThreads(row *analyze.WorldRow) string {
	return few(len(row.Threads), func(i int) string {
		t := &row.Threads[i]
		text := fmt.Sprintf("%s (%d) %s for %s", t.Name, t.TID, times(t.Stops), duration(t.StoppedNS))
		if t.TookMaxNS != nil {
			text += fmt.Sprintf(", took up to %s to stop", duration(*t.TookMaxNS))
		}
		return text
	})
}

// times is "once" or "3 times".
func times(n int64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// markdownWorld is the table of stop-the-world pauses.
func markdownWorld(b *bytes.Buffer, r *analyze.Report, top int) {
	if len(r.StopTheWorld) == 0 {
		return
	}
	b.WriteString("### Stop-the-world pauses\n\n| paused | pauses | p99 | longest | stopping | why | asked for by | stopped |\n|---|---|---|---|---|---|---|---|\n")
	for i := range r.StopTheWorld[:min(len(r.StopTheWorld), top)] {
		row := &r.StopTheWorld[i]
		fmt.Fprintf(b, "| %s | %d | %s | %s | %s | %s | %s | %s |\n", duration(row.PauseNS), row.Pauses, maybe(row.PauseP99), duration(row.PauseMax), maybe(row.StopNS),
			markdown(worldName(r, row)), markdown(at(row.Requester)), markdown(stoppedThreads(row)))
	}
	b.WriteString("\n")
}
