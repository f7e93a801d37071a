package viewer

import (
	"bytes"
	"fmt"
	"html"
	"io"

	"gilscope/internal/scaling"
)

// pageHead begins a page that loads nothing and runs nothing.
const pageHead = `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>gilscope scale</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24; background: #fff }
table { border-collapse: collapse; margin: .5rem 0 } th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #d8dee4 }
svg { width: 100%; height: auto } svg text { font: 13px system-ui, sans-serif; fill: #444 }
.over td { color: #777 } .warning { color: #a40000 }
</style></head><body>
<h1>How it scales</h1>
`

// escaped makes text from a target harmless in HTML.
func escaped(s string) string { return html.EscapeString(Safe(s)) }

// ScaleHTML writes a report on scaling as one page, without scripts, with a plot
// of what was measured against the ideal and the laws.
func ScaleHTML(w io.Writer, r *scaling.Report) error {
	var b bytes.Buffer
	b.WriteString(pageHead)
	for _, doubt := range scaleDoubts(r) {
		fmt.Fprintf(&b, "<p class=\"warning\">Warning: %s</p>\n", escaped(doubt))
	}
	for _, s := range scaleVerdict(r) {
		fmt.Fprintf(&b, "<p><strong>%s</strong></p>\n", escaped(s))
	}
	scalePlot(&b, r)
	fmt.Fprintf(&b, "<p>%s</p>\n", escaped(scaleAbout(r)))
	for i := range r.Series {
		htmlLadder(&b, r, &r.Series[i])
	}
	for _, s := range r.Skipped {
		fmt.Fprintf(&b, "<p>Not measured: %s: %s.</p>\n", escaped(s.What), escaped(s.Why))
	}
	b.WriteString("</body></html>\n")
	_, err := w.Write(b.Bytes())
	return err
}

func htmlLadder(b *bytes.Buffer, r *scaling.Report, s *scaling.SeriesRow) {
	fmt.Fprintf(b, "<h2>%s</h2>\n<table><tr>", escaped(ladderName(s, r.Series)))
	for _, head := range []string{"workers", "CPUs", "time", "speed-up (95 %)", "ideal", "efficiency", "CPU time"} {
		fmt.Fprintf(b, "<th>%s</th>", escaped(head))
	}
	b.WriteString("</tr>\n")
	for i := range s.Steps {
		step := &s.Steps[i]
		class, workers := "", fmt.Sprint(step.Workers)
		if step.Oversubscribed {
			class, workers = " class=\"over\"", workers+"*"
		}
		fmt.Fprintf(b, "<tr%s>", class)
		for _, cell := range []string{workers, fmt.Sprint(step.CPUs), duration(step.WallNS), between(step.Speedup, ratio),
			ratio(step.Ideal), percentage(step.Efficiency), duration(step.CPUNS)} {
			fmt.Fprintf(b, "<td>%s</td>", escaped(cell))
		}
		b.WriteString("</tr>\n")
	}
	b.WriteString("</table>\n")
	for _, words := range ladderWords(s) {
		fmt.Fprintf(b, "<p>%s</p>\n", escaped(words))
	}
}

// ladderWords is what there is to say of a ladder beside its table.
func ladderWords(s *scaling.SeriesRow) []string {
	var out []string
	for i := range s.Steps {
		if s.Steps[i].Oversubscribed {
			out = append(out, "* more workers than CPUs: shown, but not used for the fits.")
			break
		}
	}
	if s.Amdahl != nil {
		out = append(out, amdahlWords(s.Amdahl))
	}
	if s.USL != nil {
		out = append(out, uslWords(s.USL))
	}
	for _, x := range s.Predictions {
		out = append(out, fmt.Sprintf("Predicted for %d CPUs: Amdahl %s, USL %s; confidence %s.", x.CPUs, maybeInterval(x.Amdahl), maybeInterval(x.USL), x.Confidence))
	}
	if len(s.Predictions) > 0 {
		out = append(out, predictionWords(s))
	}
	for i := range s.Steps {
		out = append(out, lossLines(&s.Steps[i])...)
	}
	for _, u := range s.Unknown {
		out = append(out, "Unknown: "+u+".")
	}
	return out
}
