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

// lagTruth is what testdata/loops/lag.py measured: when each read had its data, and
// when the first packet of that was sent.
type lagTruth struct {
	Schema string     `json:"schema"`
	Reads  [][2]int64 `json:"reads"`
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
			checkLag(t, &l, &truth, c.args[1] == "tcp")
			run(t, []string{"check", r.trace, "--assert", "loop.lag.p99<20ms"}).wants(t, 1, "loop.lag.p99")
			run(t, []string{"check", r.trace, "--assert", "loop.lag.max<200ms", "--assert", "loop.lag.p50<20ms"}).wants(t, 0, "loop.lag.max")
		}))
	}
}

// checkLag holds each stretch that was told of to the server's own times.
func checkLag(t testing.TB, l *loopRecording, truth *lagTruth, inherited bool) {
	t.Helper()
	var all []int64
	spans := 0
	for _, n := range l.trace.Notes {
		if n.Name != trace.NoteLag {
			continue
		}
		lags := truth.within(numberIn(n, "since_ns"), int64(n.Time))
		told := numberIn(n, "reads")
		if got := told + numberIn(n, "unseen"); got < int64(len(lags))-2 || got > int64(len(lags))+2 { // a read at either end
			t.Errorf("%d reads are told, the server made %d", got, len(lags))
		}
		if spans > 0 { // in the first one, not all is known
			if len(lags) == 0 || differs(numberIn(n, "max_ns"), slices.Max(lags)) {
				t.Errorf("the longest of %d lags is told as %.3f ms, the server's is %.3f ms", len(lags), ms(numberIn(n, "max_ns")), ms(slices.Max(lags)))
			}
			if unseen := numberIn(n, "unseen"); inherited && unseen > 0 {
				t.Errorf("of %d reads it is not known when their data came, of %d it is", unseen, told)
			}
		}
		all = append(all, lags...)
		spans++
	}
	if spans < 3 || len(all) < 100 {
		t.Fatalf("%d spans, %d reads", spans, len(all))
	}
	row := l.loop
	if row.LagMaxNS == nil || row.LagP50NS == nil || row.LagP99NS == nil || row.LagReads == nil {
		t.Fatalf("no lag: %+v", row)
	}
	slices.Sort(all)
	p99 := all[len(all)*99/100]
	if *row.LagP50NS > *row.LagP99NS || *row.LagP99NS > *row.LagMaxNS || !inherited {
		t.Logf("p50 %d, p99 %d, longest %d", *row.LagP50NS, *row.LagP99NS, *row.LagMaxNS)
	} else if *row.LagP99NS < p99-p99/50-1_000_000 || *row.LagP99NS > p99+p99/8+2_000_000 {
		t.Errorf("p99 is %.3f ms, the server's %.3f ms", ms(*row.LagP99NS), ms(p99))
	}
	if differs(*row.LagMaxNS, all[len(all)-1]) || *row.LagMaxNS < 70_000_000 {
		t.Errorf("the longest lag is %.3f ms, the server's %.3f ms", ms(*row.LagMaxNS), ms(all[len(all)-1]))
	}
	t.Logf("%d reads in %d spans, %d unseen; p50 %.3f ms, p99 %.3f ms (the server: %.3f, %.3f), longest %.3f ms (%.3f)", *row.LagReads, spans, *row.LagUnseen,
		ms(*row.LagP50NS), ms(*row.LagP99NS), ms(all[len(all)/2]), ms(p99), ms(*row.LagMaxNS), ms(all[len(all)-1]))
}

// within are the lags of the reads that ended in a stretch of time.
func (l *lagTruth) within(from, to int64) (lags []int64) {
	for _, r := range l.Reads {
		if r[0] >= from && r[0] < to {
			lags = append(lags, r[0]-r[1])
		}
	}
	return lags
}

// differs says of a lag that it is more than 1 ms and more than 1 % off the server's.
func differs(got, want int64) bool {
	off := max(got-want, want-got)
	return off > max(want/100, 1_000_000)
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
