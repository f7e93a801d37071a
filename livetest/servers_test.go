package livetest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"gilscope/analyze"
	"gilscope/internal/testpy"
	"gilscope/oracle"
)

// TestAsyncServers: with one slow endpoint among ten, the report of a real server
// names its line first, on asyncio and on uvloop.
func TestAsyncServers(t *testing.T) {
	in := testpy.Need(t, "pyenv-3.12")
	in.Env = append(slices.Clone(in.Env), "PYTHONPATH="+testpy.AsyncServers(t))
	script, err := filepath.Abs(filepath.Join("..", "testdata", "loops", "server.py"))
	if err != nil {
		t.Fatal(err)
	}
	for server, kinds := range map[string][]string{
		"fastapi uvicorn": {"asyncio", "uvloop"}, "aiohttp aiohttp": {"asyncio", "uvloop"}, "django uvicorn": {"asyncio", "uvloop"}, "django hypercorn": {"asyncio"},
	} {
		for _, kind := range kinds {
			t.Run(strings.ReplaceAll(server, " ", "-")+"/"+kind, steady(func(t testing.TB) {
				p := testpy.StartScript(t, in, script, append([]string{kind}, strings.Fields(server)...)...)
				url := "http://127.0.0.1:" + p.Line(t)
				ask(t, url, 1, 20)
				r := startRecord(t, "-p", fmt.Sprint(p.PID))
				ask(t, url, 3, 60)
				if err := r.cmd.Process.Signal(os.Interrupt); err != nil {
					t.Fatal(err)
				}
				r.wait(t)
				http.DefaultClient.CloseIdleConnections() // some servers wait for their clients
				if err := p.Stop(); err != nil {
					t.Fatal(err)
				}
				l := loopRecording{in: in}
				if err := json.Unmarshal([]byte(p.Last), &l.truth); err != nil {
					t.Fatalf("%v: %q", err, p.Last)
				}
				l.open(t, r)
				checkServer(t, &l, kind, strings.HasPrefix(server, "django"))
			}))
		}
	}
}

// ask sends requests to all endpoints from some clients at once, each so many.
func ask(t testing.TB, url string, clients, each int) {
	t.Helper()
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			for i := range each {
				path := fmt.Sprintf("/item%d", (c+i)%9)
				if c == 0 && i%5 == 2 { // one at a time
					path = "/report"
				}
				answer, err := http.Get(url + path)
				if err != nil {
					t.Error(err)
					return
				}
				io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
			}
		})
	}
	all.Wait()
}

// checkServer holds the report to the calls of the slow endpoint. An iteration also
// serves what else there was to do, so a block may be longer than the call.
//
// Django runs loops in other threads now and then; while two run tasks, it is not
// known which is whose.
func checkServer(t testing.TB, l *loopRecording, kind string, others bool) {
	t.Helper()
	if l.loop.Kind != kind {
		t.Errorf("the loop is %s", l.loop.Kind)
	}
	seen, unknown := 0, 0
	for _, c := range l.truth.Calls {
		if c.Begin < l.from || c.End > l.to {
			continue
		}
		seen++
		i := slices.IndexFunc(l.loop.Blocks, func(b analyze.BlockRow) bool { return b.StartNS <= c.Begin && b.StartNS+b.DurationNS >= c.End })
		if i < 0 {
			t.Errorf("the call at %d, %.3f ms, is in no block", c.Begin, ms(c.End-c.Begin))
			continue
		}
		b := &l.loop.Blocks[i]
		if more := l.awake(b.StartNS, c.Begin) + l.awake(c.End, b.StartNS+b.DurationNS); more > 10_000_000 {
			t.Errorf("the call at %d, %.3f ms, is in a block of %.3f ms", c.Begin, ms(c.End-c.Begin), ms(b.DurationNS))
		}
		if others && b.Task == nil {
			unknown++
			c.Task = nil
		}
		l.checkWhose(t, b, &c, fmt.Sprintf("%.3f ms, %s %s", ms(b.DurationNS), b.Cause, siteOf(b.Site)))
	}
	if unknown > seen/3 {
		t.Errorf("the task of %d of %d calls is not known", unknown, seen)
	}
	if seen < 10 {
		t.Errorf("only %d calls were recorded", seen)
	}
	for _, b := range l.loop.Blocks {
		if (b.Cause == "lock" || b.Cause == "gil") && b.Site != nil && strings.Contains(value(b.Site.File), testpy.PackageFolder) {
			continue // Django starts and ends a thread for each request, which takes long on a busy machine
		}
		if b.Cause != "runqueue" && l.callIn(oracle.Interval{b.StartNS, b.StartNS + b.DurationNS}) == nil && b.StartNS > l.from && b.StartNS+b.DurationNS < l.to {
			t.Errorf("a false block: %.3f ms, %s %s", ms(b.DurationNS), b.Cause, siteOf(b.Site))
		}
	}
	checkFirst(t, l)
}

// checkFirst holds the first finding to the line of the slow endpoint.
func checkFirst(t testing.TB, l *loopRecording) {
	t.Helper()
	if len(l.report.Findings) == 0 {
		t.Fatal("the report finds nothing")
	}
	f, c := l.report.Findings[0], l.truth.Calls[0]
	if f.Rule != "loop."+c.Cause || f.Site == nil || value(f.Site.Function) != c.Function || value(f.Site.File) != c.File ||
		f.Site.Line == nil || !slices.Contains(c.Lines, int(*f.Site.Line)) {
		t.Errorf("the first finding is %s at %s, not the slow endpoint's %s in lines %v", f.Rule, siteOf(f.Site), c.label(), c.Lines)
	}
}
