package livetest

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gilscope/internal/testpy"
	"gilscope/internal/trace"
)

// lagTruth is what testdata/loops/lag.py measured.
type lagTruth struct {
	Schema    string     `json:"schema"`
	Reads     [][2]int64 `json:"reads"`      // when they had their data, and when the first packet of it was sent
	LongSends [][2]int64 `json:"long_sends"` // that were interrupted: begin and end
}

// TestLoopLag: how long data waits for a loop is what the server itself found by the
// clients' stamps, in each second and in all, with a loop that is blocked.
func TestLoopLag(t *testing.T) {
	withUvloop := testpy.Need(t, "pyenv-3.12")
	withUvloop.Env = append(slices.Clone(withUvloop.Env), "PYTHONPATH="+testpy.AsyncServers(t))
	for _, c := range []struct {
		in   testpy.Interpreter
		args []string
	}{
		{testpy.Need(t, "debian-3.14"), []string{"asyncio", "tcp"}},
		{testpy.Need(t, "pyenv-3.8"), []string{"asyncio", "unix"}},
		{testpy.Need(t, "debian-3.14"), []string{"asyncio", "udp"}},
		{withUvloop, []string{"uvloop", "tcp"}},
	} {
		t.Run(strings.Join(c.args, "-"), steady(func(t testing.TB) {
			script, err := filepath.Abs(filepath.Join("..", "testdata", "loops", "lag.py"))
			if err != nil {
				t.Fatal(err)
			}
			p := testpy.StartScript(t, c.in, script, c.args...)
			r := startRecord(t, "-p", fmt.Sprint(p.PID), "-d", "4s")
			r.wait(t)
			if err := p.Stop(); err != nil {
				t.Fatal(err)
			}
			var truth lagTruth
			if err := json.Unmarshal([]byte(p.Last), &truth); err != nil || truth.Schema != "gilscope.lag/v1" {
				t.Fatalf("read the truth: %v: %q", err, p.Last)
			}
			var l loopRecording
			l.open(t, r)
			checkLag(t, &l, &truth)
			run(t, []string{"check", r.trace, "--assert", "loop.lag.p99<20ms"}).wants(t, 1, "loop.lag.p99")
			run(t, []string{"check", r.trace, "--assert", "loop.lag.max<5s", "--assert", "loop.lag.p50<20ms"}).wants(t, 0, "loop.lag.max")
		}))
	}
}

// checkLag holds each stretch that was told of to the server's own times.
func checkLag(t testing.TB, l *loopRecording, truth *lagTruth) {
	t.Helper()
	var all lagRange
	spans := 0
	for _, n := range l.trace.Notes {
		if n.Name != trace.NoteLag {
			continue
		}
		got, unseen := numberIn(n, "reads"), numberIn(n, "unseen")
		want := truth.within(l, numberIn(n, "since_ns"), int64(n.Time))
		if off := got + unseen - int64(len(want.most)); off < -2 || off > 2 { // a read at either end
			t.Errorf("%d and %d reads are told, the server made %d", got, unseen, len(want.most))
		}
		if spans > 0 { // in the first one, not all is known
			want.holds(t, fmt.Sprintf("the longest of %d lags", got), numberIn(n, "max_ns"), 1)
			if unseen > 0 {
				t.Errorf("of %d reads it is not known when their data came, of %d it is", unseen, got)
			}
		}
		all.least, all.most = append(all.least, want.least...), append(all.most, want.most...)
		spans++
	}
	row := l.loop
	if spans < 3 || len(all.most) < 100 || row.LagMaxNS == nil || row.LagP50NS == nil || row.LagP99NS == nil || *row.LagReads < 100 {
		t.Fatalf("%d spans, %d reads: %+v", spans, len(all.most), row)
	}
	all.holds(t, "the longest lag", *row.LagMaxNS, 1)
	all.holds(t, "the 99th percentile", *row.LagP99NS, 0.99)
	all.holds(t, "the median", *row.LagP50NS, 0.5)
	if *row.LagMaxNS < 70_000_000 {
		t.Errorf("the longest lag is %.3f ms, the loop was blocked for 80 ms", ms(*row.LagMaxNS))
	}
	t.Logf("%d reads in %d spans, %d unseen; p50 %.3f ms, p99 %.3f ms, longest %.3f ms", *row.LagReads, spans, *row.LagUnseen,
		ms(*row.LagP50NS), ms(*row.LagP99NS), ms(*row.LagMaxNS))
}

// lagRange is between what each of some lags was.
type lagRange struct{ least, most []int64 }

// within are the lags of the reads that ended in a stretch of time. The data was there
// at the end of its send at the latest; the read had it when the server says so, or
// before the loop lost its CPU and could not say so.
func (truth *lagTruth) within(l *loopRecording, from, to int64) (r lagRange) {
	sent := map[int64]int64{}
	for _, s := range truth.LongSends {
		sent[s[0]] = s[1]
	}
	for _, read := range truth.Reads {
		if read[0] < from || read[0] >= to {
			continue
		}
		least := read[0] - max(read[1], sent[read[1]])
		r.most = append(r.most, read[0]-read[1])
		r.least = append(r.least, least-l.runnable.within(read[1], read[0]).total())
	}
	return r
}

// holds holds a quantile that was told to the server's: to 1 ms or 1 %, and but for the
// longest to the eighth of its bucket.
func (r *lagRange) holds(t testing.TB, what string, got int64, q float64) {
	t.Helper()
	if len(r.most) == 0 {
		t.Errorf("%s is %.3f ms, the server read nothing", what, ms(got))
		return
	}
	slices.Sort(r.least)
	slices.Sort(r.most)
	i := min(int(q*float64(len(r.most))), len(r.most)-1)
	least, most := r.least[i], r.most[i]
	least -= max(least/100, 1_000_000)
	most += max(most/100, 1_000_000)
	if q < 1 {
		most += most / 8
		least = min(least, r.least[max(i-len(r.least)/200, 0)]) // a read more or less, at the ends
	}
	if got < least || got > most {
		t.Errorf("%s is %.3f ms, the server's between %.3f and %.3f ms", what, ms(got), ms(least), ms(most))
	}
}

// numberIn is a named value of a note, 0 if it has none.
func numberIn(n trace.Note, key string) int64 {
	for _, a := range n.Args {
		if a.Key == key {
			return a.Num
		}
	}
	return 0
}
