package viewer

import (
	"cmp"
	"fmt"
	"slices"
	"unicode/utf8"

	"gilscope/analyze"
)

// The columns of the table of threads before the thread itself; with the process
// they have to be narrower.
const (
	threadColumns        = "  %9s  %6v  %9s  %9s  %9s  %9s  %9s  "
	processThreadColumns = "  %8s  %6v  %8s  %8s  %8s  %8s  %8s  %7v  "
)

func (p *page) threads(r *analyze.Report, top int) {
	if len(r.Threads) == 0 {
		return
	}
	line := func(pid any, columns ...any) string { return fmt.Sprintf(threadColumns, columns...) }
	if several(r) {
		line = func(pid any, columns ...any) string {
			return fmt.Sprintf(processThreadColumns, append(columns, pid)...)
		}
	}
	rows := slices.Clone(r.Threads)
	slices.SortStableFunc(rows, func(x, y analyze.ThreadRow) int { return cmp.Compare(y.GILWaitNS, x.GILWaitNS) })
	p.line("")
	p.line("Threads")
	p.line("%s", line("pid", "GIL wait", "waits", "longest", "held", "on CPU", "runnable", "blocked")+"thread")
	for i := range rows {
		if i == top {
			p.line("  and %s", count(int64(len(rows)-i), "more thread"))
			break
		}
		t := &rows[i]
		s := line(t.PID, duration(t.GILWaitNS), t.GILWaits, duration(t.GILWaitMaxNS),
			maybe(t.GILHoldNS), maybe(t.OnCPUNS), maybe(t.RunnableNS), maybe(t.BlockedNS))
		p.line("%s%s", s, fitting(t, width-utf8.RuneCountInString(s)))
	}
}

// fitting names a thread in as many columns as there are. The name is cut rather
// than the number, which tells threads apart.
func fitting(t *analyze.ThreadRow, columns int) string {
	full := Safe(party(analyze.Party{TID: &t.TID, Name: t.Name}))
	name, number := []rune(Safe(t.Name)), fmt.Sprintf("... (%d)", t.TID)
	room := columns - len(number)
	if utf8.RuneCountInString(full) <= columns || room < 1 || room >= len(name) {
		return full
	}
	return string(name[:room]) + number
}
