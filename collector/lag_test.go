package collector

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"gilscope/internal/trace"
	"gilscope/probes"
)

// TestLag: what the programs count of a loop's lag is in the trace, also what was not
// told when it ends; and why it is not known.
func TestLag(t *testing.T) {
	first := probes.LagTold{Since: uint64(100 * msec), Sum: 5e6, Max: 3e6, Reads: 3, Unseen: 1}
	first.Buckets[0], first.Buckets[9], first.Buckets[len(first.Buckets)-1] = 1, 1, 1
	for _, c := range []struct {
		name  string
		lags  lagWatch
		loop  string // what the note about the loop says, and
		notes string // those of its lag
	}{
		{"counted", lagWatch{
			func(int32) (probes.LagTold, bool) {
				return probes.LagTold{Since: uint64(200 * msec), Sum: 500, Max: 500, Reads: 1, Buckets: [210]uint32{1}}, true
			},
			func() (probes.LagCost, error) { return probes.LagCost{Others: 200, Loop: 300}, nil },
		}, "300 200", "3 1 1024:1 2304:1 3000000:1; 1 0 1024:1"},
		{"nothing was read", lagWatch{noLag.state, noLag.cost}, "0 0", "3 1 1024:1 2304:1 3000000:1"},
		{"not in this kernel", lagWatch{noLag.state, func() (probes.LagCost, error) { return probes.LagCost{}, errors.New("too old") }},
			"too old", "3 1 1024:1 2304:1 3000000:1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newLoopBench(t)
			b.d.lags = c.lags
			b.in[loopTID] = probes.Loop{On: 1}
			b.p.threads[loopTID].loop = &loop{}
			b.d.loopIs(b.p, b.p.threads[loopTID], loopAsyncio, 50*msec)
			b.d.record(probes.Record{Rec: &probes.Rec{Ts: uint64(200 * msec), Kind: probes.KindLag, Tgid: loopTID, Tid: loopTID},
				Stack: unsafe.Slice((*byte)(unsafe.Pointer(&first)), unsafe.Sizeof(first))})
			b.blocks(300 * msec)
			loop, notes := b.lagNotes()
			if loop != c.loop || notes != c.notes {
				t.Errorf("%q, %q; want %q, %q", loop, notes, c.loop, c.notes)
			}
		})
	}
}

// lagNotes are what notes of the trace say of lag, as text.
func (b *loopBench) lagNotes() (loop, lags string) {
	var told []string
	for _, n := range b.end.Notes {
		switch n.Name {
		case trace.NoteLoop:
			loop = valuesOf(n, "lag_cost_ns", "lag_cost_others_ns", "no_lag")
		case trace.NoteLag:
			told = append(told, valuesOf(n, "reads", "unseen", "buckets"))
		}
	}
	return loop, strings.Join(told, "; ")
}

// valuesOf are some of the values of a note, in its order.
func valuesOf(n trace.Note, keys ...string) string {
	var out []string
	for _, a := range n.Args {
		if !slices.Contains(keys, a.Key) {
			continue
		}
		out = append(out, cmp.Or(a.Text, strconv.FormatInt(a.Num, 10)))
	}
	return strings.Join(out, " ")
}
