package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// What a server may answer.
func TestReadAnswer(t *testing.T) {
	const big = "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n"
	for _, c := range []struct{ name, answer, wrong string }{
		{"uvicorn", "HTTP/1.1 200 OK\r\ndate: x\r\ncontent-length: 3\r\n\r\nabc", ""},
		{"gunicorn", "HTTP/1.1 200 OK\r\nServer: g\r\nContent-Length: 3\r\n\r\nabc", ""},
		{"empty", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ""},
		{"failure", "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", "500"},
		{"no length", "HTTP/1.1 200 OK\r\n\r\n", "Content-Length"},
		{"huge", big, "Content-Length"},
		{"cut", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", "EOF"},
		{"closed", "", "EOF"},
	} {
		err := readAnswer(bufio.NewReader(strings.NewReader(c.answer)))
		if c.wrong == "" && err != nil || c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.wrong)
		}
	}
}

// TestLoad: exactly so many requests, at most one under way on each connection.
func TestLoad(t *testing.T) {
	var served, under, most atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if n := under.Add(1); n > most.Load() {
			most.Store(n)
		}
		served.Add(1)
		under.Add(-1)
		io.WriteString(w, "basket")
	}))
	defer s.Close()
	const n = 5 * connections
	l, err := load(strings.TrimPrefix(s.URL, "http://"), n)
	if err != nil || served.Load() != n || most.Load() > connections {
		t.Fatalf("%d served, %d at once: %v", served.Load(), most.Load(), err)
	}
	if l.P99NS <= 0 || l.P99NS > l.WallNS {
		t.Errorf("%+v", l)
	}
	s.Close()
	if _, err := load(strings.TrimPrefix(s.URL, "http://"), n); err == nil {
		t.Error("no error though nobody listens")
	}
}

// TestAlternate: each tool once, against the mean of the turns beside it.
func TestAlternate(t *testing.T) {
	p := &peers{only: "py-spy,none"}
	c := column{Unit: "requests/s", Pairs: map[string][]pair{}}
	rates := []float64{90, 110, 130, 110} // of the bare turns
	next := 0
	bare := func() (turn, error) {
		next++
		return turn{rate: rates[next-1], p99: 10, cpu: 100}, nil
	}
	var with []turn
	err := p.alternate(&c, bare, func(*tool) (turn, error) {
		on := turn{rate: (rates[next-1] + rates[next]) / 4, p99: 20, cpu: 110}
		with = append(with, on)
		return on, nil
	})
	if err != nil || len(with) != 3 || next != 4 {
		t.Fatalf("%d tools, %d bare turns: %v", len(with), next, err)
	}
	for name, pairs := range c.Pairs {
		if want := (pair{RatePPM: 500_000, P99PPM: 2_000_000, CPUPPM: 1_100_000}); len(pairs) != 1 || pairs[0] != want {
			t.Errorf("%s: %+v, want %+v", name, pairs, want)
		}
	}
	if c.Base.Median != 110 || c.Base.Min != 90 || c.Base.Max != 130 {
		t.Errorf("bare: %+v", c.Base)
	}
	wrong := errors.New("wrong")
	if err := p.alternate(&c, func() (turn, error) { return turn{}, wrong }, nil); !errors.Is(err, wrong) {
		t.Errorf("error %v", err)
	}
}

