package viewer

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"gilscope/analyze"
)

// width is how wide a line of the text report may be.
const width = 100

// page collects lines. Every line passes Safe, so that nothing from a target
// reaches a terminal as more than characters of one line.
type page struct{ buf bytes.Buffer }

func (p *page) line(format string, args ...any) {
	s := strings.TrimRight(Safe(fmt.Sprintf(format, args...)), " ")
	if utf8.RuneCountInString(s) > width {
		s = string([]rune(s)[:width-3]) + "..."
	}
	p.buf.WriteString(s + "\n")
}

// wrap writes words in as many lines as they need, indented.
func (p *page) wrap(indent, s string) {
	line := indent
	for _, word := range strings.Fields(Safe(s)) {
		if len(line) > len(indent) && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			p.line("%s", line)
			line = indent
		}
		if len(line) > len(indent) {
			line += " "
		}
		line += word
	}
	p.line("%s", line)
}

// Text writes the report for a person: the verdict first, then what makes it
// doubtful, then who waited because of whom. top limits the rows of each table.
func Text(w io.Writer, r *analyze.Report, top int) error {
	p := &page{}
	p.wrap("", verdict(r))
	p.trust(r)
	for i := range r.GIL {
		p.gil(r, &r.GIL[i], top)
	}
	p.threads(r, top)
	p.findings(r, top)
	p.skipped(r)
	_, err := w.Write(p.buf.Bytes())
	return err
}

// verdict is the one sentence for who reads no further.
func verdict(r *analyze.Report) string {
	var waited, waits int64
	var worst *analyze.Blame
	for i := range r.GIL {
		waited += r.GIL[i].WaitNS
		waits += r.GIL[i].Waits
		for k := range r.GIL[i].Blame {
			b := &r.GIL[i].Blame[k]
			if known := b.Holder.TID != nil && *b.Holder.TID != 0; known && (worst == nil || b.WaitNS > worst.WaitNS) {
				worst = b
			}
		}
	}
	over := duration(r.Recording.DurationNS)
	switch {
	case len(r.GIL) == 0:
		return "No GIL activity was seen in " + over + "."
	case waits == 0:
		return "No thread waited for the GIL in " + over + "."
	case worst == nil:
		return fmt.Sprintf("Threads waited %s for the GIL in %s; who held it is not known.", duration(waited), over)
	}
	part := "the largest part"
	if worst.WaitNS*2 > waited {
		part = "most of it"
	}
	return fmt.Sprintf("Threads waited %s for the GIL in %s; %s, %s, %s waited for %s.",
		duration(waited), over, part, duration(worst.WaitNS), party(worst.Waiter), at(worst.Holder))
}

// trust says what limits the report before anything that it limits.
func (p *page) trust(r *analyze.Report) {
	rec := r.Recording
	if rec.LostEvents > 0 {
		p.line("WARNING: %s lost; the numbers below are estimates.", count(rec.LostEvents, "event"))
	}
	if !rec.Complete {
		p.line("WARNING: the trace has no end (recorder killed or file cut); what is here is true.")
	}
	detail := unknown
	if rec.Detail != nil {
		detail = *rec.Detail
	}
	p.line("")
	p.line("recorded  %s, detail %s, %s lost", duration(rec.DurationNS), detail, count(rec.LostEvents, "event"))
	for _, proc := range r.Processes {
		p.line("process   %d%s%s", proc.PID, python(proc.Python), exited(proc.Exit))
	}
}

func python(py *analyze.Python) string {
	if py == nil {
		return ", interpreter not known"
	}
	s := ", Python " + py.Version
	if py.FreeThreaded != nil && *py.FreeThreaded {
		s += ", free-threaded"
		if py.GILEnabled != nil && *py.GILEnabled {
			s += " with its GIL on"
		}
	}
	return s
}

func exited(e *analyze.Exit) string {
	switch {
	case e == nil:
		return ""
	case e.Signal != 0:
		return fmt.Sprintf(", ended by signal %d", e.Signal)
	}
	return fmt.Sprintf(", exit code %d", e.Code)
}

func gilName(r *analyze.Report, g *analyze.GILRow) string {
	name := "GIL"
	if len(r.Processes) > 1 || len(r.GIL) > 1 {
		name += fmt.Sprintf(" of process %d", g.PID)
	}
	if g.Interpreter != 0 {
		name += fmt.Sprintf(" interpreter %d", g.Interpreter)
	}
	return name
}

