package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gilscope/internal/testpy"
)

// peers measures gilscope and the tools of others side by side (-peers).
//
// On a server, in each round, all tools have their turn in random order, and
// between any two the server is loaded without a tool. A ratio is that of a
// stretch to the mean of the two bare ones beside it, so what disturbs the
// machine for longer than some seconds disturbs both sides of it. All but the
// tools that only work from inside share one server process for a round, so
// their ratios do not hold the differences between processes. Each stretch is
// the same number of requests.
//
// os.stat in threads is a program with a fixed amount of work: there, each turn is
// a process, and the same rule holds for neighbours.
type peers struct {
	rig      *rig
	packages string // folder with the servers and tools
	programs string // absolute
	rounds   int
	each     time.Duration // of one stretch, about
	only     string        // part of the names of the tools
	words    io.Writer
}

// pair is a tool's stretch against its neighbours: ratios in millionths.
type pair struct {
	RatePPM int64 `json:"rate_ppm,omitempty"` // requests a second
	P99PPM  int64 `json:"p99_ppm,omitempty"`
	CPUPPM  int64 `json:"cpu_ppm"`            // CPU time of the target for the same work
	TimePPM int64 `json:"time_ppm,omitempty"` // of programs
}

// column is one program or server, and what was measured on it.
type column struct {
	Name    string            `json:"name"`
	Unit    string            `json:"unit"`
	Base    spread            `json:"base"` // requests a second, or ns, without a tool
	BaseP99 spread            `json:"base_p99_ns"`
	Pairs   map[string][]pair `json:"pairs"` // by tool
	bases   []int64
	p99s    []int64
}

// peerReport is everything that -peers measured.
type peerReport struct {
	report
	When    string   `json:"when"`
	CPUName string   `json:"cpu"`
	Load    string   `json:"load"` // of the machine, at the beginning and at the end
	EachNS  int64    `json:"each_ns"`
	Columns []column `json:"columns"`
}

func newPeers(r *rig, py python, o options, words io.Writer) (*peers, error) {
	packages, err := packagesOf(py, testpy.Dir())
	if err != nil {
		return nil, err
	}
	programs, err := filepath.Abs(o.programs)
	p := &peers{rig: r, packages: packages, programs: programs, rounds: o.rounds, each: o.each, only: o.tools, words: words}
	if o.quick {
		p.each = 100 * time.Millisecond
	}
	return p, err
}

// runPeers measures all columns.
func runPeers(ctx context.Context, r *rig, py python, o options, out, words io.Writer) error {
	p, err := newPeers(r, py, o, words)
	if err != nil {
		return err
	}
	report := &peerReport{report: *newReport(py, o), When: time.Now().Format(time.DateOnly), CPUName: cpuName(), EachNS: int64(p.each)}
	first := loadAverage()
	for _, kind := range serverKinds {
		if err := report.add(kind.Name, o.only, func() (column, error) { return p.measureServer(ctx, kind) }); err != nil {
			return err
		}
	}
	for _, threads := range statThreads {
		name := statName(threads)
		if err := report.add(name, o.only, func() (column, error) { return p.measureStats(ctx, name, threads) }); err != nil {
			return err
		}
	}
	report.Load = first + " to " + loadAverage()
	return tell(o, "peers", report, report.markdown(), out)
}

// tell writes a report: its table into the README if that is given, and to out
// as JSON or as that table.
func tell(o options, name string, report any, table string, out io.Writer) error {
	if o.readme != "" {
		if err := intoFile(o.readme, name, table); err != nil {
			return err
		}
	}
	if o.json {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(report)
	}
	_, err := io.WriteString(out, table)
	return err
}

// retell makes the table of what -peers -json said earlier.
func retell(o options, out io.Writer) error {
	text, err := os.ReadFile(o.from)
	if err != nil {
		return fmt.Errorf("read an earlier report: %w: give the output of -peers -json with -from", err)
	}
	var report peerReport
	if err := json.Unmarshal(text, &report); err != nil {
		return fmt.Errorf("read %s: %w: it must be the output of -peers -json", o.from, err)
	}
	return tell(o, "peers", &report, report.markdown(), out)
}

