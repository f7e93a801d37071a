package main

import (
	"fmt"
	"math"
	"os"
	"strings"
)

// cell is the median of ratios with its error: half a notch of a box plot, as in ratioOf.
func cell(pairs []pair, value func(pair) int64) string {
	if len(pairs) == 0 {
		return "-"
	}
	r := medianOf(pairs, value)
	return fmt.Sprintf("x%.3f ±%.3f", r.Value, r.Error)
}

// medianOf is the median of the ratios that rounds had.
func medianOf(pairs []pair, value func(pair) int64) ratio {
	each := make([]int64, len(pairs))
	for i, p := range pairs {
		each[i] = value(p)
	}
	s := spreadOf(each)
	return ratio{float64(s.Median) / 1e6, 1.57 * float64(s.Q3-s.Q1) / 1e6 / math.Sqrt(float64(len(pairs)))}
}

// What a cell shows.
func byRate(p pair) int64 { return p.RatePPM }
func byP99(p pair) int64  { return p.P99PPM }
func byCPU(p pair) int64  { return p.CPUPPM }
func byTime(p pair) int64 { return p.TimePPM }

// columnKinds are the columns of the table that a measured column makes.
func columnKinds(c *column) (heads []string, values []func(pair) int64) {
	if c.Unit == "ns" {
		return []string{"time", "CPU time"}, []func(pair) int64{byTime, byCPU}
	}
	return []string{"requests/s", "p99", "CPU a request"}, []func(pair) int64{byRate, byP99, byCPU}
}

// markdown is the table, one for servers and one for programs, and how it was made.
func (r *peerReport) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "CPython %s, Linux %s, %d CPUs (%s), %s, load of the machine %s. Medians of %d interleaved rounds of ratios to the bare\n",
		r.Python.Version, r.Kernel, r.CPUs, r.CPUName, r.When, r.Load, r.Rounds)
	fmt.Fprintf(&b, "stretches before and after, with half the width of a 95 %% interval; a stretch takes some %.1f s, for os.stat half of that.\n", float64(r.EachNS)/1e9)
	if r.Quick {
		b.WriteString("Too little work to tell what the tools cost (-quick).\n")
	}
	for _, unit := range []string{"requests/s", "ns"} {
		r.table(&b, unit)
	}
	return b.String()
}

// table writes the columns of one unit.
func (r *peerReport) table(b *strings.Builder, unit string) {
	head, bare := []string{"tool"}, []string{"alone"}
	var columns []*column
	for i := range r.Columns {
		c := &r.Columns[i]
		if c.Unit != unit {
			continue
		}
		columns = append(columns, c)
		heads, _ := columnKinds(c)
		head = append(head, c.Name+": "+heads[0])
		head = append(head, heads[1:]...)
		bare = append(bare, c.alone()...)
	}
	if len(columns) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s|%s\n%s", row(head), strings.Repeat("---|", len(head)), row(bare))
	for _, t := range tools {
		cells := []string{t.Name}
		measured := false
		for _, c := range columns {
			_, values := columnKinds(c)
			for _, v := range values {
				cells = append(cells, cell(c.Pairs[t.Name], v))
				measured = measured || len(c.Pairs[t.Name]) > 0
			}
		}
		if measured {
			b.WriteString(row(cells))
		}
	}
}

// alone is what there is without a tool: the median and the range of all stretches.
func (c *column) alone() []string {
	if c.Unit == "ns" {
		return []string{fmt.Sprintf("%.2f s (%.2f-%.2f)", float64(c.Base.Median)/1e9, float64(c.Base.Min)/1e9, float64(c.Base.Max)/1e9), ""}
	}
	return []string{fmt.Sprintf("%d (%d-%d)", c.Base.Median, c.Base.Min, c.Base.Max), fmt.Sprintf("%.1f ms", float64(c.BaseP99.Median)/1e6), ""}
}

func row(cells []string) string { return "| " + strings.Join(cells, " | ") + " |\n" }

// intoFile puts text between the lines <!-- name --> and <!-- /name --> of a file.
func intoFile(path, name, text string) error {
	begin, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->\n"
	file, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("put the table into %s: %w: give the README with -readme", path, err)
	}
	before, rest, begun := strings.Cut(string(file), begin)
	_, after, ended := strings.Cut(rest, end)
	if !begun || !ended {
		return fmt.Errorf("put the table into %s: it has no lines %q and %q: add them", path, begin, end)
	}
	return os.WriteFile(path, []byte(before+begin+text+end+after), 0o644)
}
