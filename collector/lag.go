package collector

import (
	"cmp"
	"fmt"
	"strings"

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
