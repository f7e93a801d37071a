package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
)

// statThreads are the numbers of threads that call os.stat.
var statThreads = []int{1, 2, 4}

func statName(threads int) string { return fmt.Sprintf("os.stat, %d threads", threads) }

// measureStats measures threads that do nothing but os.stat.
func (p *peers) measureStats(ctx context.Context, name string, threads int) (column, error) {
	c := column{Name: name, Unit: "ns", Pairs: map[string][]pair{}}
	calls := 20_000
	warm, err := p.stats(ctx, &tool{}, threads, calls/threads)
	if err != nil {
		return c, err
	}
	calls = int(float64(calls) * float64(p.each) / 2 / warm.wall) // half as long: it takes three columns
	for round := range p.rounds {
		fmt.Fprintf(p.words, "%s: round %d of %d\n", name, round+1, p.rounds)
		run := func(t *tool) (turn, error) { return p.stats(ctx, t, threads, max(calls/threads, 1)) }
		if err := p.alternate(&c, func() (turn, error) { return run(&tool{}) }, run); err != nil {
			return c, err
		}
	}
	return c, nil
}

// stats runs the program once, on all CPUs.
func (p *peers) stats(ctx context.Context, t *tool, threads, each int) (turn, error) {
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	args := append([]string{p.rig.python, "-B"}, t.command(p, filepath.Join(p.programs, "stats.py"), strconv.Itoa(each), strconv.Itoa(threads))...)
	program, err := p.start(ctx, fromStdout, args, t.env)
	if err != nil {
		return turn{}, err
	}
	defer program.kill() // what is inside need not write its file
	if _, err := program.until("ready"); err != nil {
		return turn{}, err
	}
	off, err := p.watch(ctx, t, program.cmd.Process.Pid)
	if err != nil {
		return turn{}, err
	}
	s, err := measureOnly(program)
	if err != nil {
		off()
		return turn{}, err
	}
	program.kill() // a tool that is attached ends with it, or by off
	if err := off(); err != nil {
		return turn{}, err
	}
	return turn{wall: float64(s.WallNS), cpu: float64(s.CPUNS)}, nil
}
