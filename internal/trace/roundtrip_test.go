package trace

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

var testOptions = WriterOptions{Release: "6.18.0", Version: "#1 SMP", Machine: "x86_64", CPUs: 4, SampleHz: 99, TracerVersion: "0.1"}

// encode writes a trace as a file.
func encode(t testing.TB, x *Trace, o WriterOptions, every int64) []byte {
	t.Helper()
	var file bytes.Buffer
	w := newWriter(&file, o, every)
	w.Clock(5e12, 5e12-1000, 17e17)
	writeAll(w, x)
	if err := w.Close(); err != nil {
		t.Fatalf("write: %v", err)
	}
	if got := w.Written(); got != int64(file.Len()) {
		t.Fatalf("Written() = %d, the file has %d bytes", got, file.Len())
	}
	return file.Bytes()
}

// sameTrace fails the test at the first difference of two traces.
func sameTrace(t testing.TB, got, want *Trace) {
	t.Helper()
	for i := range min(len(got.Events), len(want.Events)) {
		if got.Events[i] != want.Events[i] {
			t.Fatalf("event %d\n got %v %+v\nwant %v %+v", i, got.Events[i].Kind, got.Events[i], want.Events[i].Kind, want.Events[i])
		}
	}
	if len(got.Events) != len(want.Events) {
		t.Fatalf("%d events, want %d", len(got.Events), len(want.Events))
	}
	g, w := reflect.ValueOf(*got), reflect.ValueOf(*want)
	for i := range g.NumField() {
		a, b := fmt.Sprintf("%q", g.Field(i)), fmt.Sprintf("%q", w.Field(i))
		if a != b {
			t.Fatalf("%s\n got %.2000s\nwant %.2000s", g.Type().Field(i).Name, a, b)
		}
	}
}

// randomText is a text that may look like syntax of some kind.
func randomText(r *rand.Rand) string {
	parts := []string{"work", "a b", "<lambda>", "/x/y.py", "é", "7", "-3", "\"q\"", "=", "\n", "(f.py:3)", "#", ",", "'"}
	var b strings.Builder
	for range 1 + r.IntN(4) {
		b.WriteString(parts[r.IntN(len(parts))])
	}
	return b.String()
}

// randomTrace is a trace with all kinds and any values, not a valid one.
func randomTrace(seed uint64) *Trace {
	r := rand.New(rand.NewPCG(seed, 2))
	t := &Trace{Strings: []string{""}, Frames: []Frame{{}}, Stacks: [][]FrameID{nil}, Complete: r.IntN(4) > 0}
	for i := range 1 + r.IntN(20) {
		t.Strings = append(t.Strings, fmt.Sprint(randomText(r), i))
	}
	str := func() StringID { return StringID(r.IntN(len(t.Strings))) }
	seen := map[Frame]bool{{}: true}
	for range 1 + r.IntN(20) {
		f := Frame{Function: str(), File: str(), Line: r.Int32N(2000) - 3}
		if r.IntN(3) == 0 {
			f = Frame{Function: str(), Module: str(), RelPC: r.Uint64() >> r.IntN(64)}
		}
		if !seen[f] {
			seen[f] = true
			t.Frames = append(t.Frames, f)
		}
	}
	stacks := map[string]bool{}
	for range 1 + r.IntN(20) {
		var s []FrameID
		for range 1 + r.IntN(6) {
			s = append(s, FrameID(1+r.IntN(max(len(t.Frames)-1, 1))))
		}
		if len(t.Frames) > 1 && !stacks[fmt.Sprint(s)] {
			stacks[fmt.Sprint(s)] = true
			t.Stacks = append(t.Stacks, s)
		}
	}
	for i := range 1 + r.IntN(5) {
		t.Processes = append(t.Processes, Process{PID: int32(100 * i), PPID: r.Int32N(9), Name: randomText(r)})
		t.Threads = append(t.Threads, Thread{PID: int32(100 * i), TID: int32(100*i + r.IntN(3)), Name: randomText(r)})
	}
	randomNotes(t, r)
	for range r.IntN(800) {
		t.Events = append(t.Events, randomEvent(t, r))
	}
	Sort(t.Events)
	return t
}

func randomNotes(t *Trace, r *rand.Rand) {
	now := Time(1000)
	t.Notes = []Note{{Time: now, Name: NoteRecording, Args: []Arg{{Key: "version", Text: "0.1"}}}}
	for range r.IntN(5) {
		now += Time(r.IntN(10))
		n := Note{Time: now, PID: r.Int32N(3), Name: randomText(r)}
		for range r.IntN(4) {
			a := Arg{Key: randomText(r), Num: r.Int64() - r.Int64()}
			if r.IntN(2) == 0 {
				a = Arg{Key: "pid", Text: randomText(r)}
			}
			n.Args = append(n.Args, a)
		}
		t.Notes = append(t.Notes, n)
	}
	if t.Complete {
		t.Notes = append(t.Notes, Note{Time: now + 1, Name: NoteEnd})
	}
}

// randomEvent has any value in each field its kind uses.
func randomEvent(t *Trace, r *rand.Rand) Event {
	e := Event{Kind: Kind(1 + r.IntN(int(numKinds)-1)), Time: Time(5e12 + r.Int64N(2000))}
	for _, f := range Specs[e.Kind].Fields {
		v := r.Int64N(5)
		switch f.Of {
		case FieldStack:
			v = r.Int64N(int64(len(t.Stacks)))
		case FieldPID:
			v *= 100
		case FieldTID, FieldOther:
			if v *= 50; v == 100 && Specs[e.Kind].Form == FormSwitch {
				v = OtherTID
			}
		case FieldFlow:
			v = r.Int64() * r.Int64N(2)
		case FieldArg:
			if r.IntN(5) == 0 {
				v = -r.Int64()
			}
		}
		if !f.Of.set(&e, v) {
			panic(fmt.Sprint("value out of range: ", f, v))
		}
	}
	return e
}

func TestReadReturnsWhatWasWritten(t *testing.T) {
	for seed := range uint64(100) {
		x := randomTrace(seed)
		for _, o := range []struct {
			level int
			no    bool
			every int64
		}{{0, false, reinternEvery}, {1, false, 500}, {9, true, reinternEvery}, {0, true, 1}} {
			opt := testOptions
			opt.Level, opt.NoCallstacks = o.level, o.no
			t.Run(fmt.Sprintf("seed=%d/level=%d/nocallstacks=%v/every=%d", seed, o.level, o.no, o.every), func(t *testing.T) {
				got, err := Read(bytes.NewReader(encode(t, x, opt, o.every)))
				if err != nil {
					t.Fatal(err)
				}
				sameTrace(t, got, x)
			})
		}
	}
}

func TestReadOfSimulatedRecording(t *testing.T) {
	x := simulate(3, 6, 2000)
	opt := testOptions
	opt.Level = 1
	got, err := Read(bytes.NewReader(encode(t, x, opt, 50_000)))
	if err != nil {
		t.Fatal(err)
	}
	sameTrace(t, got, x)
}

func TestLaterNamesReplaceEarlier(t *testing.T) {
	x := randomTrace(1)
	p, th := x.Processes[0], x.Threads[0]
	var file bytes.Buffer
	w := NewWriter(&file, testOptions)
	w.Process(Process{PID: p.PID, Name: "before exec"})
	w.Thread(Thread{PID: th.PID, TID: th.TID, Name: "Dummy-1"})
	writeAll(w, x)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := Read(&file)
	if err != nil {
		t.Fatal(err)
	}
	sameTrace(t, got, x)
}
