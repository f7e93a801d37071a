package viewer

import (
	"bytes"
	"fmt"
	"math"

	"gilscope/internal/scaling"
)

// The plot's size and margins, in its own units.
const (
	plotWidth  = 900.0
	plotHeight = 460.0
	plotLeft   = 60.0
	plotRight  = 210.0 // the legend's
	plotTop    = 20.0
	plotBottom = 45.0
)

// seriesColours tell ladders apart, also for the colour-blind (Okabe and Ito).
var seriesColours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"}

// plot maps workers and speed-ups to places.
type plot struct {
	b          *bytes.Buffer
	maxX, maxY float64
}

func (p *plot) x(v float64) float64 {
	return plotLeft + (v-1)/max(p.maxX-1, 1)*(plotWidth-plotLeft-plotRight)
}
func (p *plot) y(v float64) float64 {
	return plotHeight - plotBottom - v/p.maxY*(plotHeight-plotTop-plotBottom)
}

// scalePlot draws speed-up against workers: measured points with intervals, the
// ideal, and the laws, dashed where they predict.
func scalePlot(b *bytes.Buffer, r *scaling.Report) {
	p := &plot{b: b, maxX: 1, maxY: 1}
	for i := range r.Series {
		p.include(&r.Series[i])
	}
	p.maxX = max(p.maxX, 2)
	p.maxY *= 1.08
	fmt.Fprintf(b, `<svg viewBox="0 0 %.0f %.0f" role="img" aria-label="speed-up against workers">`+"\n", plotWidth, plotHeight)
	p.axes()
	p.curve(func(n float64) float64 { return n }, 1, min(p.maxX, p.maxY), "#999", "2 4", 1.6)
	p.legend(0, "#999", "ideal")
	for i := range r.Series {
		s, colour := &r.Series[i], seriesColours[i%len(seriesColours)]
		p.laws(s, colour)
		for k := range s.Steps {
			p.point(&s.Steps[k], colour)
		}
		p.legend(i+1, colour, ladderName(s, r.Series))
	}
	for i, words := range []string{"thick line: USL", "thin line: Amdahl", "dashed: predicted", "hollow: too few CPUs"} {
		p.legend(len(r.Series)+1+i, "", words)
	}
	b.WriteString("</svg>\n")
}

// include makes room for a ladder, and for its nearest prediction.
func (p *plot) include(s *scaling.SeriesRow) {
	for i := range s.Steps {
		step := &s.Steps[i]
		p.maxX = max(p.maxX, float64(step.Workers))
		p.maxY = max(p.maxY, step.Ideal, step.Speedup.Value)
		if step.Speedup.High != nil {
			p.maxY = max(p.maxY, min(*step.Speedup.High, 2*step.Speedup.Value))
		}
	}
	if len(s.Predictions) == 0 {
		return
	}
	next := s.Predictions[0]
	p.maxX = max(p.maxX, float64(next.CPUs))
	for _, i := range []*scaling.Interval{next.Amdahl, next.USL} {
		if i != nil {
			p.maxY = max(p.maxY, i.Value)
		}
	}
}

func (p *plot) axes() {
	left, bottom := p.x(1), p.y(0)
	fmt.Fprintf(p.b, `<path d="M%.1f %.1fV%.1fH%.1f" fill="none" stroke="#444"/>`+"\n", left, p.y(p.maxY), bottom, p.x(p.maxX))
	for _, v := range ticks(p.maxY) {
		fmt.Fprintf(p.b, `<path d="M%.1f %.1fH%.1f" stroke="#eee"/><text x="%.1f" y="%.1f" text-anchor="end">%g</text>`+"\n",
			left, p.y(v), p.x(p.maxX), left-8, p.y(v)+4, v)
	}
	for _, v := range ticks(p.maxX) {
		if v >= 1 && v == math.Trunc(v) {
			fmt.Fprintf(p.b, `<text x="%.1f" y="%.1f" text-anchor="middle">%g</text>`+"\n", p.x(v), bottom+18, v)
		}
	}
	fmt.Fprintf(p.b, `<text x="%.1f" y="%.1f" text-anchor="middle">workers</text>`+"\n", (left+p.x(p.maxX))/2, bottom+38)
	fmt.Fprintf(p.b, `<text transform="translate(16 %.1f) rotate(-90)" text-anchor="middle">speed-up</text>`+"\n", (p.y(p.maxY)+bottom)/2)
}

