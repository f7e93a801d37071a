package viewer

import (
	"bytes"
	"fmt"
	"strings"

	"gilscope/analyze"
	"gilscope/internal/trace"
)

// maxParties is how many waiters, and how many holders, of a lock are told.
const maxParties = 3

// deadlocks writes the circles before all else of the locks.
func (p *page) deadlocks(r *analyze.Report) {
	for i := range r.Deadlocks {
		d := &r.Deadlocks[i]
		p.line("")
		p.line("Deadlock in process %d", d.PID)
		for _, c := range d.Cycle {
			p.wrap("  ", deadlockLink(d, c))
		}
	}
}

func deadlockLink(d *analyze.DeadlockRow, c analyze.DeadlockLink) string {
	return fmt.Sprintf("%s waits for %s %s, which %s holds", at(analyze.Party{TID: &c.TID, Name: c.Name, Site: c.Site}), c.Kind, c.WaitsFor, d.Holder(c))
}

// locks writes the table of locks.
func (p *page) locks(r *analyze.Report, top int) {
	if len(r.Locks) == 0 {
		return
	}
	p.line("")
	p.line("Locks")
	p.line("  %9s  %7s  %9s  %9s  lock", "waited", "waits", "p99", "longest")
	for i := range r.Locks {
		if i == top {
			p.line("  and %s", count(int64(len(r.Locks)-i), "more lock"))
			break
		}
		row := &r.Locks[i]
		p.line("  %9s  %7d  %9s  %9s  %s", duration(row.WaitNS), row.Waits, maybe(row.WaitP99NS), duration(row.WaitMaxNS), lockName(r, row))
		p.wrap("             ", "waited: "+waitersOf(row))
		if s := holdersOf(row); s != "" {
			p.wrap("             ", s)
		}
		if row.HolderGILWaitNS > 0 {
			p.wrap("             ", fmt.Sprintf("for %s of that its holder waited for the GIL", duration(row.HolderGILWaitNS)))
		}
	}
}

// lockName is what a lock is, and what of its waits is to be known.
func lockName(r *analyze.Report, row *analyze.LockRow) string {
	name := row.Kind
	if row.Address != nil {
		name += " " + *row.Address
	}
	switch {
	case row.Kind == trace.LockStopped.String():
		name += " (until it goes on)"
	case row.Kind == trace.LockStopping.String():
		name += " (until all have stopped)"
	case !row.Held:
		name += " (for others to do something)"
	}
	if row.TimedOut > 0 {
		name += fmt.Sprintf(", %d timed out", row.TimedOut)
	}
	return name + remarks(r, row.Open, row.PID)
}

// remarks are what there is to say of any row: waits or pauses whose end is missing, and
// of several processes which one it is.
func remarks(r *analyze.Report, open int64, pid int32) (text string) {
	if open > 0 {
		text = fmt.Sprintf(", %d whose end was not seen", open)
	}
	if several(r) {
		text += ", " + processName(r, pid)
	}
	return text
}

// few joins the texts of the first maxParties of n things, and says how many more there are.
func few(n int, text func(i int) string) string {
	var parts []string
	for i := range min(n, maxParties) {
		parts = append(parts, text(i))
	}
	if n > maxParties {
		parts = append(parts, fmt.Sprintf("and %d more", n-maxParties))
	}
	return strings.Join(parts, "; ")
}

func waitersOf(row *analyze.LockRow) string {
	return few(len(row.Waiters), func(i int) string {
		return fmt.Sprintf("%s %s", duration(row.Waiters[i].WaitNS), at(row.Waiters[i].Party))
	})
}

// holdersOf says who held the lock, as far as that is known, or who woke its waiters.
func holdersOf(row *analyze.LockRow) string {
	list, word, where := row.Holders, "held: ", " until "
	if !row.Held {
		list, word, where = row.Wakers, "woken by: ", ": "
	}
	if len(list) == 0 {
		return ""
	}
	return word + few(len(list), func(i int) string {
		text := party(list[i].Party)
		if site := place(list[i].Site); site != "" {
			text += where + site
		}
		if row.Held {
			text = duration(list[i].NS) + " " + text
		}
		return text
	})
}

// markdownLocks are the deadlocks, and the table of locks.
func markdownLocks(b *bytes.Buffer, r *analyze.Report, top int) {
	for i := range r.Deadlocks {
		d := &r.Deadlocks[i]
		fmt.Fprintf(b, "### Deadlock in process %d\n\n", d.PID)
		for _, c := range d.Cycle {
			fmt.Fprintf(b, "- %s\n", markdown(deadlockLink(d, c)))
		}
		b.WriteString("\n")
	}
	if len(r.Locks) == 0 {
		return
	}
	b.WriteString("### Locks\n\n| waited | waits | p99 | longest | lock | who | because of |\n|---|---|---|---|---|---|---|\n")
	for i := range r.Locks[:min(len(r.Locks), top)] {
		row := &r.Locks[i]
		fmt.Fprintf(b, "| %s | %d | %s | %s | %s | %s | %s |\n", duration(row.WaitNS), row.Waits, maybe(row.WaitP99NS), duration(row.WaitMaxNS),
			markdown(lockName(r, row)), markdown(waitersOf(row)), markdown(holdersOf(row)))
	}
	b.WriteString("\n")
}
