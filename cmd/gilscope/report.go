package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"gilscope/analyze"
	"gilscope/viewer"
)

// reportOptions are the flags of report.
type reportOptions struct {
	format string
	json   bool
	output string
	top    int
	memory memoryFlag
	traces []string
}

func newReport() *cobra.Command {
	o := reportOptions{}
	cmd := &cobra.Command{
		Use:   "report TRACE...",
		Short: "Explain who waited for the GIL, because of whom, and what to do",
		Long: `Analyse traces: how long each thread waited for the GIL, which thread and line held it
meanwhile, how it changed hands, and what would help. Every nanosecond of every wait is
charged to one holder, to "handing over", or to "unknown", so the table sums to the wait.
A "-" stands for what was not recorded at this detail; it is never written as 0.`,
		Example: `  gilscope report slow.pftrace
  gilscope report slow.pftrace --format json -o report.json
  gilscope report slow.pftrace --format md --top 5`,
		Args: traces(1, 0),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.traces = args
			return o.run(cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.format, "format", "text", "text, json or md")
	f.BoolVar(&o.json, "json", false, "the same as --format json")
	f.StringVarP(&o.output, "output", "o", "", "file to write (default: stdout)")
	f.IntVar(&o.top, "top", 10, "rows of each table of text and md")
	o.memory.add(cmd)
	return cmd
}

func (o *reportOptions) run(stdout io.Writer) error {
	if o.json {
		o.format = "json"
	}
	if o.format != "text" && o.format != "json" && o.format != "md" {
		return usageErrorf("--format %q is not known: use text, json or md", o.format)
	}
	if o.top < 1 {
		return usageErrorf("--top %d: give 1 or more", o.top)
	}
	if err := o.memory.check(); err != nil {
		return err
	}
	reports := make([]*analyze.Report, len(o.traces))
	for i, path := range o.traces {
		tl, err := timeline(path, o.memory)
		if err != nil {
			return err
		}
		reports[i] = tl.Report()
	}
	return writeTo(o.output, stdout, func(w io.Writer) error {
		for i, r := range reports {
			if err := o.write(w, o.traces[i], r); err != nil {
				return err
			}
		}
		return nil
	})
}

// write writes one report. Several texts get headings; several JSON documents
// follow one another.
func (o *reportOptions) write(w io.Writer, path string, r *analyze.Report) error {
	if len(o.traces) > 1 && o.format != "json" {
		if _, err := fmt.Fprintf(w, "\n# %s\n\n", viewer.Safe(path)); err != nil {
			return err
		}
	}
	switch o.format {
	case "json":
		return viewer.JSON(w, r)
	case "md":
		return viewer.Markdown(w, r, o.top)
	}
	return viewer.Text(w, r, o.top)
}
