package viewer

import (
	"bytes"
	"fmt"

	"gilscope/analyze"
)

// gilChanges tells when the GIL of free-threaded builds was turned on or off.
func (p *page) gilChanges(r *analyze.Report) {
	eachGILChange(r, func(text string) { p.wrap("", "NOTE: "+text) })
}

// markdownGILChanges is the same as a list.
func markdownGILChanges(b *bytes.Buffer, r *analyze.Report) {
	any := false
	eachGILChange(r, func(text string) {
		fmt.Fprintf(b, "- %s\n", markdown(text))
		any = true
	})
	if any {
		b.WriteString("\n")
	}
}

func eachGILChange(r *analyze.Report, tell func(string)) {
	for i := range r.Processes {
		py := r.Processes[i].Python
		if py == nil {
			continue
		}
		for k := range py.GILChanges {
			c := &py.GILChanges[k]
			text := c.Text()
			if w := c.Where(); w != "" {
				text += ", by " + w
			}
			if several(r) {
				text += ", in " + processName(r, r.Processes[i].PID)
			}
			tell(text + ".")
		}
	}
}
