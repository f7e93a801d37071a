package viewer

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gilscope/analyze"
	"gilscope/internal/scaling"
)

// scaleReport is a measurement of a program that obeys a law, on eight CPUs; the
// names in it come from a hostile program.
func scaleReport(t testing.TB) *scaling.Report {
	t.Helper()
	p, err := scaling.NewPlan(scaling.Choice{
		Kinds: []scaling.Kind{scaling.Threads}, GILs: []scaling.GIL{scaling.On, scaling.Off}, Workers: []int{1, 2, 4, 8, 16}, Machine: 8, Rounds: 5, Seed: 4,
	})
	if err != nil {
		t.Fatal(err)
	}
	laws := map[scaling.GIL]scaling.Law{scaling.On: {T1: 1e9, Sigma: 1}, scaling.Off: {T1: 1.1e9, Sigma: 0.05, Kappa: 0.002}}
	r := scaling.Results{Runs: map[scaling.Step][]scaling.Run{}, Limits: map[scaling.Step][]analyze.StepLimit{}}
	for _, s := range p.Steps() {
		at := p.At(s)
		for round := range p.Rounds {
			wall := laws[at.GIL].T1 / laws[at.GIL].Speedup(math.Min(float64(at.Workers), 8)) * (1 + 0.01*float64((round+at.Workers)%3))
			others := int64(wall) / 100
			r.Runs[s] = append(r.Runs[s], scaling.Run{WallNS: int64(wall), CPUNS: int64(laws[at.GIL].T1), OthersNS: &others})
		}
		function, file, line := "work\x1b[31m<script>alert(1)</script>", "/srv/<b>.py", int32(7)
		site := &analyze.SiteRow{Function: &function, File: &file, Line: &line}
		if at.Workers > 1 {
			r.Limits[s] = []analyze.StepLimit{{Kind: analyze.LimitGIL, WaitNS: 4e8}, {Kind: analyze.LimitGIL, Site: site, WaitNS: 3e8}, {Kind: analyze.LimitBlocked, WaitNS: 1e6}}
		}
	}
	rows, err := p.Evaluate(r, 8)
	if err != nil {
		t.Fatal(err)
	}
	return &scaling.Report{
		Schema: scaling.Schema, Program: "python3\x1b[31m</svg><script>", Machine: scaling.Machine{CPUs: 8, Kernel: "6.18"},
		Python: &scaling.Python{Version: "3.14.6", FreeThreaded: true}, Rounds: 5, Seed: 4, Work: "fixed", Series: rows,
		Skipped: []analyze.Skipped{{What: "a<b", Why: "\u202e&"}},
	}
}

