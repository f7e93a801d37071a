package trace

import (
	"strings"
	"testing"
)

// parse parses a text trace of a test.
func parse(t testing.TB, text string) *Trace {
	t.Helper()
	x, err := ParseText(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

const validHead = `
process pid=1 name=python
thread pid=1 tid=1 name=a
thread pid=1 tid=2 name=b
frame 1 func=f file=f.py line=3
stack 1 = 1
note 1 recording
`

func TestValidate(t *testing.T) {
	for _, c := range []struct{ name, events, want string }{
		{"hand-off", `
			10 gil.hold.begin pid=1 tid=1 stack=1
			11 gil.wait.begin pid=1 tid=2 holder=1 stack=1
			15 gil.hold.end pid=1 tid=1 reason=forced flow=7
			16 gil.wait.end pid=1 tid=2 outcome=taken
			16 gil.hold.begin pid=1 tid=2 flow=7
			20 gil.hold.end pid=1 tid=2 reason=exit
			note 30 end`, ""},
		{"two GILs", `
			10 gil.hold.begin pid=1 tid=1
			11 gil.hold.begin pid=1 tid=2 gil=1
			12 gil.hold.end pid=1 tid=1 reason=voluntary
			13 gil.hold.end pid=1 tid=2 gil=1 reason=voluntary
			note 30 end`, ""},
		{"open at the cut", "10 gil.wait.begin pid=1 tid=1", ""},
		{"open at the end", "10 gil.wait.begin pid=1 tid=1\nnote 30 end", "open at the end"},
		{"end alone", "10 gil.wait.end pid=1 tid=1", "no gil.wait.begin before it"},
		{"wrong end", "10 gil.wait.begin pid=1 tid=1\n11 gil.hold.end pid=1 tid=1 reason=forced", "no gil.hold.begin before it"},
		{"begin twice", "10 gil.wait.begin pid=1 tid=1\n11 gil.wait.begin pid=1 tid=1", "the gil.wait.begin of 10 is still open"},
		{"wait while holding", "10 gil.hold.begin pid=1 tid=1\n11 gil.wait.begin pid=1 tid=1", "the gil.hold.begin of 10 is still open"},
		{"no time", "10 gil.wait.begin pid=1 tid=1\n10 gil.wait.end pid=1 tid=1 outcome=exit", "no gil.wait.begin before it"},
		{"two holders", "10 gil.hold.begin pid=1 tid=1\n11 gil.hold.begin pid=1 tid=2", "thread 1 holds the GIL since 10"},
		{"flow from nowhere", "10 gil.hold.begin pid=1 tid=1 flow=3", "has no drop before it"},
		{"flow to itself", `
			10 gil.hold.begin pid=1 tid=1
			11 gil.hold.end pid=1 tid=1 reason=voluntary flow=3
			12 gil.hold.begin pid=1 tid=1 flow=3`, "from the thread to itself"},
		{"flow to nobody", `
			10 gil.hold.begin pid=1 tid=1
			11 gil.hold.end pid=1 tid=1 reason=voluntary flow=3
			note 30 end`, "reaches nobody"},
		{"bad enum", "10 gil.wait.begin pid=1 tid=1\n11 gil.wait.end pid=1 tid=1 outcome=9", "outcome=9 has no meaning"},
		{"sample without process", "10 cpu.sample tid=1 mode=user", "the process is missing"},
		{"sample without mode", "10 cpu.sample pid=1 tid=1", "mode=0 has no meaning"},
		{"negative waiters", "10 gil.waiters pid=1 threads=-1", "threads=-1 is out of range"},
		{"too busy", "10 gil.busy pid=1 percent=101", "percent=101 is out of range"},
		{"idle", "10 sched.switch cpu=0 next=0 prev_state=1", ""},
		{"nobody", "10 gil.holder pid=1", ""},
		{"two recordings' ends", "note 30 end\nnote 31 end", "has 2 \"end\" notes"},
		{"complete without end", "complete", "has 0 \"end\" notes"},
		{"notes out of order", "note 30 exec\nnote 29 exec", "comes after a later one"},
	} {
		t.Run(c.name, func(t *testing.T) {
			checkReport(t, parse(t, validHead+c.events), c.want)
		})
	}
}

// checkReport wants one violation that has want in it, or none at all.
func checkReport(t *testing.T, x *Trace, want string) {
	t.Helper()
	errs := x.Validate()
	switch {
	case want == "" && len(errs) > 0:
		t.Fatalf("violations of a valid trace: %v", errs)
	case want != "" && (len(errs) == 0 || !strings.Contains(errs[0].Error(), want)):
		t.Fatalf("got %v, want %q first", errs, want)
	}
}

func TestValidateOfTables(t *testing.T) {
	for _, c := range []struct {
		name, want string
		spoil      func(*Trace)
	}{
		{"nothing", "", func(*Trace) {}},
		{"order", "canonical order", func(x *Trace) { x.Events[3], x.Events[4] = x.Events[4], x.Events[3] }},
		{"kind", "kind 99 is unknown", func(x *Trace) { x.Events[0].Kind = 99 }},
		{"unused field", "does not use it", func(x *Trace) { x.Events[0].Flow = 5 }},
		{"stack", "stack 4000 does not exist", func(x *Trace) { x.Events[5].Stack = 4000 }},
		{"frame of a stack", "frame 900 does not exist", func(x *Trace) { x.Stacks[1][0] = 900 }},
		{"string of a frame", "a string is out of range", func(x *Trace) { x.Frames[1].File = 1 << 30 }},
		{"empty values", "the empty value at 0", func(x *Trace) { x.Strings[0] = "x" }},
		{"notes", "the first note", func(x *Trace) { x.Notes = x.Notes[1:] }},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := simulate(1, 4, 20)
			c.spoil(x)
			checkReport(t, x, c.want)
		})
	}
}

func TestValidateReportsAreBounded(t *testing.T) {
	x := parse(t, validHead)
	for i := range 1000 {
		x.Events = append(x.Events, Event{Kind: GILWaitEnd, Time: Time(100 + i), PID: 1, TID: 1})
	}
	errs := x.Validate()
	if len(errs) != maxReported || !strings.HasPrefix(errs[maxReported-1].Error(), "more violations") {
		t.Fatalf("%d reports, the last: %v", len(errs), errs[len(errs)-1])
	}
}
