package oracle

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Command is a startup command of the Perfetto UI, e.g. {"dev.perfetto.PinTracksByRegex", []any{"GIL holder"}}.
type Command struct {
	ID   string `json:"id"`
	Args []any  `json:"args"`
}

// View is how to look at a trace. The zero value is a window of 1600 x 1000 with the UI's own choices.
type View struct {
	Width, Height int               // of the window, pixels
	Params        map[string]string // of the deep link: visStart, visEnd, ts, dur (ns), query, ...
	Commands      []Command         // startup commands
	Click         []string          // texts to click on, one after another
}

// Seen is what the Perfetto UI shows.
type Seen struct {
	Tracks  []string // names from top to bottom, pinned ones first, also those scrolled out of view
	Badge   bool     // the red badge: data loss or an import error
	Details string   // text of the drawer below the tracks: the selected slice, a query's result
}

// Expand is a command that opens the groups whose names match.
func Expand(regex string) Command { return Command{"dev.perfetto.ExpandTracksByRegex", []any{regex}} }

// Pin is a command that keeps the tracks whose names match on top.
func Pin(regex string) Command { return Command{"dev.perfetto.PinTracksByRegex", []any{regex}} }

// Screenshot opens a trace in the Perfetto UI, writes a PNG to out (none if out is empty) and tells what is to be seen.
// It fails the test if the UI does not open the trace. About 6 s.
func Screenshot(t testing.TB, trace, out string, view View) Seen {
	t.Helper()
	e := Open(t)
	browser, err := browser()
	if err != nil {
		t.Fatalf("oracle: %v", err)
	}
	if view.Width == 0 || view.Height == 0 {
		view.Width, view.Height = 1600, 1000
	}
	request := map[string]any{
		"width": view.Width, "height": view.Height, "params": view.Params, "commands": view.Commands, "click": view.Click,
	}
	paths, err := absolute(trace, out)
	if err != nil {
		t.Fatalf("oracle: %v", err)
	}
	request["out"] = paths[1]
	var seen Seen
	if err := run(t, &seen, request, "uishot.mjs", e.ui, e.playwright, browser, paths[0]); err != nil {
		t.Fatalf("oracle: show %s: %v", trace, err)
	}
	return seen
}

// absolute makes every path absolute that is not empty.
func absolute(paths ...string) ([]string, error) {
	for i, path := range paths {
		if path == "" {
			continue
		}
		abs, err := filepath.Abs(path)
		if err != nil {
			return nil, fmt.Errorf("find %s: %w", path, err)
		}
		paths[i] = abs
	}
	return paths, nil
}

// browser finds a Chromium: $CHROMIUM, else by its usual names.
func browser() (string, error) {
	if path := os.Getenv("CHROMIUM"); path != "" {
		return path, nil
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("find a Chromium: not on PATH: install it (Debian: apt-get install chromium) or set CHROMIUM")
}
