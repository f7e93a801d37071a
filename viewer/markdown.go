package viewer

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"gilscope/analyze"
)

// Markdown writes the report for an issue or a pull request.
func Markdown(w io.Writer, r *analyze.Report, top int) error {
	var b bytes.Buffer
	b.WriteString("## GIL report\n\n")
	for _, doubt := range Doubts(r) {
		fmt.Fprintf(&b, "**WARNING: %s**\n\n", markdown(doubt))
	}
	fmt.Fprintf(&b, "%s\n\n", markdown(verdict(r)))
	if missing := notRecorded(r); missing != "" {
		fmt.Fprintf(&b, "%s\n\n", markdown(missing+"."))
	}
	if len(r.Processes) > 1 {
		markdownProcesses(&b, r, top)
	}
	gils, left := gilRows(r, top)
	for _, g := range gils {
		markdownGIL(&b, r, g, top)
	}
	if len(left) > 0 {
		fmt.Fprintf(&b, "%s\n\n", markdown(strings.Join(left, ", ")+"."))
	}
	markdownLoops(&b, r, top)
	markdownExecutors(&b, r, top)
	markdownGILChanges(&b, r)
	markdownWorld(&b, r, top)
	markdownLocks(&b, r, top)
	markdownLockOrders(&b, r, top)
	markdownScaling(&b, r, top)
	markdownThreadMakers(&b, r, top)
	if len(r.Findings) > 0 {
		b.WriteString("### Findings\n\n")
	}
	for _, f := range r.Findings[:min(len(r.Findings), top)] {
		fmt.Fprintf(&b, "- **%s** (%s): %s\\. %s\n", markdown(f.Title), markdown(head(r, f)), markdown(f.Evidence), markdown(f.Advice))
	}
	_, err := w.Write(b.Bytes())
	return err
}

// markdownProcesses is the table of processes; a child stands further in than its
// parent.
func markdownProcesses(b *bytes.Buffer, r *analyze.Report, top int) {
	b.WriteString("### Processes\n\n| GIL wait | threads | python | started | exit | process |\n|---|---|---|---|---|---|\n")
	rows, more, moreNS := processRows(r, top)
	for _, row := range rows {
		fmt.Fprintf(b, "| %s | %d | %s | %s | %s | %s%d %s |\n", row.wait(), row.threads, markdown(version(row.Python)),
			markdown(word(row.StartMethod)), row.end(), strings.Repeat("&nbsp;&nbsp;", row.level), row.PID, markdown(row.about()))
	}
	b.WriteString("\n")
	if more > 0 {
		fmt.Fprintf(b, "%s\n\n", markdown("and "+rest(processes(more), "more ", moreNS)+"."))
	}
}

func markdownGIL(b *bytes.Buffer, r *analyze.Report, g *analyze.GILRow, top int) {
	fmt.Fprintf(b, "### %s\n\n", markdown(gilName(r, g)))
	fmt.Fprintf(b, "| waited | waits | median | p99 | longest | contended | held |\n|---|---|---|---|---|---|---|\n")
	fmt.Fprintf(b, "| %s | %d | %s | %s | %s | %s | %s |\n\n", duration(g.WaitNS), g.Waits, maybe(g.WaitP50NS), maybe(g.WaitP99NS),
		maybe(g.WaitMaxNS), percent(g.ContendedShare), percent(g.BusyShare))
	if len(g.Blame) == 0 {
		return
	}
	b.WriteString("| waited | share | waits | who | because of |\n|---|---|---|---|---|\n")
	for _, row := range g.Blame[:min(len(g.Blame), top)] {
		fmt.Fprintf(b, "| %s | %s | %d | %s | %s |\n", duration(row.WaitNS), part(row.WaitNS, g.WaitNS), row.Waits,
			markdown(at(row.Waiter)), markdown(at(row.Holder)))
	}
	b.WriteString("\n")
}
