package collector

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"gilscope/internal/trace"
	"gilscope/probes"
)

// lossBench feeds records and counts to losses, and reads back what it tells.
type lossBench struct {
	l    losses
	gaps []trace.Time
}

func (b *lossBench) records(cpu uint16, from, to uint32, begin, step trace.Time) {
	for seq := from; seq != to; seq++ {
		if gap := b.l.record(&probes.Rec{Cpu: cpu, Seq: seq, Ts: uint64(begin)}); gap != 0 {
			b.gaps = append(b.gaps, gap)
		}
		begin += step
	}
}

// look counts what each CPU has lost by a moment.
func (b *lossBench) look(at trace.Time, lost ...uint64) {
	counts := make([]probes.Counts, len(lost))
	for i, n := range lost {
		counts[i].Lost = n
	}
	b.l.counted(counts, at-1, at)
}

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
		gaps []trace.Time
	}{
		{"nothing lost", func(b *lossBench) { b.look(50); b.records(0, 0, 100, 1, 1); b.look(100, 0, 0) }, whatever, 0, nil, nil},
		{"between two looks", func(b *lossBench) { b.look(50); b.look(100, 0, 7) }, whatever, 0, []string{"49-100 cpu 1: 7"}, nil},
		{"a reader that slept: from the last record before the gap", func(b *lossBench) {
			b.look(10*ms, 0, 0)
			b.look(5000*ms, 0, 900)
			b.records(1, 0, 100, 11*ms, ms)
			b.records(1, 1000, 1010, 5001*ms, ms)
		}, whatever, 0, []string{"110000000-5000000000 cpu 1: 900"}, []trace.Time{110 * ms}},
		{"a short gap interrupts nothing", func(b *lossBench) {
			b.look(10*ms, 0)
			b.look(50*ms, 3)
			b.records(0, 0, 10, 11*ms, ms)
			b.records(0, 13, 20, 23*ms, ms)
		}, whatever, 0, []string{"20000000-50000000 cpu 0: 3"}, nil},
		{"a number that comes late is no loss", func(b *lossBench) {
			b.look(1*ms, 0)
			b.records(0, 0, 5, 1*ms, ms)
			b.records(0, 6, 7, 20*ms, ms)
			b.records(0, 5, 6, 21*ms, ms)
			b.records(0, 7, 9, 22*ms, ms)
			b.look(30*ms, 0)
		}, whatever, 0, nil, nil},
		{"the first gap whose numbers do not come late", func(b *lossBench) {
			b.look(1*ms, 0)
			b.look(90*ms, 4)
			b.records(0, 0, 5, 2*ms, ms)
			b.records(0, 7, 9, 7*ms, ms)
			b.records(0, 5, 7, 9*ms, ms)
			b.records(0, 9, 20, 20*ms, ms)
			b.records(0, 24, 26, 80*ms, ms)
		}, whatever, 0, []string{"30000000-90000000 cpu 0: 4"}, []trace.Time{30 * ms}},
		{"numbers go round", func(b *lossBench) {
			b.look(1*ms, 0)
			b.look(90*ms, 4)
			b.records(0, 0xfffffffe, 0, 10*ms, ms)
			b.records(0, 4, 6, 40*ms, ms)
		}, whatever, 0, []string{"11000000-90000000 cpu 0: 4"}, []trace.Time{11 * ms}},
		{"goes on over looks: one stretch, up to a second", func(b *lossBench) {
			for i := range trace.Time(30) {
				b.look(i*100*ms, uint64(i)*5)
			}
		}, whatever, 0, []string{"-1-900000000 cpu 0: 45", "899999999-1800000000 cpu 0: 45", "1799999999-2700000000 cpu 0: 45", "2699999999-2900000000 cpu 0: 10"}, nil},
		{"a reader that slept after a loss", func(b *lossBench) {
			b.look(10*ms, 0)
			b.look(20*ms, 3)
			b.look(900*ms, 900)
			b.records(0, 0, 4, 11*ms, ms)
			b.records(0, 7, 100, 18*ms, ms)
			b.records(0, 1000, 1010, 901*ms, ms)
		}, whatever, 0, []string{"14000000-20000000 cpu 0: 3", "110000000-900000000 cpu 0: 897"}, []trace.Time{110 * ms}},
		{"not before its records have come", func(b *lossBench) { b.look(50); b.look(100, 7); b.look(200, 7, 1) }, 150, 0, []string{"49-100 cpu 0: 7"}, nil},
		{"the recording ended before", func(b *lossBench) { b.look(50); b.look(100, 7); b.look(200, 7, 1) }, whatever, 80,
			[]string{"49-80 cpu 0: 7", "80-80 cpu 1: 1"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b lossBench
			c.do(&b)
			if got := b.told(t, c.upTo, c.last); !slices.Equal(got, c.want) {
				t.Errorf("told %q, want %q", got, c.want)
			}
			if !slices.Equal(b.gaps, c.gaps) {
				t.Errorf("gaps %v, want %v", b.gaps, c.gaps)
			}
		})
	}
}

// A wait that began before a long gap ends there, and is said to be cut; so does
// a hold. What comes afterwards begins anew.
func TestGapsEndWhatIsOpen(t *testing.T) {
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