func (p *page) gil(r *analyze.Report, g *analyze.GILRow, top int) {
	p.line("")
	p.line("%s", gilName(r, g))
	p.line("  waited    %s in %s: median %s, p99 %s, longest %s",
		duration(g.WaitNS), count(g.Waits, "wait"), maybe(g.WaitP50NS), maybe(g.WaitP99NS), maybe(g.WaitMaxNS))
	p.line("  share     somebody waited in %s of the time, it was held in %s", percent(g.ContendedShare), percent(g.BusyShare))
	if g.WaitNS > 0 {
		c := g.Causes
		p.line("  because   %s the holder had not been asked yet, %s it was asked and busy, %s handing over",
			part(c.BeforeRequestNS, g.WaitNS), part(c.HolderBusyNS, g.WaitNS), part(c.HandoffNS, g.WaitNS))
	}
	s := g.Switching
	if g.WaitErrorShare > 0.02 {
		p.line("  accuracy  a thread's total wait may be off by %.0f%%: the GIL changes hands in microseconds", 100*g.WaitErrorShare)
	}
	p.line("  switching interval %s, %s, forced drops %s, voluntary %s", maybe(g.SwitchIntervalNS),
		count(s.DropRequests, "drop request"), maybeCount(s.ForcedDrops), maybeCount(s.VoluntaryDrops))
	if s.RequestToDropP50NS != nil {
		p.line("  answer    from request to drop: median %s, p99 %s, longest %s",
			maybe(s.RequestToDropP50NS), maybe(s.RequestToDropP99NS), maybe(s.RequestToDropMaxNS))
	}
	if s.HandoffP50NS != nil {
		p.line("  handoff   nobody held it before a waiter took it: median %s, p99 %s, longest %s",
			maybe(s.HandoffP50NS), maybe(s.HandoffP99NS), maybe(s.HandoffMaxNS))
	}
	for _, c := range s.Convoys[:min(len(s.Convoys), top)] {
		if c.CostNS*50 >= g.WaitNS { // the others are in the JSON
			p.line("  convoy    %s behind %s: %s, %s", named(r, c.VictimTID), named(r, c.HolderTID), count(c.Cycles, "wait"), duration(c.CostNS))
		}
	}
	p.lines(g, top)
	p.blame(g, top)
}

func (p *page) blame(g *analyze.GILRow, top int) {
	if len(g.Blame) == 0 {
		return
	}
	p.line("")
	p.line("  %9s  %6s  %6s  who waited, and because of whom", "waited", "share", "waits")
	for i, b := range g.Blame {
		if i == top {
			var rest int64
			for _, b := range g.Blame[i:] {
				rest += b.WaitNS
			}
			p.line("  %9s  %6s  %6s  in %s", duration(rest), part(rest, g.WaitNS), "", count(int64(len(g.Blame)-i), "more row"))
			break
		}
		p.line("  %9s  %6s  %6d  %s", duration(b.WaitNS), part(b.WaitNS, g.WaitNS), b.Waits, at(b.Waiter))
		p.line("             <- %s", at(b.Holder))
	}
}

func (p *page) threads(r *analyze.Report, top int) {
	if len(r.Threads) == 0 {
		return
	}
	rows := slices.Clone(r.Threads)
	slices.SortStableFunc(rows, func(x, y analyze.ThreadRow) int { return cmp.Compare(y.GILWaitNS, x.GILWaitNS) })
	p.line("")
	p.line("Threads")
	p.line("  %9s  %6s  %9s  %9s  %9s  %9s  %9s  %s", "GIL wait", "waits", "longest", "held", "on CPU", "runnable", "blocked", "thread")
	for i, t := range rows {
		if i == top {
			p.line("  and %s", count(int64(len(rows)-i), "more thread"))
			break
		}
		p.line("  %9s  %6d  %9s  %9s  %9s  %9s  %9s  %s", duration(t.GILWaitNS), t.GILWaits, duration(t.GILWaitMaxNS),
			maybe(t.GILHoldNS), maybe(t.OnCPUNS), maybe(t.RunnableNS), maybe(t.BlockedNS),
			party(analyze.Party{TID: &t.TID, Name: t.Name}))
	}
}

func (p *page) findings(r *analyze.Report, top int) {
	if len(r.Findings) == 0 {
		return
	}
	p.line("")
	p.line("Findings")
	for i, f := range r.Findings {
		if i == top {
			p.line("  and %s", count(int64(len(r.Findings)-i), "more finding"))
			break
		}
		p.wrap("  ", fmt.Sprintf("%d. [%s] %s", i+1, head(f), f.Title))
		p.wrap("     ", "Evidence: "+f.Evidence+".")
		p.wrap("     ", f.Advice)
	}
}

// head is what a finding weighs.
func head(f analyze.Finding) string {
	s := string(f.Severity) + ", " + f.Rule
	if f.CostNS > 0 {
		s += ", " + duration(f.CostNS) + " of waiting"
	}
	return s
}

func (p *page) skipped(r *analyze.Report) {
	if len(r.Skipped) == 0 {
		return
	}
	names := make([]string, len(r.Skipped))
	for i, s := range r.Skipped {
		names[i] = s.What
	}
	p.line("")
	p.wrap("", "Not in this report: "+strings.Join(names, ", ")+" (reasons: --format json).")
}
