package viewer

import (
	"bytes"
	"fmt"
	"strings"

	"gilscope/analyze"
)

// threadMakers writes which lines made threads, and who was still there at the end.
func (p *page) threadMakers(r *analyze.Report, top int) {
	if len(r.ThreadMakers) > 0 {
		p.line("")
		p.line("Threads made")
		p.line("  %7s  %8s  %9s  %7s  by", "threads", "a second", "half live", "at once")
	}
	for i := range r.ThreadMakers {
		if i == top {
			p.line("  and %s", count(int64(len(r.ThreadMakers)-i), "more line"))
			break
		}
		m := &r.ThreadMakers[i]
		p.line("  %7d  %8s  %9s  %7d  %s", m.Threads, rate(m), maybe(m.LifeP50NS), m.AtOnce, maker(r, m))
	}
	for i := range r.Processes {
		if left := leftAtExit(r, &r.Processes[i]); left != "" {
			p.wrap("  ", left)
		}
	}
}

// rate is how many threads a line made a second; of one alone there is none.
func rate(m *analyze.ThreadMaker) string {
	if m.Threads < 2 {
		return unknown
	}
	return digits(m.PerSecond)
}

// maker is the line that made threads.
func maker(r *analyze.Report, m *analyze.ThreadMaker) string {
	name := place(m.Site)
	if name == "" {
		name = "a line that is not known"
	}
	return name + remarks(r, 0, m.PID)
}

// leftAtExit says which threads were still there when a process ended; "": none was, or it did not end.
func leftAtExit(r *analyze.Report, process *analyze.Process) string {
	var left []*analyze.ThreadRow
	for i := range r.Threads {
		t := &r.Threads[i]
		if t.PID == process.PID && t.TID != t.PID && t.EndedWithProcess != nil && *t.EndedWithProcess {
			left = append(left, t)
		}
	}
	if len(left) == 0 {
		return ""
	}
	verb := "ended"
	if process.Exit != nil && process.Exit.Signal != 0 {
		verb = "was killed"
	}
	return fmt.Sprintf("When process %d %s, it still had %s: %s.", process.PID, verb, count(int64(len(left)), "other thread"),
		few(len(left), func(i int) string {
			name := party(analyze.Party{TID: &left[i].TID, Name: left[i].Name})
			if d := left[i].Daemon; d != nil && *d {
				name += ", a daemon"
			}
			return name
		}))
}

// markdownThreadMakers is the table of lines that made threads.
func markdownThreadMakers(b *bytes.Buffer, r *analyze.Report, top int) {
	if len(r.ThreadMakers) > 0 {
		b.WriteString("### Threads made\n\n| threads | a second | half live | at once | by |\n|---|---|---|---|---|\n")
		for i := range r.ThreadMakers[:min(len(r.ThreadMakers), top)] {
			m := &r.ThreadMakers[i]
			fmt.Fprintf(b, "| %d | %s | %s | %d | %s |\n", m.Threads, rate(m), maybe(m.LifeP50NS), m.AtOnce, markdown(maker(r, m)))
		}
		b.WriteString("\n")
	}
	var left []string
	for i := range r.Processes {
		if s := leftAtExit(r, &r.Processes[i]); s != "" {
			left = append(left, markdown(s))
		}
	}
	if len(left) > 0 {
		fmt.Fprintf(b, "%s\n\n", strings.Join(left, " "))
	}
}
