package trace

import (
	"fmt"
	"testing"
)

// TestLossesOfADump: a dump has the losses of its time, those that reach into it
// from before cut at its start, and its counts are of these.
func TestLossesOfADump(t *testing.T) {
	f := NewFlight(testOptions, 0, 100, 1<<30)
	w := f.Writer()
	w.Process(Process{PID: 5, Name: "python3"})
	w.Note(Note{Name: NoteRecording})
	lost := map[Time]Note{}
	for _, l := range []struct{ begin, end, events Time }{{20, 90, 1}, {150, 195, 10}, {190, 220, 100}, {230, 240, 1000}, {300, 300, 10000}, {290, 305, 100000}} {
		lost[l.end] = Note{Time: l.end, Name: NoteLost, Args: []Arg{{Key: "begin_ns", Num: int64(l.begin)}, {Key: "events", Num: int64(l.events)}}}
	}
	for at := Time(5); at <= 300; at += 5 {
		if n, ok := lost[at]; ok {
			w.Note(n)
		}
		w.Event(&Event{Time: at, Kind: CPUSample, PID: 5, TID: 5, Arg: int64(ModeUser)})
		if err := f.Advance(at, counts(int64(at))); err != nil {
			t.Fatal(err)
		}
	}
	w.Note(lost[305])
	d, err := f.Dump(300, counts(301))
	if err != nil {
		t.Fatal(err)
	}
	got := written(t, d)
	var places []string
	for _, n := range got.Notes {
		if n.Name == NoteLost {
			places = append(places, fmt.Sprintf("%d-%d: %d", n.number("begin_ns"), n.Time, n.number("events")))
		}
	}
	if s := fmt.Sprint(places); s != "[200-220: 100 230-240: 1000 300-300: 10000]" {
		t.Errorf("losses %s", s)
	}
	end := got.Notes[len(got.Notes)-1]
	if end.number("lost") != 11100 || end.number("produced") != end.number("stored")+11100 || end.number("stored") < 100 {
		t.Errorf("closing note %v", end)
	}
	if errs := got.Validate(); len(errs) > 0 {
		t.Error(errs)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func counts(n int64) []Arg {
	return []Arg{{Key: "produced", Num: 3 * n}, {Key: "stored", Num: n}, {Key: "lost", Num: n}}
}
