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

// TestPerfettoShowsLoops looks for the tracks of an event loop in the real Perfetto
// UI, and for what a block's slice is called. GILSCOPE_SCREENSHOT as above.
func TestPerfettoShowsLoops(t *testing.T) {
	l := recordLoop(t, testpy.One(t, "3.12"), "blocks", "4s")
	out := os.Getenv("GILSCOPE_SCREENSHOT")
	if out == "" {
		out = filepath.Join(t.TempDir(), "perfetto.png")
	}
	if len(l.loop.Blocks) == 0 {
		t.Fatal("there is no block")
	}
	seen := oracle.Screenshot(t, l.path, out, oracle.View{
		Width: 1600, Height: 900,
		Params:   map[string]string{"visStart": fmt.Sprint(l.from), "visEnd": fmt.Sprint(l.from + 1_700_000_000)},
		Commands: []oracle.Command{oracle.Pin("^loop ([0-9]|busy %)"), oracle.Expand("^python")},
	})
	if seen.Badge {
		t.Error("Perfetto shows its badge for import errors")
	}
	for _, want := range []string{"loop %d", "loop busy %% %d"} {
		if want = fmt.Sprintf(want, l.loop.TID); !slices.Contains(seen.Tracks, want) {
			t.Errorf("no track %q among:\n%s", want, strings.Join(seen.Tracks, "\n"))
		}
	}
	a := oracle.Ask(t, l.path, oracle.Request{SQL: []string{"select s.name, s.dur from slice s join track t on s.track_id = t.id where s.category = 'loop.block' order by s.ts"}})
	if len(a.Tables[0]) != len(l.loop.Blocks) {
		t.Fatalf("Perfetto has %d blocks, the report %d", len(a.Tables[0]), len(l.loop.Blocks))
	}
	for i, row := range a.Tables[0] {
		b := &l.loop.Blocks[i]
		if row["dur"] != b.DurationNS || !strings.HasPrefix(row["name"].(string), b.Cause+" ") || !strings.HasSuffix(row["name"].(string), ")") {
			t.Errorf("Perfetto calls a block %q of %v ns, the report %s of %d", row["name"], row["dur"], b.Cause, b.DurationNS)
		}
	}
}
