package collector

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"gilscope/internal/trace"
	"gilscope/probes"
)

// lossBench feeds counts to losses, and reads back what it tells.
type lossBench struct {
	l     losses
	count []probes.Counts
}

// lose loses events of a CPU, the first and the last one at these moments.
func (b *lossBench) lose(cpu int, n uint64, first, last trace.Time) {
	for len(b.count) <= cpu {
		b.count = append(b.count, probes.Counts{})
	}
	c := &b.count[cpu]
	c.Lost, c.FirstLost, c.LastLost = c.Lost+n, uint64(first), uint64(last)
}

func (b *lossBench) look(at trace.Time) { b.l.counted(b.count, at) }

// told are the stretches that are told by then.
func (b *lossBench) told(t *testing.T, upTo, last trace.Time) (places []string) {
	t.Helper()
	var file bytes.Buffer
	w := trace.NewWriter(&file, trace.WriterOptions{Level: 1})
	w.Note(trace.Note{Name: trace.NoteRecording})
	b.l.tell(w, upTo, last)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	tr, err := trace.Read(&file)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range tr.Notes[1:] {
		places = append(places, fmt.Sprintf("%d-%d cpu %d: %d", n.Args[0].Num, n.Time, n.Args[2].Num, n.Args[1].Num))
	}
	return places
}

func TestPlacesOfLosses(t *testing.T) {
	const ms = trace.Time(1e6)
	for _, c := range []struct {
		name string
		do   func(*lossBench)
		upTo trace.Time
		last trace.Time
		want []string
	}{
		{"nothing lost", func(b *lossBench) { b.lose(1, 0, 0, 0); b.look(50); b.look(100) }, whatever, 0, nil},
		{"some", func(b *lossBench) { b.look(50); b.lose(1, 7, 60, 80); b.look(100); b.look(200) }, whatever, 0, []string{"60-80 cpu 1: 7"}},
		{"between reading and noting a look", func(b *lossBench) {
			b.lose(0, 7, 60, 80)
			b.look(100)
			b.lose(0, 1, 60, 101) // the probes did not know of the look yet
			b.look(300 * ms)
		}, whatever, 0, []string{"60-101 cpu 0: 8"}},
		{"two, far from each other", func(b *lossBench) {
			b.lose(0, 7, 60*ms, 80*ms)
			b.look(90 * ms)
			b.lose(0, 2, 190*ms, 5000*ms)
			b.look(5001 * ms)
		}, whatever, 0, []string{"60000000-80000000 cpu 0: 7", "190000000-5000000000 cpu 0: 2"}},
		{"goes on over looks: one stretch, up to a second", func(b *lossBench) {
			for i := range trace.Time(29) {
				b.lose(0, 5, i*100*ms+1, i*100*ms+100*ms)
				b.look(i*100*ms + 100*ms)
			}
		}, whatever, 0, []string{"1-1000000000 cpu 0: 50", "1000000001-2000000000 cpu 0: 50", "2000000001-2900000000 cpu 0: 45"}},
		{"not before its records have come", func(b *lossBench) {
			b.lose(0, 7, 60, 99)
			b.look(100)
			b.lose(1, 1, 110, 150)
			b.look(200)
		}, 150, 0, []string{"60-99 cpu 0: 7"}},
		{"the recording ended before", func(b *lossBench) {
			b.lose(0, 7, 60, 99)
			b.lose(1, 1, 110, 150)
			b.look(200)
		}, whatever, 80, []string{"60-80 cpu 0: 7", "80-80 cpu 1: 1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b lossBench
			c.do(&b)
			if got := b.told(t, c.upTo, c.last); !slices.Equal(got, c.want) {
				t.Errorf("told %q, want %q", got, c.want)
			}
		})
	}
}

// TestHoles: only a long stretch is a hole, and that once, after its end.
func TestHoles(t *testing.T) {
	const ms = trace.Time(1e6)
	var b lossBench
	b.lose(0, 9, 10*ms, 14*ms)
	b.lose(1, 9, 10*ms, 16*ms)
	b.lose(2, 9, 11*ms, 30*ms)
	b.look(40 * ms)
	for _, c := range []struct{ at, since trace.Time }{{9, 0}, {15, 0}, {16, 0}, {17, 10}, {18, 0}, {50, 11}, {51, 0}} {
		if got := b.l.passed(c.at * ms); got != c.since*ms {
			t.Errorf("at %d ms: since %d ms, want %d", c.at, got/ms, c.since)
		}
	}
}

// TestLostDrops: of one thread's drop, then of its drop and the next one's take, nothing is
// known; what samples find meanwhile does not make a hold begin that is still open.
func TestLostDrops(t *testing.T) {
	b := newBench(true)
	d := &dispatcher{procs: map[int32]*process{1: b.p}}
	b.p.places = []place{{gil: b.g}}
	at := func(us_ trace.Time, s sample) sample { s.time = us_ * us; return s }
	t11, t12 := b.p.thread(11), b.p.thread(12)
	d.interrupted(5 * us)
	b.g.taken(t11, at(10, held(11, 1)))
	d.interrupted(10 * us) // a hole that began when it took
	b.g.sampled(at(20, free(11, 1)))
	b.g.taken(t11, at(30, held(11, 1)))
	b.g.drops(t12, at(40, free(12, 2)), trace.DropVoluntary)
	b.g.taken(t11, at(50, held(11, 3)))
	b.g.ends(t11, 60*us, trace.WaitExit)
	b.g.flushHandOff()
	b.want(t, "10 hold 11 flow 0", "10 holder 11", "20 holder 0",
		"30 drop 11 reason 0 flow 0", "30 hold 11 flow 0", "30 holder 11",
		"40 holder 0", "40 drop 11 reason 0 flow 0", "50 hold 11 flow 0", "50 holder 11",
		"60 holder 0", "60 drop 11 reason 3 flow 0")
}

// A wait that began before a hole ends there, and is said to be cut; so does
// a hold. What comes afterwards begins anew.
func TestHolesEndWhatIsOpen(t *testing.T) {
	for _, full := range []bool{false, true} {
		b := newBench(full)
		d := &dispatcher{procs: map[int32]*process{1: b.p}}
		b.p.places = []place{{gil: b.g}}
		if full {
			b.g.taken(b.p.thread(11), sample{time: 50 * us, holder: 11, switches: 7, locked: true})
		}
		b.leave(100, 12, 72, held(11, 7))
		d.interrupted(400 * us)
		b.leave(900_000, 12, 72, held(13, 90))
		want := []string{"100 holder 11", "100 wait 12 holder 11", "400 end 12 outcome 2", "900000 holder 13", "900000 wait 12 holder 13"}
		if full {
			want = []string{"50 hold 11 flow 0", "50 holder 11", "100 wait 12 holder 11", "400 end 12 outcome 2", "400 drop 11 reason 0 flow 0",
				"900000 holder 13", "900000 wait 12 holder 13"}
		}
		b.want(t, want...)
	}
}
