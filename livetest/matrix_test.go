package livetest

import (
	"flag"
	"fmt"
	"strings"
	"testing"

	"gilscope/internal/testpy"
	"gilscope/internal/trace"
)

// readme is the file whose table of interpreters `make matrix` writes anew.
var readme = flag.String("readme", "", "write what TestMatrix found into the table of this file")

// TestMatrix records two programs on every interpreter there is, by several ways
// at once: who waited, how long, because of which line and which C function,
// held against what the programs measured and what the interpreter counts.
func TestMatrix(t *testing.T) {
	var table table
	for _, in := range testpy.All(t) {
		t.Run(in.Name, steady(func(t testing.TB) {
			f := newFindings(t, in)
			f.holdInC(t)
			f.mixed(t)
			table.add(t, in, f.cells()...)
		}))
	}
	for _, in := range testpy.FreeThreaded(t) {
		t.Run(in.Name, steady(func(t testing.TB) {
			for _, detail := range []string{"waits", "full"} {
				checkWithoutGIL(t, in, detail)
			}
			table.add(t, in, buildOf(t, in), "no GIL: CPU, scheduling and stacks", "", "", "")
		}))
	}
	for _, in := range testpy.Unsupported(t) {
		t.Run(in.Name, func(t *testing.T) {
			p := testpy.StartCommand(t, in.Command("-u", "-c", readyScript))
			run(t, []string{"record", "-d", "100ms", "-o", t.TempDir() + "/t.pftrace", "-p", fmt.Sprint(p.PID)}).wants(t, 4, "Python", "3.8")
			table.add(t, in, "", "refused", "", "", "")
		})
	}
	if *readme != "" && !t.Failed() {
		table.write(t, *readme)
	}
}

// findings is what the recordings of one interpreter showed.
type findings struct {
	in                  testpy.Interpreter
	build               string
	waits, full, forced map[string]string  // the notes "target" of recordings by auto, and by take_gil
	waitError           map[string]float64 // by detail, %: the plain difference to what the waiters timed, where it is most
	blame               float64            // right for so much, %, where it is least
}

func newFindings(t testing.TB, in testpy.Interpreter) *findings {
	return &findings{in: in, build: buildOf(t, in), waitError: map[string]float64{}, blame: 100}
}

// buildOf says what the note "target" cannot: how the compiler was used.
func buildOf(t testing.TB, in testpy.Interpreter) string {
	t.Helper()
	out, err := in.Command("-c", "import sysconfig; print(sysconfig.get_config_var('CONFIG_ARGS'))").Output()
	if err != nil {
		t.Fatalf("how %s was built: %v", in.Name, err)
	}
	said := []string{pick(in.Shared, "shared", "static"), pick(in.Stripped, "stripped", "symbols")}
	// Debian's is made by rules of its own and tells the configuration of its libpython.
	if in.Kind == testpy.Debian || strings.Contains(string(out), "--with-lto") {
		said = append(said, "LTO")
	}
	if strings.Contains(string(out), "--enable-bolt") {
		said = append(said, "BOLT")
	}
	return strings.Join(said, ", ")
}

func pick(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}

// holdInC records a thread that keeps the GIL in a C function, as gilscope
// chooses to at both details.
func (f *findings) holdInC(t testing.TB) {
	for w, r := range together(t, f.in, "native_hold", "1200ms", []way{{"waits", "auto"}, {"full", "auto"}}) {
		f.check(t, w, r)
		checkNative(t, r, "usleep")
		target := texts(t, r.trace, trace.NoteTarget)
		t.Logf("%v: backend %s, cost %s, sites %s", w, target["backend"], target["cost"], target["sites"])
		if w.detail == "waits" {
			f.waits = target
			continue
		}
		f.full = target
		checkCounts(t, r)
	}
}

// mixed records threads of all kinds by every way of seeing takes and drops,
// beside the one that needs no probe.
func (f *findings) mixed(t testing.TB) {
	takeGIL := way{"full", "take_gil"}
	for w, r := range agreeing(t, f.in, "mix", "1500ms", []way{{"waits", "futex"}, base, takeGIL}) {
		if w == takeGIL {
			f.forced = texts(t, r.trace, trace.NoteTarget)
			t.Logf("%v: cost %s, sites %s", w, f.forced["cost"], f.forced["sites"])
		}
		if w.detail == "full" {
			checkCounts(t, r)
			checkReasons(t, r)
		}
	}
}

// check holds one recording to the truth, and remembers by how much it is off.
func (f *findings) check(t testing.TB, w way, r recording) {
	t.Helper()
	checkWaits(t, r, 0.02)
	f.blame = min(f.blame, checkBlame(t, r))
	compared := 0
	for _, c := range compareWaits(r) {
		if exact[c.role] && c.long() {
			compared++
			off := share(c.ours-c.truth, c.truth)
			f.waitError[w.detail] = max(f.waitError[w.detail], off, -off)
		}
	}
	if compared == 0 {
		t.Errorf("%v: no thread timed long waits of its own", w)
	}
	t.Logf("%v: waits of %d threads off by %.2f %% at most", w, compared, f.waitError[w.detail])
}

// checkReasons: threads that only compute drop because they are asked, threads
// that sleep drop by themselves.
func checkReasons(t testing.TB, r recording) {
	t.Helper()
	for _, row := range r.report.Threads {
		th := r.truth.Threads[row.TID]
		if th == nil {
			continue
		}
		forced, voluntary := *row.ForcedDrops, *row.VoluntaryDrops
		t.Logf("%s: %d forced drops, %d voluntary", th.Role, forced, voluntary)
		if computing[th.Role] && (forced < 20 || voluntary > forced/10) || th.Role == "io" && (voluntary < 20 || forced > voluntary/10) {
			t.Errorf("%s: %d forced and %d voluntary drops", th.Role, forced, voluntary)
		}
	}
}

// texts returns the words of the last note of that name.
func texts(t testing.TB, tr *trace.Trace, name string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, n := range tr.Notes {
		if n.Name != name {
			continue
		}
		for _, a := range n.Args {
			out[a.Key] = a.Text
		}
	}
	if len(out) == 0 {
		t.Fatalf("the trace has no note %q", name)
	}
	return out
}

// cells are the findings as a row of the table.
func (f *findings) cells() []string {
	sites := "calls"
	if strings.HasPrefix(f.forced["sites"], "take_gil") {
		sites = "functions"
	}
	return []string{
		f.build, f.waits["backend"] + ", " + f.full["backend"],
		fmt.Sprintf("%.2f %%, %.2f %%", f.waitError["waits"], f.waitError["full"]),
		fmt.Sprintf("%.1f %%", f.blame), sites,
	}
}
