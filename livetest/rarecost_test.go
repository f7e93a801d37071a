package livetest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"gilscope/internal/testpy"
	"gilscope/internal/trace"
	"gilscope/probes"
)

// collections is a program that stops the world as often as it can, or with pauses in between. Each
// collection does so twice or more, of which each makes three hits. It prints how often it did.
const collections = `import gc, sys, threading, time
gc.disable()
gc.freeze()
done, n = [], 0
threading.Thread(target=lambda: done.append(sys.stdin.read()), daemon=True).start()
print("ready", flush=True)
while not done:
    gc.collect()
    n += 1
    time.sleep(%s)
print(n, flush=True)`

// TestRareCost: what the probes on functions that run seldom cost is in the report, also where there are
// no others.
func TestRareCost(t *testing.T) {
	for _, in := range testpy.FreeThreaded(t) {
		t.Run(in.Name, steady(func(t testing.TB) {
			p := testpy.Start(t, in, fmt.Sprintf(collections, "0.005"))
			r := startRecord(t, "-p", fmt.Sprint(p.PID), "-d", "2s", "--detail", "waits")
			r.wait(t)
			if err := p.Stop(); err != nil {
				t.Fatal(err)
			}
			rec := open(t, r, nil)
			hits := note(t, rec.trace, trace.NoteEnd)["probe_hits"]
			made, err := strconv.Atoi(p.Last)
			if err != nil || hits < 600 || hits > int64(12*made) {
				t.Fatalf("%d hits of %q collections (%v)", hits, p.Last, err)
			}
			checkCost(t, rec, 0.02)
			if cost := float64(hits) * *rec.report.Recording.NSPerHit / float64(rec.report.Recording.DurationNS); *rec.report.Recording.OverheadShare < cost*0.95 {
				t.Errorf("the overhead is %v, these hits alone cost %v", *rec.report.Recording.OverheadShare, cost)
			}
		}))
	}
}

// TestRareTooOften: what is hit too often for the budget comes off, and that is said.
func TestRareTooOften(t *testing.T) {
	for _, in := range testpy.FreeThreaded(t) {
		t.Run(in.Name, steady(func(t testing.TB) {
			p := testpy.Start(t, in, fmt.Sprintf(collections, "0"))
			r := startRecord(t, "-p", fmt.Sprint(p.PID), "-d", "2s", "--max-overhead", "1%")
			r.wait(t)
			if err := p.Stop(); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(r.said(), "so often that from now on this is not recorded") {
				t.Errorf("nothing is said:\n%s", r.said())
			}
			rec := open(t, r, nil)
			made, _ := strconv.Atoi(p.Last)
			// Looked at every 200 ms: the first such stretch is recorded, and a while until they are off.
			if hits := note(t, rec.trace, trace.NoteEnd)["probe_hits"]; hits == 0 || hits > int64(6*made)/2 {
				t.Errorf("%d hits of %d collections: the probes stayed", hits, made)
			}
		}))
	}
}

// TestNoLoopsLoadsLess: who wants no loops does not wait for what only they need.
func TestNoLoopsLoadsLess(t *testing.T) {
	with, without := programsLoaded(t, false), programsLoaded(t, true)
	if without == 0 || with < without+3 { // begin and end of a wait, and close; those on sockets not on all kernels
		t.Errorf("%d programs are loaded for loops, %d without", with, without)
	}
}

// programsLoaded is how many BPF programs a session has when it begins.
func programsLoaded(t testing.TB, noLoops bool) (n int) {
	t.Helper()
	s, err := probes.Open(probes.Options{RingBytes: 1 << 20, NoLoops: noLoops})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasSuffix(to, "bpf-prog") {
			n++
		}
	}
	return n
}
