package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gilscope/analyze"
	"gilscope/viewer"
)

// checkOptions are the flags of check.
type checkOptions struct {
	asserts []string
	outs    []string
	memory  memoryFlag
	trace   string
}

func newCheck() *cobra.Command {
	o := checkOptions{}
	cmd := &cobra.Command{
		Use:   "check TRACE --assert BUDGET...",
		Short: "Hold a trace against budgets, for CI",
		Long: `Hold a trace against budgets and exit with 1 if one is breached, 3 if the recording does not
prove it either way (lost events, cut trace, fewer than 20 waits for a percentile, holds at
detail waits). A deadlock that was recorded is always a breach.

Of several processes, a sum is over all of them, a maximum or share is that of the worst GIL, and a percentile
is that of all waits together, or of one GIL with at least 20 of them if that is worse.

A budget is METRIC, one of < <= > >=, and a limit:
` + metricHelp(),
		Example: `  gilscope check run.pftrace --assert 'gil.wait.p99<5ms'
  gilscope check run.pftrace --assert 'gil.wait.share<10%' --assert 'recording.lost<=0' --out junit=gil.xml`,
		Args: traces(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.trace = args[0]
			return o.run(cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.asserts, "assert", nil, "budget to hold the trace against (may be repeated)")
	f.StringArrayVar(&o.outs, "out", nil, "FORMAT=FILE to write as well: text, json, junit or github; - is stdout (may be repeated)")
	o.memory.add(cmd)
	return cmd
}

func metricHelp() string {
	units := map[analyze.Unit]string{analyze.Duration: "5ms", analyze.Percent: "10%", analyze.Count: "0"}
	var b strings.Builder
	for _, m := range analyze.Metrics {
		fmt.Fprintf(&b, "  %-15s  %s, such as %s\n", m.Name, m.Doc, units[m.Unit])
	}
	return strings.TrimRight(b.String(), "\n")
}

// checkOut is one --out.
type checkOut struct {
	file  string
	write func(io.Writer, viewer.Outcomes) error
}

func (o *checkOptions) parse() (budgets []analyze.Budget, outs []checkOut, err error) {
	if len(o.asserts) == 0 {
		return nil, nil, usageErrorf("no budget given; write: check TRACE --assert 'gil.wait.p99<5ms'")
	}
	for _, s := range o.asserts {
		b, err := analyze.ParseBudget(s)
		if err != nil {
			return nil, nil, usageErrorf("--assert: %w", err)
		}
		budgets = append(budgets, b)
	}
	for _, s := range o.outs {
		format, file, ok := strings.Cut(s, "=")
		write := viewer.CheckFormats[format]
		if !ok || write == nil || file == "" {
			return nil, nil, usageErrorf("--out %q: write FORMAT=FILE with one of %s", s,
				strings.Join(slices.Sorted(maps.Keys(viewer.CheckFormats)), ", "))
		}
		outs = append(outs, checkOut{file, write})
	}
	return budgets, outs, nil
}

func (o *checkOptions) run(stdout io.Writer) error {
	budgets, outs, err := o.parse()
	if err == nil {
		err = o.memory.check()
	}
	if err != nil {
		return err
	}
	tl, err := timeline(o.trace, o.memory)
	if err != nil {
		return err
	}
	report := tl.Report()
	got := viewer.Outcomes{Trace: o.trace}
	if len(report.Deadlocks) > 0 {
		got.List = append(got.List, analyze.NoDeadlock.Check(report))
	}
	for _, b := range budgets {
		got.List = append(got.List, b.Check(report))
	}
	if err := viewer.CheckText(stdout, got); err != nil {
		return ioFailed(err)
	}
	for _, out := range outs {
		if err := writeTo(out.file, stdout, func(w io.Writer) error { return out.write(w, got) }); err != nil {
			return err
		}
	}
	switch got.Worst() {
	case analyze.Breach:
		return errBreached
	case analyze.Inconclusive:
		return errInconclusive
	}
	return nil
}
