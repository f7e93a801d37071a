package viewer

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/pprof/profile"

	"gilscope/analyze"
	"gilscope/internal/trace"
)

// parse reads a text trace of a test.
func parse(t testing.TB, text string) *trace.Trace {
	t.Helper()
	tr, err := trace.ParseText(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// forks is a server with n forked children, of which every tenth waits, each a
// millisecond longer than the one before; all have a GIL that was seen.
func forks(n int) string {
	var b strings.Builder
	b.WriteString("process pid=1000 ppid=1 name=server\nnote 1 recording pid=0 detail=waits\nnote 1 target pid=1000 python=\"3.12.1\" gil_enabled=1\n")
	for i := range n {
		pid, at := 1001+i, 1000+i
		fmt.Fprintf(&b, "process pid=%d ppid=1000 name=server\nnote %d started pid=%d parent=1000 method=fork\n", pid, at, pid)
		fmt.Fprintf(&b, "%d gil.holder pid=%d tid=%d\n", at, pid, pid)
		if i%10 == 0 {
			fmt.Fprintf(&b, "%d gil.wait.begin pid=%d tid=%d\n%d gil.wait.end pid=%d tid=%d outcome=taken\n", at, pid, 5000+i, at+1e6*(1+i/10), pid, 5000+i)
		}
	}
	b.WriteString("note 900000000 end pid=0\n")
	return b.String()
}

// TestManyProcesses: what 500 children did stays readable.
func TestManyProcesses(t *testing.T) {
	r := analyze.Analyze(parse(t, forks(500)))
	for _, c := range []struct {
		write func(io.Writer, *analyze.Report, int) error
		lines int
		want  []string
	}{
		{Text, 90, []string{"Threads of 50 of 501 processes waited", "of process 1491 (server)", "  and 495 more processes, which waited 1.03 s\n", " 1000 server\n", "   1491 server\n",
			"45 more GILs with waits: 1.03 s, 450 more GILs without waits.\n", "GIL of process 1491 (server)\n", "fork "}},
		{Markdown, 80, []string{"Threads of 50 of 501 processes waited", "and 495 more processes, which waited 1", "450 more GILs without waits"}},
	} {
		var out bytes.Buffer
		if err := c.write(&out, r, 5); err != nil {
			t.Fatal(err)
		}
		for _, want := range c.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("no %q in:\n%s", want, out.String())
			}
		}
		if n := strings.Count(out.String(), "\n"); n > c.lines {
			t.Errorf("%d lines", n)
		}
	}
}

// TestProcessLevels: children stand further in than their ancestors, as far as those are shown.
func TestProcessLevels(t *testing.T) {
	p := func(v int32) *int32 { return &v }
	r := &analyze.Report{
		Processes: []analyze.Process{{PID: 1}, {PID: 2, ParentPID: p(1)}, {PID: 3, ParentPID: p(2)}, {PID: 4, ParentPID: p(3)}, {PID: 9, ParentPID: p(77)}},
		GIL:       []analyze.GILRow{{PID: 4, WaitNS: 50}, {PID: 1, WaitNS: 40}, {PID: 3, WaitNS: 30}, {PID: 2, WaitNS: 20}, {PID: 9, WaitNS: 10}},
	}
	for top, want := range map[int]string{10: "1:0 2:1 3:2 4:3 9:0 +0", 3: "1:0 2:1 3:2 4:3 +1", 2: "1:0 2:1 3:2 4:3 +1", 1: "3:0 4:1 +3"} {
		rows, more, moreNS := processRows(r, top)
		var got string
		ns := moreNS
		for _, row := range rows {
			got += fmt.Sprintf("%d:%d ", row.PID, row.level)
			ns += row.waitNS
		}
		if got += fmt.Sprintf("+%d", more); got != want || ns != 150 {
			t.Errorf("top %d: %s with %d ns, want %s with 150", top, got, ns, want)
		}
	}
	deep := &analyze.Report{}
	for i := range int32(100) {
		deep.Processes = append(deep.Processes, analyze.Process{PID: i + 1, ParentPID: p(i)})
	}
	if rows, _, _ := processRows(deep, 100); rows[99].level != maxLevel {
		t.Errorf("indented %d times", rows[99].level)
	}
}