// ticks are round numbers up to most, at most eight.
func ticks(most float64) []float64 {
	step := 0.25
	for i := 0; most/step > 8; i++ {
		step *= [...]float64{2, 2, 2, 2.5}[i%4] // 0.25, 0.5, 1, 2, 5, 10, 20, 40, 100 ...
	}
	var out []float64
	for v := step; v <= most; v += step {
		out = append(out, v)
	}
	return out
}

// curve draws a function in straight pieces.
func (p *plot) curve(f func(float64) float64, from, to float64, colour, dash string, width float64) {
	if to <= from {
		return
	}
	const pieces = 80
	fmt.Fprintf(p.b, `<path fill="none" stroke="%s" stroke-width="%.1f" stroke-dasharray="%s" d="`, colour, width, dash)
	for i := range pieces + 1 {
		n := from + (to-from)*float64(i)/pieces
		command := "L"
		if i == 0 {
			command = "M"
		}
		fmt.Fprintf(p.b, "%s%.1f %.1f", command, p.x(n), p.y(f(n)))
	}
	p.b.WriteString("\"/>\n")
}

// laws draws the laws of a ladder over the steps they were fitted to, and on to
// the nearest prediction where there is one.
func (p *plot) laws(s *scaling.SeriesRow, colour string) {
	last := 1.0
	for i := range s.Steps {
		if !s.Steps[i].Oversubscribed {
			last = max(last, float64(s.Steps[i].Workers))
		}
	}
	if s.Amdahl != nil {
		p.law(s.Amdahl, last, s.Predictions, colour, 0.8)
	}
	if s.USL != nil {
		p.law(s.USL, last, s.Predictions, colour, 2)
	}
}

func (p *plot) law(f *scaling.Fit, last float64, predictions []scaling.Prediction, colour string, width float64) {
	p.curve(f.At, 1, last, colour, "none", width)
	if len(predictions) > 0 && (predictions[0].USL != nil || f.Kappa == nil) {
		p.curve(f.At, last, float64(predictions[0].CPUs), colour, "7 5", width)
	}
}

func (p *plot) point(s *scaling.StepRow, colour string) {
	x, fill := p.x(float64(s.Workers)), colour
	if s.Oversubscribed {
		fill = "#fff"
	}
	if s.Speedup.Low != nil && s.Speedup.High != nil {
		fmt.Fprintf(p.b, `<path d="M%.1f %.1fV%.1f" stroke="%s" stroke-width="2"/>`, x, p.y(*s.Speedup.Low), p.y(min(*s.Speedup.High, p.maxY)), colour)
	}
	fmt.Fprintf(p.b, `<circle cx="%.1f" cy="%.1f" r="5" fill="%s" stroke="%s"><title>%s</title></circle>`+"\n", x, p.y(s.Speedup.Value), fill, colour,
		escaped(fmt.Sprintf("%d: x%s", s.Workers, between(s.Speedup, ratio))))
}

func (p *plot) legend(row int, colour, name string) {
	x, y := plotWidth-plotRight+20, plotTop+20+22*float64(row)
	if colour != "" {
		fmt.Fprintf(p.b, `<rect x="%.1f" y="%.1f" width="14" height="4" fill="%s"/>`, x, y-6, colour)
	}
	fmt.Fprintf(p.b, `<text x="%.1f" y="%.1f">%s</text>`+"\n", x+22, y, escaped(name))
}
