package scaling

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestLadder(t *testing.T) {
	for cpus, want := range map[int][]int{
		1: {1}, 2: {1, 2}, 3: {1, 2, 3}, 4: {1, 2, 3, 4}, 6: {1, 2, 3, 4, 6}, 8: {1, 2, 3, 4, 6, 8},
		10: {1, 2, 3, 4, 6, 8, 10}, 16: {1, 2, 3, 4, 6, 8, 12, 16},
	} {
		if got := Ladder(cpus); !slices.Equal(got, want) {
			t.Errorf("%d CPUs: %v, want %v", cpus, got, want)
		}
	}
}

func TestPlan(t *testing.T) {
	for _, c := range []struct {
		name   string
		choice Choice
		points []string // all, in order; nil: an error with the words of fail
		fail   string
	}{
		{"threads", Choice{Kinds: []Kind{Threads}, Machine: 2, Rounds: 1}, []string{"threads 1 on 2 CPUs", "threads 2 on 2 CPUs"}, ""},
		{"one is added", Choice{Kinds: []Kind{Threads}, Workers: []int{4, 2, 2}, Machine: 2, Rounds: 1},
			[]string{"threads 1 on 2 CPUs", "threads 2 on 2 CPUs", "threads 4 on 2 CPUs"}, ""},
		{"both", Choice{Kinds: []Kind{Threads, Processes}, GILs: []GIL{On, Off}, Workers: []int{2}, Machine: 2, Rounds: 1}, []string{
			"threads 1 on 2 CPUs, GIL on", "threads 2 on 2 CPUs, GIL on", "threads 1 on 2 CPUs, GIL off", "threads 2 on 2 CPUs, GIL off",
			"processes 1 on 2 CPUs, GIL on", "processes 2 on 2 CPUs, GIL on"}, ""},
		{"match", Choice{Kinds: []Kind{Threads}, Workers: []int{2, 4}, Match: true, Machine: 2, Rounds: 1},
			[]string{"threads 1 on 1 CPUs", "threads 2 on 2 CPUs", "threads 4 on 2 CPUs"}, ""},
		{"cpus", Choice{Kinds: []Kind{CPUs}, Machine: 3, Rounds: 1}, []string{"1 CPUs", "2 CPUs", "3 CPUs"}, ""},
		{"limits", Choice{Kinds: []Kind{Threads}, Workers: []int{2}, CPUs: []int{1, 2}, Machine: 2, Rounds: 1},
			[]string{"threads 1 on 1 CPUs", "threads 2 on 1 CPUs", "threads 1 on 2 CPUs", "threads 2 on 2 CPUs"}, ""},
		{"more CPUs than there are", Choice{Kinds: []Kind{CPUs}, Workers: []int{4}, Machine: 2, Rounds: 1}, nil, "lets us use 2"},
		{"a limit beyond", Choice{Kinds: []Kind{Threads}, CPUs: []int{3}, Machine: 2, Rounds: 1}, nil, "1 to 2"},
		{"no worker", Choice{Kinds: []Kind{Threads}, Workers: []int{0}, Machine: 2, Rounds: 1}, nil, "give 1 to"},
		{"no round", Choice{Kinds: []Kind{Threads}, Machine: 2}, nil, "rounds"},
		{"no machine", Choice{Kinds: []Kind{Threads}, Rounds: 1}, nil, "taskset"},
		{"too much", Choice{Kinds: []Kind{Threads}, Workers: upTo(65), Machine: 2, Rounds: 1}, nil, "fewer"},
	} {
		p, err := NewPlan(c.choice)
		var got []string
		for _, s := range p.Steps() {
			got = append(got, fmt.Sprint(p.At(s)))
		}
		if c.points == nil {
			if err == nil || !strings.Contains(err.Error(), c.fail) {
				t.Errorf("%s: error %v, want one with %q", c.name, err, c.fail)
			}
		} else if err != nil || !slices.Equal(got, c.points) {
			t.Errorf("%s: %q, %v; want %q", c.name, got, err, c.points)
		}
	}
}

func upTo(n int) []int {
	var all []int
	for i := range n {
		all = append(all, i+1)
	}
	return all
}

// TestOrder: each round has every step once, in an order of its own, and the same again for the same seed.
func TestOrder(t *testing.T) {
	p := plan(t, 8, 10)
	orders := map[string]bool{}
	for round := range p.Rounds {
		order := p.Order(round)
		if !slices.Equal(order, p.Order(round)) {
			t.Errorf("round %d is not the same again", round)
		}
		orders[fmt.Sprint(order)] = true
		slices.SortFunc(order, func(a, b Step) int { return a.Point - b.Point })
		if !slices.Equal(order, p.Steps()) {
			t.Errorf("round %d runs %v", round, order)
		}
	}
	if len(orders) < 5 {
		t.Errorf("10 rounds have %d orders", len(orders))
	}
}
