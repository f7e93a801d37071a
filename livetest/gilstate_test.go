package livetest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gilscope/internal/testpy"
	"gilscope/internal/trace"
)

// needsGIL compiles an extension module that does not say that it can do without a GIL.
func needsGIL(t testing.TB, in testpy.Interpreter) (dir string) {
	t.Helper()
	dir = t.TempDir()
	include, err := in.Command("-c", "import sysconfig; print(sysconfig.get_path('include'))").Output()
	if err != nil {
		t.Fatalf("ask %s for its headers: %v", in.Path, err)
	}
	source := filepath.Join("..", "testdata", "locks", "needsgil.c")
	if out, err := exec.Command("gcc", "-shared", "-fPIC", "-I"+strings.TrimSpace(string(include)), "-o", filepath.Join(dir, "needsgil.so"), source).CombinedOutput(); err != nil {
		t.Fatalf("compile %s: %v\n%s; install gcc", source, err, out)
	}
	return dir
}

// importTruth is what testdata/locks/reenable.py did.
type importTruth struct {
	Before, After int64
	TID           int32
	Line          int32
	GIL           bool
}

// TestGILTurnedOn: a module that needs the GIL is imported while a free-threaded program runs. When
// that was, by which thread and line, and of which module, is told.
func TestGILTurnedOn(t *testing.T) {
	for _, in := range testpy.FreeThreaded(t) {
		t.Run(in.Name, func(t *testing.T) {
			script, _ := lockScript(t, "reenable")
			p := testpy.StartScript(t, in, script, needsGIL(t, in))
			r := startRecord(t, "-p", fmt.Sprint(p.PID))
			if err := syscall.Kill(p.PID, syscall.SIGUSR1); err != nil {
				t.Fatal(err)
			}
			if line := <-p.Lines; line != "imported" {
				t.Fatalf("the program says %q", line)
			}
			r.cmd.Process.Signal(os.Interrupt)
			r.wait(t)
			if err := p.Stop(); err != nil {
				t.Fatal(err)
			}
			var truth importTruth
			if err := json.Unmarshal([]byte(p.Last), &truth); err != nil || !truth.GIL {
				t.Fatalf("the program says %q, error %v", p.Last, err)
			}
			checkTurnedOn(t, open(t, r, nil), truth)
		})
	}
}

func checkTurnedOn(t *testing.T, r recording, truth importTruth) {
	t.Helper()
	if n := note(t, r.trace, trace.NoteGILState); n["enabled"] != 1 {
		t.Errorf("the note says %v", n)
	}
	changes := r.report.Processes[0].Python.GILChanges
	if len(changes) != 1 {
		t.Fatalf("changes of the GIL: %+v", changes)
	}
	c := changes[0]
	if !c.Enabled || c.Module == nil || *c.Module != "needsgil" || c.TID == nil || *c.TID != truth.TID || c.Name == nil || *c.Name != "importer" {
		t.Errorf("the GIL was turned on: %+v", c)
	}
	if c.AtNS < truth.Before || c.AtNS > truth.After {
		t.Errorf("the GIL was turned on at %d, the import was from %d to %d", c.AtNS, truth.Before, truth.After)
	}
	if c.Site == nil || c.Site.Line == nil || *c.Site.Line != truth.Line || filepath.Base(*c.Site.File) != "reenable.py" {
		t.Errorf("the import is on line %d, the report says %s", truth.Line, siteOf(c.Site))
	}
	t.Logf("told %v after the import began, which took %v", time.Duration(c.AtNS-truth.Before), time.Duration(truth.After-truth.Before))
	run(t, []string{"report", r.path}).wants(t, 0, "the GIL was turned on by importing needsgil")
}
