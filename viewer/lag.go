package viewer

import (
	"fmt"

	"gilscope/analyze"
)

// lagText says how long data waited for a loop; "": that was not recorded.
func lagText(l *analyze.LoopRow) string {
	if l.LagReads == nil || l.LagUnseen == nil {
		return ""
	}
	text := "no data was read from sockets"
	if l.LagP50NS != nil && l.LagP99NS != nil && l.LagMaxNS != nil {
		text = fmt.Sprintf("data waited in sockets until it was read: half of it up to %s, p99 %s, longest %s (%s)",
			duration(*l.LagP50NS), duration(*l.LagP99NS), duration(*l.LagMaxNS), count(*l.LagReads, "read"))
	}
	if n := *l.LagUnseen; n > 0 {
		text += fmt.Sprintf("; for how long is not known of %s", count(n, "other read"))
	}
	return text
}

// lag writes a line about how long data waited for a loop.
func (p *page) lag(r *analyze.Report, l *analyze.LoopRow) {
	text := lagText(l)
	if text == "" {
		return
	}
	if len(r.Loops) > 1 {
		text = loopName(r, l) + ": " + text
	}
	p.wrap("  ", text)
}