// TestScaleGolden: the forms of a report on scaling.
func TestScaleGolden(t *testing.T) {
	r := scaleReport(t)
	for ending, form := range map[string]func(io.Writer, *scaling.Report) error{"txt": ScaleText, "json": ScaleJSON, "html": ScaleHTML} {
		var got bytes.Buffer
		if err := form(&got, r); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", "scale."+ending)
		if *update {
			if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != string(want) {
			t.Errorf("%s differs; see the difference with: go test ./viewer -update && git diff", path)
		}
		for _, line := range strings.Split(got.String(), "\n") {
			if !clean(line) {
				t.Errorf("%s: a terminal might obey %q", path, line)
			}
		}
	}
}

// TestScaleHTML: the page is well-formed, loads and runs nothing, and has every
// measured point in its plot.
func TestScaleHTML(t *testing.T) {
	r := scaleReport(t)
	var page bytes.Buffer
	if err := ScaleHTML(&page, r); err != nil {
		t.Fatal(err)
	}
	text := page.String()
	if bad := regexp.MustCompile(`(?i)<script|<img|<link|href|src=|url\(|\bon[a-z]+=|NaN|Inf\b`).FindString(text); bad != "" {
		t.Errorf("the page contains %q", bad)
	}
	if points := strings.Count(text, "<circle"); points != 10 {
		t.Errorf("%d points, want 10", points)
	}
	from, to := strings.Index(text, "<svg"), strings.Index(text, "</svg>")
	d := xml.NewDecoder(strings.NewReader(text[from : to+len("</svg>")]))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("the plot is not well-formed: %v", err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "circle" {
			inside(t, e)
		}
	}
}

// inside: a point lies in the plot.
func inside(t *testing.T, e xml.StartElement) {
	t.Helper()
	for _, a := range e.Attr {
		var v float64
		if a.Name.Local != "cx" && a.Name.Local != "cy" {
			continue
		}
		if err := json.Unmarshal([]byte(a.Value), &v); err != nil || v < 0 || v > plotWidth-plotRight+1 {
			t.Errorf("%s=%q lies outside", a.Name.Local, a.Value)
		}
	}
}

// TestScaleWords: what is not known is said, and noise is not taken for a result.
func TestScaleWords(t *testing.T) {
	p, err := scaling.NewPlan(scaling.Choice{Kinds: []scaling.Kind{scaling.CPUs}, Machine: 2, Rounds: 3})
	if err != nil {
		t.Fatal(err)
	}
	first, second := scaling.Step{Series: 0, Point: 0}, scaling.Step{Series: 0, Point: 1}
	runs := func(walls ...int64) (out []scaling.Run) {
		for _, w := range walls {
			out = append(out, scaling.Run{WallNS: w, CPUNS: w})
		}
		return out
	}
	for _, c := range []struct {
		second []scaling.Run
		want   []string
	}{
		{runs(500e6, 510e6, 520e6), []string{"CPUs: fastest at 2, x1.9", "nothing beyond can be told", "USL: it takes 3 steps"}},
		{runs(100e6, 5e9, 900e6), []string{"too noisy to tell"}},
		{runs(2e9, 2e9, 2e9), []string{"no step is faster than one", "serial share 100.0%", "+25.0% more CPU time, +50.0% not used"}},
	} {
		rows, err := p.Evaluate(scaling.Results{Runs: map[scaling.Step][]scaling.Run{first: runs(1e9, 1e9, 1.01e9), second: c.second}}, 2)
		if err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		if err := ScaleText(&text, &scaling.Report{Rounds: 3, Work: "fixed", Series: rows}); err != nil {
			t.Fatal(err)
		}
		flat := strings.Join(strings.Fields(text.String()), " ")
		for _, want := range c.want {
			if !strings.Contains(flat, want) {
				t.Errorf("no %q in:\n%s", want, text.String())
			}
		}
	}
}

// TestWaitCause: a recording decides what kept the CPUs unused.
func TestWaitCause(t *testing.T) {
	limit := func(kind string, ns int64) analyze.StepLimit { return analyze.StepLimit{Kind: kind, WaitNS: ns} }
	others := 0.3
	for _, c := range []struct {
		limits []analyze.StepLimit
		want   string
	}{
		{nil, "the workers waited, or had no CPU (other programs used 30.0% of the time)"},
		{[]analyze.StepLimit{limit(analyze.LimitOthers, 5e9), limit(analyze.LimitGIL, 9e8), limit(analyze.LimitRunnable, 1e8)}, "threads waited for the GIL"},
		{[]analyze.StepLimit{limit(analyze.LimitRunnable, 9e8), limit(analyze.LimitGIL, 8e8)}, "threads were ready but had no CPU"},
		{[]analyze.StepLimit{limit(analyze.LimitBlocked, 9e9), limit(analyze.LimitLock, 8e8)}, "threads waited for locks"},
		{[]analyze.StepLimit{limit(analyze.LimitBlocked, 9e8), limit(analyze.LimitLock, 1e8)}, "threads were blocked otherwise (I/O, sleep)"},
		{[]analyze.StepLimit{limit(analyze.LimitOthers, 9e8), limit(analyze.LimitLock, 1e8)}, "too few threads had something to do"},
	} {
		s := scaling.StepRow{Workers: 2, Ideal: 2, WallNS: 1e9, IdleShare: 0.5, OthersShare: &others, Limits: c.limits}
		if got := waitCause(&s); !strings.HasPrefix(got, c.want) {
			t.Errorf("%+v: %q, want %q", c.limits, got, c.want)
		}
	}
}

func TestTicks(t *testing.T) {
	for _, most := range []float64{1, 1.2, 2, 3.7, 8, 17, 64, 1000, 4096} {
		got := ticks(most)
		if len(got) < 2 || len(got) > 8 || got[len(got)-1] > most {
			t.Errorf("up to %v: %v", most, got)
		}
	}
}

// TestGrownWords: CPU time of the same work that grew is called so, with its lines, and with what waits have to do with it.
func TestGrownWords(t *testing.T) {
	function, file, line := "read", "/srv/app.py", int32(7)
	lines := []analyze.LineTime{{Site: &analyze.SiteRow{Function: &function, File: &file, Line: &line}, NS: 9e8}, {NS: 1e7}}
	more, none := int64(9e8), int64(1e7)
	for want, s := range map[string]scaling.StepRow{
		"": {CPUNS: 1e9, CPUGrowthNS: &none},
		"at 2: on-CPU time that does not scale: 900 ms, by which the same work took longer on CPUs than with one worker; --record tells at which lines, and whether waits explain it.": {
			Workers: 2, CPUNS: 2e9, CPUGrowthNS: &more},
		"at 2: on-CPU time that does not scale: 900 ms, by which the same work took longer on CPUs than with one worker. Waiting does not explain it (0 ns for locks and the GIL): the workers share " +
			"reference counts, cache lines or memory, or spin. It grew, by CPU samples of the recorded runs, by 98.9% at read (srv/app.py:7).": {
			Workers: 2, CPUNS: 2e9, CPUGrowthNS: &more, CPUGrowth: lines, Limits: []analyze.StepLimit{{Kind: analyze.LimitOthers, WaitNS: 1e9}}},
		"at 2: on-CPU time that does not scale: 900 ms, by which the same work took longer on CPUs than with one worker. They waited 800 ms for locks and the GIL, too, and handing these over costs CPU time; " +
			"the rest is reference counts, cache lines or memory that they share.": {
			Workers: 2, CPUNS: 2e9, CPUGrowthNS: &more, Limits: []analyze.StepLimit{{Kind: analyze.LimitLock, WaitNS: 8e8}}},
	} {
		if got := grownWords(&s); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}
