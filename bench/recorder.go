package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What the recorder itself may take (-recorder).
const (
	idleGoal     = 0.01       // of a core, beside an idle server
	residentGoal = 64_000_000 // bytes, at eventsGoal
	eventsGoal   = 200_000    // a second
	growthGoal   = 1 << 20    // bytes: what is no growth, for it is less than what the Go heap breathes
	statsASecond = 55_000     // calls of os.stat that make about so many events
)

// recorderReport is what -recorder measured.
type recorderReport struct {
	report
	When           string  `json:"when"`
	CPUName        string  `json:"cpu"`
	Load           string  `json:"load"`
	IdleNS         int64   `json:"idle_ns"`       // how long it stood beside an idle server,
	IdleShare      float64 `json:"idle_share"`    // and its share of a core meanwhile
	BusyNS         int64   `json:"busy_ns"`       // how long it recorded what never rests
	EventsASecond  float64 `json:"events_second"` // in the trace
	BusyShare      float64 `json:"busy_share"`    // of a core
	Lost           int64   `json:"lost"`
	PeakBytes      int64   `json:"peak_bytes"`     // resident, at most
	GrowthBytes    int64   `json:"growth_bytes"`   // from the second fifth of the time to the last
	TraceBytes     int64   `json:"trace_bytes"`    // written
	ResidentByTime []int64 `json:"resident_bytes"` // every residentEvery
	EveryNS        int64   `json:"resident_every"` // of that list
}

// runRecorder measures the recorder beside an idle server, and at a high rate of events.
func runRecorder(ctx context.Context, r *rig, py python, o options, out, words io.Writer) error {
	p, err := newPeers(r, py, o, words)
	if err != nil {
		return err
	}
	report := &recorderReport{report: *newReport(py, o), When: time.Now().Format(time.DateOnly), CPUName: cpuName()}
	if o.busy < 5*10*time.Second {
		return fmt.Errorf("-busy %v: give 50s or more, for growth is told from ten-second looks", o.busy)
	}
	idle, busy, every := 30*time.Second, o.busy, 10*time.Second
	if o.quick {
		idle, busy, every = time.Second, 2*time.Second, 200*time.Millisecond
	}
	first := loadAverage()
	if err := p.idle(ctx, report, idle); err != nil {
		return err
	}
	if err := p.busy(ctx, report, busy, every); err != nil {
		return err
	}
	report.Load = first + " to " + loadAverage()
	return tell(o, "recorder", report, report.markdown(), out)
}

// recording is a recorder that runs.
type recording struct {
	child *child
	pid   int
}

// record starts the recorder on a process.
func (p *peers) record(ctx context.Context, pid int, detail string) (*recording, error) {
	c, err := start(ctx, fromStderr, p.rig.gilscope, "record", "-p", strconv.Itoa(pid), "--detail", detail, "-o", p.rig.trace)
	if err != nil {
		return nil, err
	}
	if _, err := c.until("recording "); err != nil {
		c.kill()
		return nil, err
	}
	return &recording{c, c.cmd.Process.Pid}, nil
}

// closing is what the recorder says last: "wrote FILE: 1.45 MB, 413353 events, 0 lost (signal)".
var closing = regexp.MustCompile(`^wrote .*, (\d+) events, (\d+) lost`)

// end ends it as ctrl-C does, and returns what it says of itself. The trace can be
// too large to be read back.
func (r *recording) end() (recorded, error) {
	var by recorded
	var err error
	if by.RecorderCPUNS, err = cpuOf(r.pid); err != nil {
		return by, err
	}
	if err := r.child.cmd.Process.Signal(os.Interrupt); err != nil {
		return by, fmt.Errorf("end the recorder: %w: it may have ended by itself; run it by hand", err)
	}
	line, err := r.child.until("wrote ")
	if err != nil {
		return by, err
	}
	m := closing.FindStringSubmatch(line)
	if m == nil {
		return by, fmt.Errorf("understand %q, the recorder's last words: it must say how many events were lost", line)
	}
	by.Events, _ = strconv.ParseInt(m[1], 10, 64)
	by.Lost, _ = strconv.ParseInt(m[2], 10, 64)
	return by, r.child.wait()
}

// idle records a server that nobody asks anything, by default; what it takes to
// start and to end is not counted.
func (p *peers) idle(ctx context.Context, report *recorderReport, long time.Duration) error {
	fmt.Fprintf(p.words, "beside an idle server: %v\n", long)
	s, err := p.serve(ctx, serverKinds[0], &tool{})
	if err != nil {
		return err
	}
	defer s.kill()
	if _, err := p.scale(ctx, s, time.Second); err != nil { // it has worked before
		return err
	}
	r, err := p.record(ctx, s.pid, "auto")
	if err != nil {
		return err
	}
	defer r.child.kill()
	pause(ctx, time.Second)
	before, err := cpuOf(r.pid)
	if err != nil {
		return err
	}
	begin := time.Now()
	pause(ctx, long)
	after, err := cpuOf(r.pid)
	if err != nil {
		return err
	}
	report.IdleNS = int64(time.Since(begin))
	report.IdleShare = float64(after-before) / float64(report.IdleNS)
	return nil
}

