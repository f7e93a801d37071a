package trace

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// FuzzRead: whatever the bytes are, Read returns; and what it returns can be
// written and reads back the same.
func FuzzRead(f *testing.F) {
	x := simulate(1, 2, 3)
	plain, zipped := encode(f, x, testOptions, reinternEvery), inBatches(f, x, 1)
	for _, file := range [][]byte{plain, zipped, plain[:len(plain)/2], zipped[:len(zipped)/2], encode(f, randomTrace(4), testOptions, 300), {}, {0x0a}, {0x0a, 0}} {
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		x, err := Read(bytes.NewReader(file))
		if err != nil {
			return
		}
		x.Validate()
		if err := WriteText(&bytes.Buffer{}, x); err != nil {
			t.Fatal(err)
		}
		var again bytes.Buffer
		w := NewWriter(&again, testOptions)
		writeAll(w, x)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		back, err := Read(&again)
		if err != nil {
			t.Fatal(err)
		}
		if len(back.Events) != len(x.Events) {
			t.Fatalf("%d events after writing %d", len(back.Events), len(x.Events))
		}
	})
}

// FuzzParseText: whatever the text is, ParseText returns; and what it returns
// has a text that parses to the same.
func FuzzParseText(f *testing.F) {
	golden, err := os.ReadFile("testdata/all.txt")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(golden))
	f.Add(text(f, randomTrace(3)))
	f.Add(validHead + "string 2 \"\\xff\"\n10 gil.holder pid=1\nincomplete")
	f.Add(validHead + "note 0 x pid=0 " + strings.Repeat("\xbb", 6000) + "=0") // nothing is left of such a key
	f.Fuzz(func(t *testing.T, s string) {
		x, err := ParseText(strings.NewReader(s))
		if err != nil {
			return
		}
		x.Validate()
		first := text(t, x)
		y, err := ParseText(strings.NewReader(first))
		if err != nil {
			t.Fatalf("%v in\n%s", err, first)
		}
		if second := text(t, y); second != first {
			t.Fatalf("text\n%s\nbecomes\n%s", first, second)
		}
	})
}
