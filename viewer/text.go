package viewer

import (
	"bytes"
	"fmt"
	"io"
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

// Text writes the report for a person: what makes it doubtful first, then the
// verdict, then who waited because of whom. top limits the rows of each table.
func Text(w io.Writer, r *analyze.Report, top int) error {
	p := &page{}
	for _, doubt := range Doubts(r) {
		p.wrap("", "WARNING: "+doubt)
	}
	p.wrap("", verdict(r))
	p.trust(r, top)
	p.gilChanges(r)
	p.deadlocks(r)
	gils, left := gilRows(r, top)
	for _, g := range gils {
		p.gil(r, g, top)
	}
	if len(left) > 0 {
		p.line("")
		p.line("%s.", strings.Join(left, ", "))
	}
	p.loops(r, top)
	p.executors(r, top)
	p.world(r, top)
	p.locks(r, top)
	p.lockOrders(r, top)
	p.scaling(r, top)
	p.threads(r, top)
	p.threadMakers(r, top)
	p.findings(r, top)
	p.skipped(r)
	_, err := w.Write(p.buf.Bytes())
	return err
}

// trust says what was recorded.
func (p *page) trust(r *analyze.Report, top int) {
	rec := r.Recording
	detail := unknown
	if rec.Detail != nil {
		detail = *rec.Detail
	}
	p.line("")
	p.line("recorded  %s, detail %s, %s lost", duration(rec.DurationNS), detail, count(rec.LostEvents, "event"))
	if len(r.Processes) == 1 {
		p.processLine(r)
	}
	if s := notRecorded(r); s != "" {
		p.line("%s", s)
	}
	if len(r.Processes) > 1 {
		p.processTable(r, top)
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
		p.wrap("  ", fmt.Sprintf("%d. [%s] %s", i+1, head(r, f), f.Title))
		p.wrap("     ", "Evidence: "+f.Evidence+".")
		p.wrap("     ", f.Advice)
	}
}

// head is what a finding weighs.
func head(r *analyze.Report, f analyze.Finding) string {
	s := string(f.Severity) + ", " + f.Rule
	if f.PID != nil && several(r) {
		s += fmt.Sprintf(", process %d", *f.PID)
	}
	if f.CostNS > 0 {
		s += ", " + duration(f.CostNS) + " of " + costs(f)
	}
	return s
}

// costs says what a finding's cost is the time of.
func costs(f analyze.Finding) string {
	if strings.HasPrefix(f.Rule, "loop.") {
		return "a busy loop"
	}
	if strings.HasPrefix(f.Rule, "lock.") {
		return "waiting for locks"
	}
	if strings.HasPrefix(f.Rule, "world.") {
		return "being stopped"
	}
	if strings.HasPrefix(f.Rule, "thread.") {
		return "starting threads"
	}
	return "waiting"
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
