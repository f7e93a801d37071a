package viewer

import (
	"bytes"
	"fmt"

	"gilscope/analyze"
)

// lockOrders writes the circles of locks that were taken in opposite orders.
func (p *page) lockOrders(r *analyze.Report, top int) {
	for i := range r.LockOrders {
		if i == top {
			p.line("and %d more such circles of locks", len(r.LockOrders)-i)
			break
		}
		row := &r.LockOrders[i]
		p.line("")
		p.line("%s", lockOrderTitle(row))
		for k := range row.Steps {
			p.wrap("  ", row.Steps[k].Text(at))
		}
	}
}

func lockOrderTitle(row *analyze.LockOrderRow) string {
	s := fmt.Sprintf("Locks taken in opposite orders in process %d (a hazard, not a deadlock)", row.PID)
	if row.GuardedBy != nil {
		s += ", so far always under the lock " + *row.GuardedBy
	}
	return s
}

// markdownLockOrders are the same circles.
func markdownLockOrders(b *bytes.Buffer, r *analyze.Report, top int) {
	for i := range r.LockOrders[:min(len(r.LockOrders), top)] {
		row := &r.LockOrders[i]
		fmt.Fprintf(b, "### %s\n\n", markdown(lockOrderTitle(row)))
		for k := range row.Steps {
			fmt.Fprintf(b, "- %s\n", markdown(row.Steps[k].Text(at)))
		}
		b.WriteString("\n")
	}
}
