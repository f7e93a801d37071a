package collector

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"gilscope/internal/trace"
)

// queueStep is one look at a queue.
type queueStep struct {
	at    trace.Time // ms
	jobs  string     // one letter each
	depth int        // 0: as many as jobs
	full  trace.Time
	want  string
}

func TestQueueWatch(t *testing.T) {
	for name, steps := range map[string][]queueStep{
		"one waits": {
			{at: 10, want: "queue 0"},
			{at: 30, jobs: "a", want: "queue 1"},
			{at: 50, jobs: "a"},
			{at: 70, want: "left 1, waited 20, at most 60, queue 0"},
		},
		"all workers were busy only since then": {
			{at: 10, want: "queue 0"},
			{at: 30, jobs: "a", full: 25, want: "queue 1"},
			{at: 50, full: 25, want: "left 1, waited 0, at most 25, queue 0"},
		},
		"they were idle after it came": {
			{at: 10, want: "queue 0"},
			{at: 30, jobs: "a", want: "queue 1"},
			{at: 50, full: 40, want: "left 1, waited 0, at most 40, queue 0"},
		},
		"it was there before the recording": {
			{at: 10, jobs: "ab", want: "queue 2"},
			{at: 30, jobs: "b", want: "left 1, waited 0, at most 0, queue 1"},
			{at: 50, jobs: "bc", want: "queue 2"},
			{at: 70, jobs: "c", want: "left 1, waited 40, at most 0, queue 1"},
			{at: 90, want: "left 1, waited 20, at most 60, queue 0"},
		},
		"an address is used again": {
			{at: 10, want: "queue 0"},
			{at: 20, jobs: "abc", want: "queue 3"},
			{at: 30, jobs: "bca", want: "left 1, waited 0, at most 20"},
			{at: 40, jobs: "ab", want: "left 2, waited 10, at most 30, queue 2"},
		},
		"another queue altogether": {
			{at: 10, want: "queue 0"},
			{at: 20, jobs: "abc", want: "queue 3"},
			{at: 30, jobs: "xyz", want: "left 3, waited 0, at most 20"},
		},
		"deeper than we look": {
			{at: 10, want: "queue 0"},
			{at: 20, jobs: "abc", depth: 9, want: "queue 9"},
			{at: 30, jobs: "bcd", depth: 8, want: "left 1, waited 0, at most 20, queue 8"},
			{at: 50, jobs: "def", depth: 6, want: "left 2, waited 10, at most 40, queue 6"},
			{at: 60, jobs: "f", want: "left 2, waited 20, at most 50, queue 1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var q queueWatch
			for _, s := range steps {
				var got []string
				emit := func(e trace.Event) { got = append(got, fmt.Sprintf("%s %d", queueWords[e.Kind], e.Arg)) }
				var first []uint64
				for _, c := range s.jobs {
					first = append(first, uint64(c))
				}
				q.look(emit, s.at, max(s.depth, len(first)), first, s.full)
				if text := strings.Join(got, ", "); text != s.want {
					t.Errorf("at %d: %q, want %q", s.at, text, s.want)
				}
			}
		})
	}
}

var queueWords = map[trace.Kind]string{trace.ExecutorQueue: "queue", trace.ExecutorLeft: "left", trace.ExecutorWaited: "waited", trace.ExecutorAtMost: "at most"}

// TestQueueEnds: who still waits at the end has waited at least since it was seen.
func TestQueueEnds(t *testing.T) {
	var q queueWatch
	var got []trace.Event
	emit := func(e trace.Event) { got = append(got, e) }
	for at := trace.Time(10); at <= 100; at += 10 {
		q.look(emit, at, 1, []uint64{7}, 0)
	}
	got = nil
	q.ends(emit, 200)
	want := []trace.Event{{Time: 200, Kind: trace.ExecutorWaited, Arg: 90}, {Time: 200, Kind: trace.ExecutorQueue}}
	if !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
}
