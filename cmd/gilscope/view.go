package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"gilscope/analyze"
	"gilscope/viewer"
)

// viewOptions are the flags of view.
type viewOptions struct {
	port   int
	noOpen bool
	trace  string
}

func newView() *cobra.Command {
	o := viewOptions{}
	cmd := &cobra.Command{
		Use:   "view TRACE",
		Short: "Open a trace in the Perfetto UI",
		Long: `Hand the trace to ui.perfetto.dev in your browser, with the GIL tracks pinned. The trace does
not leave this machine: the page reads it once from 127.0.0.1, and the program ends then, or
after 60 seconds.`,
		Example: `  gilscope view slow.pftrace
  gilscope view slow.pftrace --no-open`,
		Args: traces(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.trace = args[0]
			return o.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.port, "port", viewer.PerfettoPort, "port on 127.0.0.1 (the UI reaches 9001 only; others are for tests)")
	f.BoolVar(&o.noOpen, "no-open", false, "print the link, do not start a browser")
	return cmd
}

func (o *viewOptions) run(ctx context.Context, stdout, words io.Writer) error {
	if o.port < 0 || o.port > 65535 {
		return usageErrorf("--port %d: give 0 to 65535", o.port)
	}
	// Read it first: what is no recording of ours is not handed to a browser.
	t, err := readTrace(o.trace, defaultMemory)
	if err != nil {
		return err
	}
	f, err := os.Open(o.trace)
	if err != nil {
		return ioFailed(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return ioFailed(err)
	}
	if err := leaveRoot(); err != nil {
		return err
	}
	h, err := viewer.NewHandover(f, st.Size(), o.port)
	if err != nil {
		return ioFailed(err)
	}
	link, err := h.Link(viewer.Pins(analyze.Build(t))...)
	if err != nil {
		return ioFailed(err)
	}
	if _, err := fmt.Fprintln(stdout, link); err != nil {
		return ioFailed(err)
	}
	if !o.noOpen {
		browse(ctx, words, link)
	}
	return ioFailed(h.Serve(ctx))
}

// browse opens the link where there is a display; else the printed link has to do.
func browse(ctx context.Context, words io.Writer, link string) {
	if os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
		fmt.Fprintln(words, "no display here: open the link above within 60 s")
		return
	}
	cmd := exec.CommandContext(ctx, "xdg-open", link)
	if err := cmd.Start(); err != nil {
		fmt.Fprintf(words, "could not start a browser (%v): open the link above within 60 s\n", err)
		return
	}
	go func() { _ = cmd.Wait() }() // the browser's own end is of no interest, its zombie is
}

// leaveRoot becomes the user behind sudo: serving a file and starting a browser
// need no privileges, and must not have them.
func leaveRoot() error {
	uid, uidErr := strconv.Atoi(os.Getenv("SUDO_UID"))
	gid, gidErr := strconv.Atoi(os.Getenv("SUDO_GID"))
	if os.Geteuid() != 0 || uidErr != nil || gidErr != nil || uid <= 0 || gid < 0 {
		return nil
	}
	if err := syscall.Setgroups([]int{gid}); err != nil {
		return fmt.Errorf("give up root's groups: %w; run view without sudo", err)
	}
	if err := syscall.Setgid(gid); err != nil {
		return fmt.Errorf("give up root's group: %w; run view without sudo", err)
	}
	if err := syscall.Setuid(uid); err != nil {
		return fmt.Errorf("give up root: %w; run view without sudo", err)
	}
	return nil
}
