package trace

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

// fullDisk takes a number of bytes and then fails.
type fullDisk struct{ room int }

var errFull = errors.New("no space left")

func (f *fullDisk) Write(b []byte) (int, error) {
	if f.room -= len(b); f.room < 0 {
		return 0, errFull
	}
	return len(b), nil
}

func TestWriteErrorsStick(t *testing.T) {
	for level := range 2 {
		opt := testOptions
		opt.Level = level
		w := NewWriter(&fullDisk{room: 20_000}, opt)
		x := simulate(1, 4, 3000)
		writeAll(w, x)
		if err := w.Flush(); !errors.Is(err, errFull) || !strings.Contains(err.Error(), "free space") {
			t.Errorf("level %d: Flush: %v, want %v with its remedy", level, err, errFull)
		}
		w.Event(&x.Events[0])
		if err := w.Close(); !errors.Is(err, errFull) || !errors.Is(w.Err(), errFull) {
			t.Errorf("level %d: Close: %v, Err: %v", level, err, w.Err())
		}
		if err := w.Close(); !errors.Is(err, errFull) {
			t.Errorf("level %d: second Close: %v", level, err)
		}
	}
}

func TestUnknownKindIsAnError(t *testing.T) {
	w := NewWriter(&bytes.Buffer{}, testOptions)
	w.Event(&Event{Kind: numKinds})
	if err := w.Close(); err == nil || !strings.Contains(err.Error(), "not in the Specs table") {
		t.Errorf("Close: %v", err)
	}
}

func TestIDsAreDenseAndStable(t *testing.T) {
	w := NewWriter(&bytes.Buffer{}, testOptions)
	defer w.Close()
	a, b := w.String("a"), w.String("b")
	if a != 1 || b != 2 || w.String("a") != 1 || w.String("") != 0 {
		t.Errorf("strings %d %d", a, b)
	}
	f, g := w.Frame(Frame{Function: a, File: b, Line: 1}), w.Frame(Frame{Function: b, File: 77})
	if f != 1 || g != 2 || w.Frame(Frame{Function: a, File: b, Line: 1}) != f || w.Frame(Frame{}) != 0 {
		t.Errorf("frames %d %d", f, g)
	}
	if w.Frame(Frame{Function: b}) != g {
		t.Error("a string that does not exist is not taken for none")
	}
	s, u := w.Stack([]FrameID{f, g}), w.Stack([]FrameID{g, f})
	if s != 1 || u != 2 || w.Stack([]FrameID{f, 99, 0, g}) != s || w.Stack(nil) != 0 || w.Stack([]FrameID{99}) != 0 {
		t.Errorf("stacks %d %d", s, u)
	}
}

func TestTextsAreBoundedAndValid(t *testing.T) {
	for _, s := range []string{strings.Repeat("é", maxText), strings.Repeat("\xff", maxText), "a\xc3", strings.Repeat("a", maxText-1) + "é"} {
		c := cleanText(s, maxText)
		if len(c) > maxText || !utf8.ValidString(c) {
			t.Errorf("%.20q: %d bytes, valid %v", s, len(c), utf8.ValidString(c))
		}
	}
	w := NewWriter(&bytes.Buffer{}, testOptions)
	defer w.Close()
	if w.String(strings.Repeat("x", maxText+1)) != w.String(strings.Repeat("x", maxText+2)) {
		t.Error("strings that are the same once bounded have two ids")
	}
	deep := make([]FrameID, 5*maxStack)
	f := w.Frame(Frame{Function: 1})
	for i := range deep {
		deep[i] = f
	}
	if w.Stack(deep) != w.Stack(deep[:maxStack]) {
		t.Error("a deep stack is not cut")
	}
}

// TestOutOfOrder writes the begins and ends of waits after later events, as
// the collector does; Read puts them in their places.
func TestOutOfOrder(t *testing.T) {
	x := simulate(9, 4, 300)
	var late, rest []Event
	for _, e := range x.Events {
		if Specs[e.Kind].Track == TrackThreadGIL {
			late = append(late, e)
		} else {
			rest = append(rest, e)
		}
	}
	shuffled := *x
	shuffled.Events = append(rest, late...)
	got, err := Read(bytes.NewReader(encode(t, &shuffled, testOptions, 5000)))
	if err != nil {
		t.Fatal(err)
	}
	sameTrace(t, got, x)
	if errs := got.Validate(); len(errs) > 0 {
		t.Errorf("not valid: %v", errs[0])
	}
}

func TestSortOfShuffledEvents(t *testing.T) {
	x := simulate(4, 4, 300)
	events := append([]Event(nil), x.Events...)
	for stride := range 7 { // deals the events into stride+1 hands, one after the other
		var dealt []Event
		for hand := range stride + 1 {
			for i := hand; i < len(events); i += stride + 1 {
				dealt = append(dealt, events[i])
			}
		}
		for i := 0; i+9 < len(dealt); i += 10 * (stride + 1) { // and local disorder
			dealt[i], dealt[i+9] = dealt[i+9], dealt[i]
		}
		Sort(dealt)
		for i := range dealt {
			if dealt[i] != x.Events[i] {
				t.Fatalf("stride %d: event %d is %+v, want %+v", stride, i, dealt[i], x.Events[i])
			}
		}
	}
}
