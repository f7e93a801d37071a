package main

import (
	"slices"
	"strconv"
)

// tool is something that watches a Python program from beside or from within.
type tool struct {
	Name string
	// attach is the command that watches a running process, nil if the tool cannot
	// do that; it says ready when it does. ctrl-C ends it.
	attach func(p *peers, pid int) []string
	ready  string
	from   int // where it says so
	// runner is the module that runs the program; it gets the file for its result
	// by -o. env is what is set for the program.
	runner []string
	env    []string
}

// command is how Python runs a program (a script, or -m and a module; then its
// arguments) with the tool inside, if it goes there.
func (t *tool) command(p *peers, program ...string) []string {
	if t.runner == nil {
		return program
	}
	args := append(slices.Clone(t.runner), "-o", p.rig.trace+".json")
	if program[0] == "-m" { // of the runner: what it takes before "--" are its own flags
		return append(append(args, program[:2]...), append([]string{"--"}, program[2:]...)...)
	}
	return append(append(args, "--"), program...)
}

// inside says that the tool is part of the process from its start.
func (t *tool) inside() bool { return t.attach == nil && (t.runner != nil || t.env != nil) }

// tools in the order of the table. The first is nothing at all: its ratio is 1,
// and shows what the ratios of the others are worth.
var tools = []tool{
	{Name: "none (what the noise does)"},
	recordTool("gilscope record (default)", "auto"),
	recordTool("gilscope record --detail waits", "waits"),
	recordTool("gilscope record --detail full", "full"),
	{Name: "py-spy record, 100 Hz", attach: pySpy(), ready: "py-spy> Sampling"},
	{Name: "py-spy record, 100 Hz --nonblocking", attach: pySpy("--nonblocking"), ready: "py-spy> Sampling"},
	{Name: "viztracer (launched)", runner: []string{"-m", "viztracer", "--quiet"}},
	{Name: "gilknocker, 1 ms", env: []string{"GILSCOPE_BENCH_KNOCK=1"}},
}

func recordTool(name, detail string) tool {
	return tool{Name: name, ready: "recording ", from: fromStderr, attach: func(p *peers, pid int) []string {
		return []string{p.rig.gilscope, "record", "-p", strconv.Itoa(pid), "--detail", detail, "-o", p.rig.trace}
	}}
}

func pySpy(flags ...string) func(*peers, int) []string {
	return func(p *peers, pid int) []string {
		args := []string{p.packages + "/bin/py-spy", "record", "-p", strconv.Itoa(pid), "-r", "100", "-f", "raw", "-o", p.rig.trace + ".pyspy"}
		return append(args, flags...)
	}
}
