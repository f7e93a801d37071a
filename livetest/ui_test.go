package livetest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gilscope/internal/testpy"
	"gilscope/oracle"
)

// TestPerfettoShowsTheGIL opens a recording of the demo's workload in the real
// Perfetto UI and looks for our tracks. With GILSCOPE_SCREENSHOT=FILE.png it
// leaves the picture there: so is the one in the README made.
func TestPerfettoShowsTheGIL(t *testing.T) {
	script, err := filepath.Abs(filepath.Join("..", "testdata", "demo", "workload.py"))
	if err != nil {
		t.Fatal(err)
	}
	p := testpy.StartCommand(t, exec.Command(testpy.One(t, "3.12").Path, "-u", script))
	r := startRecord(t, "-p", fmt.Sprint(p.PID), "-d", "2s", "--detail", "full")
	r.wait(t)
	p.Kill()
	rec := open(t, r, nil)
	out := os.Getenv("GILSCOPE_SCREENSHOT")
	if out == "" {
		out = filepath.Join(t.TempDir(), "perfetto.png")
	}
	mid := (rec.from + rec.to) / 2
	seen := oracle.Screenshot(t, r.trace, out, oracle.View{
		Width: 1600, Height: 1280,
		Params:   map[string]string{"visStart": fmt.Sprint(mid - 60e6), "visEnd": fmt.Sprint(mid + 60e6)},
		Commands: []oracle.Command{oracle.Pin("^GIL"), oracle.Expand("GIL")},
	})
	if seen.Badge {
		t.Error("Perfetto shows its badge for import errors")
	}
	for _, want := range []string{"GIL holder", "GIL waiters", "GIL busy %"} {
		if !slices.Contains(seen.Tracks, want) {
			t.Errorf("no track %q among:\n%s", want, strings.Join(seen.Tracks, "\n"))
		}
	}
	if n := len(slices.DeleteFunc(slices.Clone(seen.Tracks), func(s string) bool { return !strings.HasPrefix(s, "GIL ") })); n < 8 {
		t.Errorf("only %d GIL tracks, want three of the process and one for each of five threads: %q", n, seen.Tracks)
	}
	if info, err := os.Stat(out); err != nil || info.Size() < 10_000 {
		t.Errorf("screenshot: %v, %v", info, err)
	}
}