// How a tool gets inside a program.
func TestToolCommand(t *testing.T) {
	p := &peers{rig: &rig{trace: "/t"}}
	inside := tool{runner: []string{"-m", "around", "-q"}}
	for _, c := range []struct {
		t             tool
		program, want string
	}{
		{tool{}, "-m srv --port 0", "-m srv --port 0"},
		{tool{}, "s.py 1", "s.py 1"},
		{inside, "-m srv --port 0", "-m around -q -o /t.json -m srv -- --port 0"},
		{inside, "s.py 1", "-m around -q -o /t.json -- s.py 1"},
	} {
		if got := strings.Join(c.t.command(p, strings.Fields(c.program)...), " "); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestPeerTable(t *testing.T) {
	c := column{Name: "srv", Unit: "requests/s", Pairs: map[string][]pair{
		tools[1].Name: {{990_000, 1_100_000, 1_000_000, 0}, {1_000_000, 1_000_000, 1_010_000, 0}, {980_000, 1_200_000, 1_020_000, 0}},
	}}
	c.base(turn{rate: 3000, p99: 5e6})
	r := peerReport{report: report{Python: python{"/p", "3.13.0"}, Kernel: "6.18", CPUs: 2, Rounds: 3}, When: "2026-01-02", CPUName: "cpu", Load: "1 to 2",
		EachNS: 25e8, Columns: []column{c}}
	path := filepath.Join(t.TempDir(), "README.md")
	if err := os.WriteFile(path, []byte("a\n<!-- peers -->\nold\n<!-- /peers -->\nb\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := intoFile(path, "peers", r.markdown()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"a\n<!-- peers -->\nCPython 3.13.0, Linux 6.18, 2 CPUs (cpu), 2026-01-02, load of the machine 1 to 2. Medians of 3",
		"| tool | srv: requests/s | p99 | CPU a request |\n|---|---|---|---|\n| alone | 3000 (3000-3000) | 5.0 ms |  |\n",
		"| gilscope record (default) | x0.990 ±0.009 | x1.100 ±0.091 | x1.010 ±0.009 |\n<!-- /peers -->\nb\n",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is missing in:\n%s", want, text)
		}
	}
	if err := intoFile(path, "others", ""); err == nil {
		t.Error("wrote a table into a file without a place for it")
	}
}

// TestPeersQuick runs both servers and a tool of each sort (attached, around the
// program, inside it), and checks that all of it was measured; how long it took
// says nothing.
func TestPeersQuick(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("recording needs root: run `make live`, which asks for sudo")
	}
	const some = "default,--nonblocking,viztracer,gilknocker"
	var out bytes.Buffer
	if err := run(t.Context(), options{quick: true, peers: true, json: true, tools: some, programs: "../testdata/bench"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	var r peerReport
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Columns) != len(serverKinds)+len(statThreads) {
		t.Fatalf("%d columns", len(r.Columns))
	}
	for _, c := range r.Columns {
		for _, tool := range (&peers{only: some}).chosen() {
			pairs := c.Pairs[tool.Name]
			if len(pairs) != quickRounds {
				t.Errorf("%s, %s: %d rounds", c.Name, tool.Name, len(pairs))
			}
			for _, p := range pairs {
				if p.CPUPPM <= 0 || (c.Unit == "ns") != (p.TimePPM > 0) || (c.Unit == "ns") == (p.RatePPM > 0 && p.P99PPM > 0) {
					t.Errorf("%s, %s: %+v", c.Name, tool.Name, p)
				}
			}
		}
	}
}

// TestGrowth: what breathes does not grow.
func TestGrowth(t *testing.T) {
	if n := growth([]int64{10, 50, 57, 55, 56, 57, 55, 56, 54, 58, 57, 55, 57, 54, 56}); n != 0 {
		t.Errorf("%d, want none", n)
	}
	if n := growth([]int64{1, 2, 3, 4, 5}); n != 3 {
		t.Errorf("%d, want 3", n)
	}
}

// TestRecorderQuick: the recorder's own share and memory are measured.
func TestRecorderQuick(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("recording needs root: run `make live`, which asks for sudo")
	}
	var out bytes.Buffer
	if err := run(t.Context(), options{quick: true, recorder: true, busy: time.Minute, json: true, programs: "../testdata/bench"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	var r recorderReport
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if r.IdleShare <= 0 || r.BusyShare <= 0 || r.PeakBytes < 1<<20 || r.EventsASecond < 1000 || r.TraceBytes == 0 || len(r.ResidentByTime) < 5 ||
		r.BusyNS < int64(2*time.Second) {
		t.Errorf("%+v", r)
	}
}

// TestMain makes the test program the load, too: that is what it starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == loadWord {
		main()
		return
	}
	os.Exit(m.Run())
}