func TestFirstSentence(t *testing.T) {
	const start = "note 1 recording pid=0 detail=waits\nnote 1000000001 end pid=0\n"
	one := start + "process pid=1 ppid=0 name=py\nnote 1 target pid=1 python=\"3.13.0\" free_threaded=1 gil_enabled="
	two := "process pid=2 ppid=1 name=py\nnote 1 target pid=2 python=\"3.13.0\" free_threaded=1 gil_enabled="
	const seen = "5 gil.holder pid=1 tid=1\n"
	const waited = "5 gil.wait.begin pid=1 tid=1\n1000005 gil.wait.end pid=1 tid=1 outcome=taken\n"
	for _, c := range []struct{ name, text, want string }{
		{"nothing", start, "No GIL activity was seen in 1.00 s."},
		{"no GIL", one + "0\n", "The process has no GIL (free-threaded build, GIL disabled); 1.00 s were recorded."},
		{"no GIL, though its struct was looked at", one + "0\n" + seen, "The process has no GIL (free-threaded build, GIL disabled); 1.00 s were recorded."},
		{"a GIL that was off at first", one + "0\n" + waited, "Threads waited 1.00 ms for the GIL in 1.00 s; who held it is not known."},
		{"free-threaded with a GIL", one + "1\n" + seen, "No thread waited for the GIL in 1.00 s."},
		{"two without", one + "0\n" + two + "0\n", "The processes have no GIL (free-threaded build, GIL disabled); 1.00 s were recorded."},
		{"one of two without", one + "1\n" + two + "0\n" + seen, "No thread of 2 processes waited for the GIL in 1.00 s."},
		{"one of two waited", one + "1\n" + two + "1\n" + waited, "Threads of 1 of 2 processes waited 1.00 ms for the GIL in 1.00 s; who held it is not known."},
	} {
		if got := verdict(analyze.Analyze(parse(t, c.text))); got != c.want {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}

// TestInterpreters: sections name the interpreter where that is not plain.
func TestInterpreters(t *testing.T) {
	text := "process pid=1 ppid=0 name=py\nnote 1 recording pid=0 detail=waits\nnote 900 end pid=0\n"
	for i := range 2 {
		text += fmt.Sprintf("5 gil.wait.begin pid=1 tid=%d gil=%d\n9 gil.wait.end pid=1 tid=%d gil=%d outcome=taken\n", 10+i, i, 10+i, i)
	}
	for _, c := range []struct{ more, want string }{
		{"", "\nGIL of the main interpreter\n"}, {"", "\nGIL of interpreter 1\n"},
		{"process pid=2 ppid=1 name=py\n", "\nGIL of process 1 (py), interpreter 1\n"},
	} {
		var out bytes.Buffer
		if err := Text(&out, analyze.Analyze(parse(t, text+c.more)), 10); err != nil || !strings.Contains(out.String(), c.want) {
			t.Errorf("%v, no %q in:\n%s", err, c.want, out.String())
		}
	}
}

// TestHostileFamily: what a file says of processes is harmless in every form.
func TestHostileFamily(t *testing.T) {
	const evil = `"\x1b[31m\n| x |<b>@you\u202e"`
	text := "note 1 recording pid=0 detail=waits\nnote 900 end pid=0\n"
	for pid := 1; pid < 4; pid++ {
		text += fmt.Sprintf("process pid=%d ppid=%d name=%s\nnote 2 started pid=%d parent=%d method=%s role=%s\n", pid, 1+pid%3, evil, pid, 1+pid%3, evil, evil)
		text += fmt.Sprintf("note 3 target pid=%d python=%s libc=%s linkage=%s ns_pid=-5\n", pid, evil, evil, evil)
		text += fmt.Sprintf("5 gil.holder pid=%d tid=70\n6 gil.wait.begin pid=%d tid=80\n", pid, pid)
	}
	tl := analyze.Build(parse(t, text))
	for name, form := range forms {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := form(&out, tl); err != nil {
				t.Fatal(err)
			}
			harmless(t, out.Bytes())
			if name == "md" && strings.Contains(out.String(), "<b>") {
				t.Errorf("a tag in Markdown:\n%s", out.String())
			}
		})
	}
}

// TestProfilesNameProcesses: where there are several, samples tell them apart.
func TestProfilesNameProcesses(t *testing.T) {
	for trace, want := range map[string]string{"family": "gunicorn (101)", "hog": ""} {
		var out bytes.Buffer
		if err := ProfileTypes[1].Pprof(&out, analyze.Build(load(t, trace))); err != nil {
			t.Fatal(err)
		}
		p, err := profile.Parse(&out)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(p.Sample[0].Label["process"], ""); got != want {
			t.Errorf("%s: process %q, want %q", trace, got, want)
		}
	}
}

func TestPins(t *testing.T) {
	for _, c := range []struct {
		name  string
		trace *trace.Trace
		want  string
	}{
		{"one process", load(t, "hog"), "[{^GIL false}]"},
		{"a loop", load(t, "loops"), "[{^loop [0-9] false} {^loop busy % false} {^GIL false}]"},
		{"a few", load(t, "family"), "[{^GIL (holder|waiters|busy) false}]"},
	} {
		if got := fmt.Sprint(Pins(analyze.Build(c.trace))); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	pins := Pins(analyze.Build(parse(t, forks(500))))
	if len(pins) != maxPinned || pins[0] != (Pin{"^[^>]* 1491 > GIL[^>]* > GIL", true}) || !strings.Contains(pins[7].Regex, " 1421 ") {
		t.Errorf("%+v", pins)
	}
	link, err := handover(t).Link(pins...)
	if err != nil || strings.Count(link, "PinTracksByRegex") != maxPinned || strings.Count(link, "%22path%22") != maxPinned {
		t.Errorf("%v, %s", err, link)
	}
}
