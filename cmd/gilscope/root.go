package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

const exitCodes = `
Exit codes:
  0  done, within budget
  1  a budget is breached
  2  wrong usage
  3  inconclusive: lost events, too few samples, cut trace
  4  environment: kernel, privileges, target
  5  input or output`

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "gilscope",
		Short: "Who waits for the GIL of a Python process, because of whom",
		Long: `Record who waits for the GIL of a live Python process, because of which thread and line,
without restarting, stopping or changing it. Recording needs privileges; everything else
works on the trace alone, as any user, on any machine.
` + exitCodes,
		Example: `  sudo gilscope record -p 4242 -d 10s -o slow.pftrace
  gilscope report slow.pftrace
  gilscope check slow.pftrace --assert 'gil.wait.p99<5ms'
  gilscope view slow.pftrace
  gilscope scale -- python3 work.py --threads {n}`,
		Args:          knownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,

		SuggestionsMinimumDistance: 2,
		SilenceUsage:               true,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageErrorf("%w; see: %s --help", err, cmd.CommandPath())
	})
	root.AddCommand(newRecord(), newStub(), newDoctor(), newReport(), newCheck(), newExport(), newView(), newScale(), newVersion())
	return root
}

// knownCommand is reached with arguments only if the first names no command.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := "see: gilscope --help"
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return usageErrorf("no command %q; %s", args[0], hint)
}

// traces checks that a command got between least and most trace files; most 0 is no limit.
func traces(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least {
			return usageErrorf("no trace given; write: %s TRACE", cmd.CommandPath())
		}
		if most > 0 && len(args) > most {
			return usageErrorf("%s takes %d trace, got %d", cmd.CommandPath(), most, len(args))
		}
		return nil
	}
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Long:    "Print the version of this program, as traces carry it too.",
		Example: "  gilscope version",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageErrorf("version takes no argument, got %q", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "gilscope %s\n", version)
			return err
		},
	}
}
