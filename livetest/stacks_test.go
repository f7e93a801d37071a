package livetest

import (
	"fmt"
	"testing"

	"gilscope/internal/testpy"
	"gilscope/internal/trace"
)

// deepScript computes at the bottom of a recursion deeper than what is walked,
// beside a thread that wants the GIL.
const deepScript = `
import sys, threading, time
def bottom():
    x = 0
    while running: x += 1
def down(n):
    if n: return down(n - 1)
    bottom()
def wants():
    while running: time.sleep(0.001)
running = True
threads = [threading.Thread(target=down, args=(%d,)), threading.Thread(target=wants)]
for t in threads: t.start()
print("ready", flush=True)
sys.stdin.read()
running = False
`

// TestDeepStacks: 64 frames of the holder's stack are there, leaf first and with
// their lines; one that goes on is marked, one that does not is not.
func TestDeepStacks(t *testing.T) {
	for _, in := range testpy.Some(t, "3.8", "3.10", "3.11", "3.13", "3.14") {
		for _, depth := range []int{20, 100} {
			t.Run(fmt.Sprintf("%s/%d", in.Name, depth), func(t *testing.T) { deepStack(t, in, depth) })
		}
	}
}

func deepStack(t *testing.T, in testpy.Interpreter, depth int) {
	p := testpy.Start(t, in, fmt.Sprintf(deepScript, depth))
	r := startRecord(t, "-p", fmt.Sprint(p.PID), "-d", "300ms")
	r.wait(t)
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	tr := open(t, r, nil).trace
	seen := 0
	for _, e := range tr.Events {
		if e.Kind != trace.GILDropRequest || e.Stack == 0 {
			continue
		}
		names := namesOf(tr, e.Stack)
		if names[0] != "bottom" {
			continue // the other thread's, or on the way
		}
		seen++
		downs := 0
		for _, n := range names {
			if n == "down" {
				downs++
			}
		}
		cut := names[len(names)-1] == "[truncated]"
		if want := min(depth+1, 63); downs != want || cut != (depth > 64) {
			t.Fatalf("%d frames, %d of them down() (want %d), truncated %v: %q", len(names), downs, want, cut, names)
		}
		if line := tr.Frames[tr.Stacks[e.Stack][1]].Line; line != 8 {
			t.Fatalf("bottom() is called on line %d, want 8", line)
		}
	}
	if seen == 0 {
		t.Error("no drop request has the holder's stack")
	}
}

// namesOf are the functions of a stack, leaf first.
func namesOf(tr *trace.Trace, id trace.StackID) []string {
	var names []string
	for _, f := range tr.Stacks[id] {
		names = append(names, short(tr.Strings[tr.Frames[f].Function]))
	}
	return names
}
