package trace

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// inBatches writes a trace with a flush after every few events.
func inBatches(t testing.TB, x *Trace, level int) []byte {
	t.Helper()
	opt := testOptions
	opt.Level = level
	var file bytes.Buffer
	w := newWriter(&file, opt, 800)
	names := *x
	names.Notes, names.Events, names.Complete = x.Notes[:1], nil, false
	writeAll(w, &names)
	for i := range x.Events {
		if w.Event(&x.Events[i]); i%5 == 0 {
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, n := range x.Notes[1:] {
		w.Note(n)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// TestCutAnywhere reads every prefix of a file: never an error but the one that
// there is no recording, and never anything that was not written.
func TestCutAnywhere(t *testing.T) {
	golden, err := os.ReadFile("testdata/all.txt")
	if err != nil {
		t.Fatal(err)
	}
	x := parse(t, string(golden))
	for level := range 2 {
		t.Run(fmt.Sprint("level=", level), func(t *testing.T) { cutAnywhere(t, x, inBatches(t, x, level)) })
	}
}

func cutAnywhere(t *testing.T, x *Trace, file []byte) {
	known := map[Event]bool{}
	for _, e := range x.Events {
		known[e] = true
	}
	most := -1
	for n := range len(file) + 1 {
		got, err := Read(bytes.NewReader(file[:n]))
		if err != nil {
			if most >= 0 || (!errors.Is(err, ErrNotTrace) && !errors.Is(err, ErrForeign)) {
				t.Fatalf("first %d of %d bytes: %v", n, len(file), err)
			}
			continue
		}
		if got.Complete != (n == len(file)) {
			t.Fatalf("first %d of %d bytes: Complete = %v", n, len(file), got.Complete)
		}
		if len(got.Events) < most {
			t.Fatalf("first %d bytes: %d events, had %d with fewer bytes", n, len(got.Events), most)
		}
		most = len(got.Events)
		for _, e := range got.Events {
			if !known[e] {
				t.Fatalf("first %d bytes: event that was not written: %+v", n, e)
			}
		}
	}
	if most != len(x.Events) {
		t.Fatalf("the whole file has %d events, want %d", most, len(x.Events))
	}
}

// TestDamagedBatch spoils each batch of a file in turn: the others are read.
func TestDamagedBatch(t *testing.T) {
	x := simulate(5, 2, 20)
	file := inBatches(t, x, 1)
	batches := 0
	for at := 0; at < len(file); batches++ {
		body, end, state := packetAt(file, at)
		if state != packetWhole {
			t.Fatalf("no packet at %d", at)
		}
		spoilt := bytes.Clone(file)
		spoilt[(body+end)/2] ^= 0xff
		got, err := Read(bytes.NewReader(spoilt))
		switch {
		case batches == 0 && !errors.Is(err, ErrForeign):
			t.Errorf("without the batch of the recording note: %v, want ErrForeign", err)
		case batches > 0 && err != nil:
			t.Errorf("batch %d: %v", batches, err)
		case batches > 0 && (got.Complete || len(got.Events) < len(x.Events)-30):
			t.Errorf("batch %d: Complete = %v, %d of %d events", batches, got.Complete, len(got.Events), len(x.Events))
		}
		at = end
	}
	if batches < 5 {
		t.Errorf("only %d batches", batches)
	}
}

func TestReadRefusesWhatIsNoRecording(t *testing.T) {
	foreign := &bytes.Buffer{}
	w := NewWriter(foreign, testOptions)
	w.Process(Process{PID: 1, Name: "init"})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, file string
		is         error
		want       string
	}{
		{"empty", "", ErrNotTrace, "record again"},
		{"text", "process pid=1", ErrNotTrace, "gilscope record"},
		{"gzip", "\x1f\x8b\x08", ErrNotTrace, "gunzip"},
		{"zstd", "\x28\xb5\x2f\xfd", ErrNotTrace, "zstd -d"},
		{"no recording note", foreign.String(), ErrForeign, "gilscope record"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Read(strings.NewReader(c.file))
			if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %v with %q", err, c.is, c.want)
			}
		})
	}
}
