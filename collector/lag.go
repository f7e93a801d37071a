package collector

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"gilscope/internal/trace"
	"gilscope/probes"
)

// lagWatch is what the dispatcher asks of the probes about how long data waits for loops.
type lagWatch struct {
	state func(tid int32) (probes.LagTold, bool) // what was not told yet; false: it is not counted
	cost  func() (probes.LagCost, error)         // an error: why it is not known
}

// noLag is that of a dispatcher which no probes serve.
var noLag = lagWatch{
	state: func(int32) (probes.LagTold, bool) { return probes.LagTold{}, false },
	cost:  func() (probes.LagCost, error) { return probes.LagCost{}, nil },
}

// notes are what the note about a loop says of its lag.
func (l lagWatch) notes() []trace.Arg {
	cost, err := l.cost()
	if err != nil {
		return []trace.Arg{{Key: "no_lag", Text: err.Error()}}
	}
	return []trace.Arg{{Key: "lag_cost_ns", Num: int64(cost.Loop)}, {Key: "lag_cost_others_ns", Num: int64(cost.Others)}}
}

// lagTold takes in how long data waited for a loop over some time.
func (d *dispatcher) lagTold(p *process, r probes.Record) {
	t, told := d.join(p, r.Tid), r.Lag()
	if t == nil || t.loop == nil || told == nil {
		return
	}
	d.tellLag(p, t, told, trace.Time(r.Ts))
}

// tellLag writes it, with the counter for people who look at the trace.
func (d *dispatcher) tellLag(p *process, t *thread, told *probes.LagTold, at trace.Time) {
	if told.Reads == 0 && told.Unseen == 0 || at <= trace.Time(told.Since) {
		return
	}
	if told.Reads > 0 {
		d.event(p, trace.Event{Time: at, Kind: trace.LoopLag, TID: t.tid, Arg: int64(told.Max)})
	}
	d.w.Note(trace.Note{Time: at, PID: p.pid, Name: trace.NoteLag, Args: []trace.Arg{
		{Key: "tid", Num: int64(t.tid)}, {Key: "since_ns", Num: int64(told.Since)}, {Key: "reads", Num: int64(told.Reads)},
		{Key: "unseen", Num: int64(told.Unseen)}, {Key: "sum_ns", Num: int64(told.Sum)}, {Key: "max_ns", Num: int64(told.Max)},
		{Key: "buckets", Text: bucketText(told)}}})
}

// bucketText writes the buckets that count something. The last one has no bound but
// the longest of all.
func bucketText(told *probes.LagTold) string {
	var b strings.Builder
	for i, n := range told.Buckets {
		if n != 0 {
			fmt.Fprintf(&b, "%d:%d ", cmp.Or(probes.LagBelow(i), int64(told.Max)), n)
		}
	}
	return strings.TrimSuffix(b.String(), " ")
}

// sayLag tells how it is known how long data waits for loops.
func (s *session) sayLag() {
	cost, err := s.probes.LagCost()
	if err != nil {
		fmt.Fprintf(s.o.Words, "how long data waits for event loops is not recorded: %v\n", err)
		return
	}
	fmt.Fprintf(s.o.Words, "how long data waits for event loops by the tracepoints of sockets: %v for a packet that a loop reads, %v for any other\n", cost.Loop, cost.Others)
}

// lagGovernor keeps what it costs to know how long data waits for loops below the share
// of time that probes may cost. Every read of a socket of the machine pays, so
// what counts is the CPU that makes the most. Above that it is given up
// for good; loops are watched on.
type lagGovernor struct {
	since   time.Time // begin of the present window
	packets []uint64  // by CPU, then
}

// lagWindow is how long a machine must make too many packets.
const lagWindow = 2 * time.Second

// governLag gives up what costs too much.
func (s *session) governLag() error {
	g := &s.lagGovernor
	cost, why := s.probes.LagCost()
	if s.o.Detail != probes.Auto || why != nil || s.probes.Loops() == 0 || time.Since(g.since) < lagWindow {
		return nil
	}
	packets, err := s.probes.LagPackets()
	if err != nil {
		return err
	}
	if rate := busiest(g.packets, packets, time.Since(g.since)); rate*cost.Others.Seconds() > s.o.MaxOverhead {
		s.leaveLag(fmt.Errorf("given up because a CPU reads sockets %.0f times a second, which cost %v more each: see --max-overhead", rate, cost.Others))
	}
	g.since, g.packets = time.Now(), packets
	return nil
}

// busiest is by how much a second the counter of one CPU rose at most.
func busiest(before, after []uint64, span time.Duration) (rate float64) {
	for i := range min(len(before), len(after)) {
		rate = max(rate, float64(after[i]-before[i])/span.Seconds())
	}
	return rate
}

// leaveLag tells what is known up to now, and why not more.
func (s *session) leaveLag(why error) {
	at := now()
	var loops []*thread
	for _, p := range s.d.procs {
		for _, t := range p.threads {
			if told, ok := s.d.lags.state(t.tid); ok && t.loop != nil {
				s.d.tellLag(p, t, &told, at)
				loops = append(loops, t)
			}
		}
	}
	s.probes.LeaveLag(why)
	for _, t := range loops {
		s.d.tellKind(t.proc, t, at)
	}
	s.prog.note(s.o.Words, fmt.Sprintf("how long data waits for event loops: %v", why))
}
