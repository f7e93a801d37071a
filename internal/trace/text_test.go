package trace

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

func text(t testing.TB, x *Trace) string {
	t.Helper()
	var b bytes.Buffer
	if err := WriteText(&b, x); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTextRoundTrip(t *testing.T) {
	for seed := range uint64(200) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			x := randomTrace(seed)
			sameTrace(t, parse(t, text(t, x)), x)
		})
	}
	x := simulate(2, 5, 100)
	sameTrace(t, parse(t, text(t, x)), x)
}

// TestGoldenText holds the text form, and that it survives the file, to
// testdata/all.txt, which has every kind. Refresh it with -update.
func TestGoldenText(t *testing.T) {
	const path = "testdata/all.txt"
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	x := parse(t, string(want))
	if errs := x.Validate(); len(errs) > 0 {
		t.Errorf("golden trace is not valid: %v", errs)
	}
	back, err := Read(bytes.NewReader(encode(t, x, testOptions, reinternEvery)))
	if err != nil {
		t.Fatal(err)
	}
	got := text(t, back)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if got != string(want) {
		t.Errorf("%s differs; if that is meant: go test ./internal/trace -run GoldenText -update\n%s", path, got)
	}
	for k := NoKind + 1; k < numKinds; k++ {
		if !strings.Contains(got, " "+k.String()+" ") {
			t.Errorf("%s has no %s", path, k)
		}
	}
}

func TestParseTextErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"\n\nfoo", `line 3: unknown word "foo"`},
		{"10 gil.wait", `unknown event kind "gil.wait"`},
		{"10", "kind of the event is missing"},
		{"10 gil.wait.begin cpu=1", `unexpected "cpu=1" on this line: gil.wait.begin does not use it`},
		{"10 gil.wait.begin pid=x", "pid=x is not a number"},
		{"10 gil.wait.begin pid=99999999999", "pid=99999999999 is out of range"},
		{"10 gil.wait.begin gil=70000", "gil=70000 is out of range"},
		{"10 gil.wait.begin stack=1", "stack=1: there is no such stack line before"},
		{"frame 2 func=f", `id "2": ids are given in order, the next is 1`},
		{"frame 1 line=9999999999", "out of range"},
		{"stack 1 = 1", `frame "1" of a stack`},
		{"stack 1", "want: stack ID"},
		{"string 1", "want: string ID TEXT"},
		{"note 5", "want: note TIME NAME"},
		{"note 5 end pid=\"1\"", "is not a number"},
		{`process pid=1 name="x`, "a quote is not closed"},
		{"thread pid=1 cpu=1", `unexpected "cpu=1"`},
	} {
		_, err := ParseText(strings.NewReader(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v, want %q", c.text, err, c.want)
		}
	}
}

func TestParseTextSortsAndSkipsComments(t *testing.T) {
	x := parse(t, "# a comment\n20 gil.waiters pid=1 threads=2 # after\n\n10 gil.holder pid=1 tid=5\n")
	if len(x.Events) != 2 || x.Events[0].Kind != GILHolder || x.Events[1].Arg != 2 {
		t.Errorf("got %+v", x.Events)
	}
	if x.Complete {
		t.Error("complete without an end note")
	}
}
