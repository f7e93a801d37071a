package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"gilscope/internal/trace"
	"gilscope/viewer"
)

// exportOptions are the flags of export.
type exportOptions struct {
	to     string
	kind   string
	output string
	memory memoryFlag
	trace  string
}

func newExport() *cobra.Command {
	o := exportOptions{}
	var kinds []string
	for _, p := range viewer.ProfileTypes {
		kinds = append(kinds, "  "+p.Name+strings.Repeat(" ", 11-len(p.Name))+p.Doc)
	}
	cmd := &cobra.Command{
		Use:   "export TRACE --to FORMAT",
		Short: "Make a profile or a readable text of a trace",
		Long: `Export a trace: pprof (go tool pprof, Pyroscope, Parca), collapsed stacks (flame graphs; the
number is nanoseconds), or text, a line per event, which holds all of the trace.

Profiles, by --type:
` + strings.Join(kinds, "\n"),
		Example: `  gilscope export slow.pftrace --to pprof --type gil_blame -o blame.pb.gz
  gilscope export slow.pftrace --to collapsed --type gil_wait
  gilscope export slow.pftrace --to text`,
		Args: traces(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.trace = args[0]
			return o.run(cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.to, "to", "", "pprof, collapsed or text")
	f.StringVar(&o.kind, "type", "gil_wait", "profile: gil_wait, gil_blame, gil_hold or cpu")
	f.StringVarP(&o.output, "output", "o", "", "file to write (default: stdout)")
	o.memory.add(cmd)
	return cmd
}

func (o *exportOptions) run(stdout, words io.Writer) error {
	if o.to != "pprof" && o.to != "collapsed" && o.to != "text" {
		return usageErrorf("--to %q is not known: use pprof, collapsed or text", o.to)
	}
	profile, err := viewer.ProfileNamed(o.kind)
	if err != nil {
		return usageErrorf("--type: %w", err)
	}
	if o.to == "pprof" && (o.output == "" || o.output == "-") && isTerminal(stdout) {
		return usageErrorf("a pprof profile is no text for a terminal: give -o FILE")
	}
	if err := o.memory.check(); err != nil {
		return err
	}
	tl, err := timeline(o.trace, o.memory)
	if err != nil {
		return err
	}
	for _, doubt := range viewer.Doubts(tl.Report()) {
		fmt.Fprintln(words, "WARNING:", doubt)
	}
	return writeTo(o.output, stdout, func(w io.Writer) error {
		switch o.to {
		case "pprof":
			return profile.Pprof(w, tl)
		case "collapsed":
			return profile.Collapsed(w, tl)
		}
		return trace.WriteText(w, tl.Trace)
	})
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}
