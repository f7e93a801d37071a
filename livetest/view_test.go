package livetest

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// recordNativeHold records a thread that keeps the GIL in usleep, at detail full.
func recordNativeHold(t testing.TB) string {
	t.Helper()
	p := startTruth(t, "native_hold")
	r := startRecord(t, "-p", fmt.Sprint(p.PID), "-d", "800ms", "--detail", "full")
	r.wait(t)
	if err := p.Stop(); err != nil {
		t.Errorf("the target was harmed: %v", err)
	}
	return r.trace
}

// TestExport: Go's own pprof reads the profiles of a real recording.
func TestExport(t *testing.T) {
	path := recordNativeHold(t)
	busy := startRecord(t, "-p", fmt.Sprint(startBusy(t).PID), "-d", "400ms")
	busy.wait(t)
	for _, c := range []struct{ kind, trace, want string }{
		{"gil_wait", path, "poll_queue"}, {"gil_blame", path, "usleep"}, {"gil_hold", path, "usleep"}, {"cpu", busy.trace, "work"},
	} {
		t.Run(c.kind, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "p.pb.gz")
			run(t, []string{"export", c.trace, "--to", "pprof", "--type", c.kind, "-o", file}).wants(t, 0)
			top, err := exec.Command("go", "tool", "pprof", "-top", "-cum", file).CombinedOutput()
			if err != nil || !strings.Contains(string(top), c.want) || !strings.Contains(string(top), "Type: "+c.kind) {
				t.Errorf("go tool pprof: %v; it does not name %s:\n%s", err, c.want, top)
			}
			run(t, []string{"export", c.trace, "--to", "collapsed", "--type", c.kind}).wants(t, 0, c.want)
		})
	}
	o := run(t, []string{"export", path, "--to", "text"})
	o.wants(t, 0)
	if n := strings.Count(o.stdout, "\n"); n < 1000 {
		t.Errorf("the text has %d lines", n)
	}
}

// TestCheck: budgets on a real recording, with a JUnit file.
func TestCheck(t *testing.T) {
	path := recordNativeHold(t)
	waits := startRecord(t, "-p", fmt.Sprint(startBusy(t).PID), "-d", "100ms")
	waits.wait(t)
	for _, c := range []struct {
		name, trace, budget string
		code                int
		failures, errors    int
	}{
		{"pass", path, "gil.wait.max<10s", 0, 0, 0},
		{"breach", path, "gil.wait.p99<1ms", 1, 1, 0},
		{"inconclusive", waits.trace, "gil.hold.max<1ms", 3, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "j.xml")
			run(t, []string{"check", c.trace, "--assert", c.budget, "--out", "junit=" + file}).wants(t, c.code, c.name, c.budget[:8])
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var suite struct {
				Tests    int `xml:"tests,attr"`
				Failures int `xml:"failures,attr"`
				Errors   int `xml:"errors,attr"`
			}
			if err := xml.Unmarshal(b, &suite); err != nil || suite.Tests != 1 || suite.Failures != c.failures || suite.Errors != c.errors {
				t.Errorf("JUnit: %v, %+v\n%s", err, suite, b)
			}
		})
	}
}

// TestView: the trace goes to Perfetto's UI, once, and to nobody else.
func TestView(t *testing.T) {
	r := startRecord(t, "-p", fmt.Sprint(startBusy(t).PID), "-d", "100ms")
	r.wait(t)
	want, err := os.ReadFile(r.trace)
	if err != nil {
		t.Fatal(err)
	}
	cmd := command([]string{"view", r.trace, "--no-open", "--port", "0"}, underSudo)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	link := newLines(stdout).await(t, "https://ui.perfetto.dev/#!/?url=")
	if s := stateOf(cmd.Process.Pid); !strings.Contains(s, fmt.Sprintf("Uid:\t%d\t%d\t%d", nobody, nobody, nobody)) {
		t.Errorf("the server still has root's rights:\n%s", s)
	}
	_, query, _ := strings.Cut(link, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	from := values.Get("url")
	for _, c := range []struct {
		method, host, origin, path string
		status                     int
	}{
		{"GET", "evil.example:9001", "https://ui.perfetto.dev", "", 403},
		{"GET", "", "https://evil.example", "", 403},
		{"POST", "", "https://ui.perfetto.dev", "", 405},
		{"GET", "", "https://ui.perfetto.dev", "x", 404},
		{"GET", "", "https://ui.perfetto.dev", "", 200},
	} {
		status, origin, body := fetch(t, c.method, from+c.path, c.host, c.origin)
		if status != c.status || (status == 200) != (body == string(want)) {
			t.Errorf("%+v: status %d, %d bytes", c, status, len(body))
		}
		if status == 200 && origin != "https://ui.perfetto.dev" {
			t.Errorf("the UI may not read the answer: allowed origin %q", origin)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after the trace was fetched: %v", err)
	}
}

func fetch(t testing.TB, method, from, host, origin string) (status int, allowed, body string) {
	t.Helper()
	req, err := http.NewRequest(method, from, nil)
	if err != nil {
		t.Fatal(err)
	}
	if host != "" {
		req.Host = host
	}
	req.Header.Set("Origin", origin)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("Access-Control-Allow-Origin"), string(b)
}