// busy records every take and drop of a program that never rests.
func (p *peers) busy(ctx context.Context, report *recorderReport, long, every time.Duration) error {
	program, err := start(ctx, fromStdout, p.rig.python, "-B", filepath.Join(p.programs, "rate.py"), strconv.Itoa(statsASecond))
	if err != nil {
		return err
	}
	defer program.kill()
	if _, err := program.until("ready"); err != nil {
		return err
	}
	r, err := p.record(ctx, program.cmd.Process.Pid, "full")
	if err != nil {
		return err
	}
	defer r.child.kill()
	begin := time.Now()
	report.EveryNS = int64(every)
	for time.Since(begin) < long && ctx.Err() == nil {
		pause(ctx, every)
		now, peak, err := resident(r.pid)
		if err != nil {
			return err
		}
		fmt.Fprintf(p.words, "%v: %.1f MB resident\n", time.Since(begin).Round(time.Second/10), float64(now)/1e6)
		report.ResidentByTime = append(report.ResidentByTime, now)
		report.PeakBytes = peak
	}
	report.BusyNS = int64(time.Since(begin))
	by, err := r.end()
	if err != nil {
		return err
	}
	return report.busyResult(by, p.rig.trace)
}

// busyResult takes in what the trace says.
func (r *recorderReport) busyResult(by recorded, trace string) error {
	seconds := float64(r.BusyNS) / 1e9
	r.EventsASecond, r.Lost = float64(by.Events)/seconds, by.Lost
	r.BusyShare = float64(by.RecorderCPUNS) / float64(r.BusyNS)
	r.GrowthBytes = growth(r.ResidentByTime)
	st, err := os.Stat(trace)
	if err == nil {
		r.TraceBytes = st.Size()
	}
	return err
}

// growth is by how much the median of the last fifth is above that of the second:
// a heap with a garbage collector breathes by some MB between two looks.
func growth(resident []int64) int64 {
	fifth := len(resident) / 5
	second, last := slices.Clone(resident[fifth:2*fifth]), slices.Clone(resident[len(resident)-fifth:])
	return spreadOf(last).Median - spreadOf(second).Median
}

// resident is the memory of a process now and at most, in bytes (proc(5), VmRSS and VmHWM).
func resident(pid int) (now, peak int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, fmt.Errorf("read the memory of the recorder: %w: it has ended; run it by hand", err)
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		kb, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch name {
		case "VmRSS":
			now = kb << 10
		case "VmHWM":
			peak = kb << 10
		}
	}
	return now, peak, nil
}

func pause(ctx context.Context, long time.Duration) {
	select {
	case <-time.After(long):
	case <-ctx.Done():
	}
}

// markdown is the table.
func (r *recorderReport) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "CPython %s, Linux %s, %d CPUs (%s), %s, load of the machine %s.\n\n", r.Python.Version, r.Kernel, r.CPUs, r.CPUName, r.When, r.Load)
	if r.Quick {
		b.WriteString("Too short to tell anything (-quick).\n\n")
	}
	b.WriteString("| the recorder itself | measured | goal |\n|---|---|---|\n")
	verdict := func(ok bool) string {
		if ok {
			return "met"
		}
		return "MISSED"
	}
	mb := func(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
	b.WriteString(row([]string{fmt.Sprintf("CPU beside an idle server, %.0f s", float64(r.IdleNS)/1e9),
		fmt.Sprintf("%.2f %% of a core", 100*r.IdleShare), "1 %: " + verdict(r.IdleShare <= idleGoal)}))
	rate := fmt.Sprintf("%.0fk events/s", r.EventsASecond/1e3)
	b.WriteString(row([]string{"resident at " + rate + ", at most", mb(r.PeakBytes),
		fmt.Sprintf("%s at %dk: %s", mb(residentGoal), eventsGoal/1000, verdict(r.PeakBytes <= residentGoal && r.EventsASecond > 0.9*eventsGoal))}))
	b.WriteString(row([]string{fmt.Sprintf("growth over %.1f min at that rate", float64(r.BusyNS)/60e9),
		fmt.Sprintf("%+.1f MB", float64(r.GrowthBytes)/1e6), "none: " + verdict(r.GrowthBytes <= growthGoal)}))
	b.WriteString(row([]string{"CPU at that rate", fmt.Sprintf("%.0f %% of a core", 100*r.BusyShare), ""}))
	b.WriteString(row([]string{"lost, and the trace's size", fmt.Sprintf("%d, %s", r.Lost, mb(r.TraceBytes)), ""}))
	return b.String()
}