// add measures a column if it is one of those that are wanted.
func (r *peerReport) add(name, only string, measure func() (column, error)) error {
	if !strings.Contains(name, only) {
		return nil
	}
	c, err := measure()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	r.Columns = append(r.Columns, c)
	return nil
}

// turn is what one stretch or run said.
type turn struct {
	rate, p99, cpu, wall float64
}

// against makes the ratios to the two neighbours.
func (t turn) against(before, after turn) pair {
	ppm := func(x, a, b float64) int64 {
		if a+b == 0 {
			return 0
		}
		return int64(1e6 * x / ((a + b) / 2))
	}
	return pair{ppm(t.rate, before.rate, after.rate), ppm(t.p99, before.p99, after.p99),
		ppm(t.cpu, before.cpu, after.cpu), ppm(t.wall, before.wall, after.wall)}
}

// chosen are the tools that are measured.
func (p *peers) chosen() []*tool {
	var some []*tool
	for i := range tools {
		if slices.ContainsFunc(strings.Split(p.only, ","), func(part string) bool { return strings.Contains(tools[i].Name, part) }) {
			some = append(some, &tools[i])
		}
	}
	return some
}

// alternate gives each tool its turn, with bare turns around it.
func (p *peers) alternate(c *column, bare func() (turn, error), with func(*tool) (turn, error)) error {
	order := p.chosen()
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	before, err := bare()
	if err != nil {
		return err
	}
	c.base(before)
	for _, t := range order {
		on, err := with(t)
		if err != nil {
			return fmt.Errorf("%s: %w", t.Name, err)
		}
		after, err := bare()
		if err != nil {
			return err
		}
		c.base(after)
		c.Pairs[t.Name] = append(c.Pairs[t.Name], on.against(before, after))
		before = after
	}
	return nil
}

// base notes a turn without a tool.
func (c *column) base(t turn) {
	value := t.rate
	if value == 0 {
		value = t.wall
	}
	c.bases, c.p99s = append(c.bases, int64(value)), append(c.p99s, int64(t.p99))
	c.Base, c.BaseP99 = spreadOf(slices.Clone(c.bases)), spreadOf(slices.Clone(c.p99s))
}

// measureServer measures one kind of server.
func (p *peers) measureServer(ctx context.Context, kind serverKind) (column, error) {
	c := column{Name: kind.Name, Unit: "requests/s", Pairs: map[string][]pair{}}
	requests := 0
	for round := range p.rounds {
		fmt.Fprintf(p.words, "%s: round %d of %d\n", kind.Name, round+1, p.rounds)
		if err := p.serverRound(ctx, kind, &c, &requests); err != nil {
			return c, err
		}
	}
	return c, nil
}

// serverRound starts the servers anew: one that is bare, and one for each tool
// that only works from inside.
func (p *peers) serverRound(ctx context.Context, kind serverKind, c *column, requests *int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute+time.Duration(4*len(tools))*p.each)
	defer cancel()
	servers := map[*tool]*server{}
	bare := &tool{}
	for _, t := range append(p.chosen(), bare) {
		if !t.inside() && t != bare {
			continue
		}
		s, err := p.serve(ctx, kind, t)
		if err != nil {
			return err
		}
		defer s.kill()
		servers[t] = s
		n, err := p.scale(ctx, s, p.each) // warms up, too
		if err != nil {
			return err
		}
		if *requests == 0 && t == bare {
			*requests = n
		}
	}
	measure := func(s *server) (turn, error) {
		l, err := p.stretch(ctx, s, *requests)
		if err != nil {
			return turn{}, err
		}
		return turn{rate: float64(*requests) * 1e9 / float64(l.WallNS), p99: float64(l.P99NS), cpu: float64(l.CPUNS)}, nil
	}
	return p.alternate(c, func() (turn, error) { return measure(servers[bare]) }, func(t *tool) (turn, error) {
		if s := servers[t]; s != nil {
			return measure(s)
		}
		s := servers[bare]
		off, err := p.watch(ctx, t, s.pid)
		if err != nil {
			return turn{}, err
		}
		on, err := measure(s)
		if stopped := off(); err == nil {
			err = stopped
		}
		return on, err
	})
}

// cpuName is what the machine calls its CPUs.
func cpuName() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown CPU"
}

// loadAverage is that of the last minute; the measurement is part of it.
func loadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(text), " ")
	return first
}
