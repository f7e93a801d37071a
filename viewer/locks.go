package viewer

import (
	"bytes"
	"fmt"
	"slices"
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
		if s := firstOf(row); s != "" {
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
	if len(row.PIDs) > 1 {
		return name + fmt.Sprintf(", shared by %s", processes(int64(len(row.PIDs)))) + openWaits(row.Open)
	}
	return name + remarks(r, row.Open, row.PID)
}

// remarks are what there is to say of any row: waits or pauses whose end is missing, and
// of several processes which one it is.
func remarks(r *analyze.Report, open int64, pid int32) (text string) {
	text = openWaits(open)
	if several(r) {
		text += ", " + processName(r, pid)
	}
	return text
}

func openWaits(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", %d whose end was not seen", n)
}

// whose says, of a lock that processes share, which one a thread is of.
func whose(row *analyze.LockRow, pid *int32) string {
	if pid == nil || len(row.PIDs) < 2 {
		return ""
	}
	return fmt.Sprintf("process %d ", *pid)
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
		w := &row.Waiters[i]
		return fmt.Sprintf("%s %s%s", duration(w.WaitNS), whose(row, &w.PID), at(w.Party))
	})
}

// firstOf tells the first wait for a lock that a thread holds, if one of its threads or lines is not
// among those that are told anyhow.
func firstOf(row *analyze.LockRow) string {
	f := &row.First
	waiter := slices.ContainsFunc(row.Waiters[:min(len(row.Waiters), maxParties)], func(w analyze.LockWaiter) bool { return at(w.Party) == at(f.Waiter) })
	holder := f.Holder == nil || slices.ContainsFunc(row.Holders[:min(len(row.Holders), maxParties)], func(h analyze.LockHolder) bool { return at(h.Party) == at(*f.Holder) })
	if !row.Held || waiter && holder {
		return ""
	}
	text := fmt.Sprintf("first waited for after %s: %s%s", duration(f.AfterNS), whose(row, &f.PID), at(f.Waiter))
	if f.Holder != nil {
		text += "; then held: " + whose(row, f.HolderPID) + party(*f.Holder)
		if site := place(f.Holder.Site); site != "" {
			text += " until " + site
		}
	}
	return text
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
		text := whose(row, list[i].PID) + party(list[i].Party)
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
