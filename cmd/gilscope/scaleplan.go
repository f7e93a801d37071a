package main

import (
	"context"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gilscope/analyze"
	"gilscope/internal/scaling"
)

// Places in the command's arguments where the numbers of workers go.
const (
	threadsHere   = "{n}"
	processesHere = "{p}"
)

// environmentName is what may be given to --env.
var environmentName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (o *scaleOptions) check() error {
	if o.json {
		o.format = "json"
	}
	switch {
	case len(o.command) == 0:
		return usageErrorf("nothing to run: give a command after --, such as: gilscope scale -- python3 work.py {n}")
	case o.format != "text" && o.format != "json":
		return usageErrorf("--format %q is not known: use text or json (and --html FILE)", o.format)
	case !slices.Contains([]string{"auto", "both", "on", "off", "keep"}, o.gil):
		return usageErrorf("--gil %q is not known: use auto, both, on, off or keep", o.gil)
	case o.timeout < time.Second:
		return usageErrorf("--timeout %v: give 1s or more", o.timeout)
	case len(o.threads) > 0 && !o.offers(threadsHere, o.env):
		return usageErrorf("--threads: the command cannot be told how many: write {n} in its arguments, or give --env NAME")
	case len(o.processes) > 0 && !o.offers(processesHere, o.processEnv):
		return usageErrorf("--processes: the command cannot be told how many: write {p} in its arguments, or give --processes-env NAME")
	}
	for _, name := range []string{o.env, o.processEnv} {
		if name != "" && !environmentName.MatchString(name) {
			return usageErrorf("--env %q: give the name of an environment variable", name)
		}
	}
	return o.memory.check()
}

// offers says whether the command can be told a number of workers.
func (o *scaleOptions) offers(place, env string) bool {
	return env != "" || slices.ContainsFunc(o.command[1:], func(a string) bool { return strings.Contains(a, place) })
}

// measurement checks the flags and makes the plan.
func (o *scaleOptions) measurement(ctx context.Context, cpus []int, words io.Writer) (*measurement, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	m := &measurement{o: o, cpus: cpus, words: words, results: scaling.Results{Runs: map[scaling.Step][]scaling.Run{}}}
	if o.throughput != "" {
		rate, err := regexp.Compile(o.throughput)
		if err != nil || rate.NumSubexp() < 1 {
			return nil, usageErrorf("--throughput %q: give a regular expression with a group around the number", o.throughput)
		}
		m.rate = rate
	}
	gils, err := m.gils(ctx)
	if err != nil {
		return nil, err
	}
	if err := m.makePlan(gils); err != nil {
		return nil, usageErrorf("%w", err)
	}
	return m, nil
}

func (m *measurement) makePlan(gils []scaling.GIL) error {
	o, c := m.o, scaling.Choice{GILs: gils, Machine: len(m.cpus), Rounds: m.o.rounds, Seed: m.o.seed}
	if o.cpus == "match" {
		c.Match = true
	} else if o.cpus != "all" {
		for _, s := range strings.Split(o.cpus, ",") {
			n, err := strconv.Atoi(strings.TrimSpace(s))
			if err != nil {
				return usageErrorf("--cpus %q: use all, match, or numbers such as 1,2,4", o.cpus)
			}
			c.CPUs = append(c.CPUs, n)
		}
	}
	for _, k := range []struct {
		kind    scaling.Kind
		offered bool
		workers []int
	}{
		{scaling.Threads, o.offers(threadsHere, o.env), o.threads},
		{scaling.Processes, o.offers(processesHere, o.processEnv), o.processes},
	} {
		if !k.offered {
			continue
		}
		c.Kinds, c.Workers = []scaling.Kind{k.kind}, k.workers
		if err := m.add(c); err != nil {
			return err
		}
	}
	if len(m.plan.Series) > 0 {
		return nil
	}
	m.skip("threads", "the command is told no number of threads ({n} or --env): the ladder is that of the CPUs it may use")
	c.Kinds, c.Workers, c.CPUs = []scaling.Kind{scaling.CPUs}, c.CPUs, nil
	return m.add(c)
}

// add adds the ladders of a choice to the plan.
func (m *measurement) add(c scaling.Choice) error {
	p, err := scaling.NewPlan(c)
	if err != nil {
		return err
	}
	p.Series = append(m.plan.Series, p.Series...)
	m.plan = p
	return nil
}

func (m *measurement) skip(what, why string) {
	m.skipped = append(m.skipped, analyze.Skipped{What: what, Why: why})
}

// argv is the command of a point, and its environment beside ours.
func (o *scaleOptions) argv(p scaling.Point) (argv, env []string) {
	threads, processes := "1", "1"
	switch p.Kind {
	case scaling.Threads:
		threads = strconv.Itoa(p.Workers)
	case scaling.Processes:
		processes = strconv.Itoa(p.Workers)
	}
	argv = slices.Clone(o.command)
	for i := range argv[1:] {
		argv[i+1] = strings.NewReplacer(threadsHere, threads, processesHere, processes).Replace(argv[i+1])
	}
	if o.env != "" {
		env = append(env, o.env+"="+threads)
	}
	if o.processEnv != "" {
		env = append(env, o.processEnv+"="+processes)
	}
	switch p.GIL {
	case scaling.On:
		env = append(env, "PYTHON_GIL=1")
	case scaling.Off:
		env = append(env, "PYTHON_GIL=0")
	}
	return argv, env
}

// program is the command's name: its arguments may be secrets, and stay out of reports.
func (o *scaleOptions) program() string { return filepath.Base(o.command[0]) }
