package main

import (
	"errors"
	"fmt"
	"strings"

	"gilscope/collector"
	"gilscope/internal/cpython"
	"gilscope/probes"
)

// target is what doctor finds out about a process.
type target struct {
	PID          int    `json:"pid"`
	NSPID        int32  `json:"ns_pid"` // in its own pid namespace
	Python       string `json:"python"`
	Path         string `json:"path"`
	Linkage      string `json:"linkage"` // shared or static
	Stripped     bool   `json:"stripped"`
	PIE          bool   `json:"pie"`
	FreeThreaded bool   `json:"free_threaded"`
	GILEnabled   bool   `json:"gil_enabled"`
	BuildID      string `json:"build_id"`
	Libc         string `json:"libc"`
	Interpreters int    `json:"interpreters"`
	Threads      int    `json:"threads"` // that Python knows
	Children     []int  `json:"children"`
	FrozenBy     string `json:"frozen_by"` // its cgroup, if that is frozen
	Plans        []plan `json:"plans"`
}

// plan is how the GIL would be observed at one detail.
type plan struct {
	Detail  string   `json:"detail"`
	Backend string   `json:"backend"`
	Cost    string   `json:"cost"` // of the dearest site
	Sites   []string `json:"sites"`
	PairNS  *int64   `json:"pair_ns"` // what a take and a drop cost the target, as measured here; null: unknown
	Error   string   `json:"error"`
}

// process looks at one process.
func (d *diagnosis) process(pid int) {
	err := collector.CheckTarget(pid)
	d.add("state of the process", "runs, no tracer", err)
	if errors.Is(err, collector.ErrAccess) {
		return // nor may its caller be told anything else of it
	}
	if cgroup := collector.FrozenBy(pid); cgroup != "" {
		d.warn("freezer", fmt.Sprintf("cgroup %s is frozen: nothing can be recorded until it is thawed (echo 0 > cgroup.freeze)", cgroup))
	}
	p, err := cpython.Open(pid)
	if err != nil {
		d.add("interpreter", "", err)
		return
	}
	defer p.Close()
	t := describe(p)
	d.Target = t
	d.add("interpreter", fmt.Sprintf("Python %s in %s (%s), %s", t.Python, t.Path, strings.Join(t.traits(), ", "), t.Libc), nil)
	if err := collector.CheckFile(p); err != nil {
		d.warn("interpreter's file", err.Error())
	}
	if t.NSPID != int32(pid) && t.NSPID != 0 {
		d.add("container", fmt.Sprintf("its own pid namespace, where it is pid %d", t.NSPID), nil)
	}
	d.add("threads", fmt.Sprintf("%d of Python, in %d interpreters", t.Threads, t.Interpreters), nil)
	if n := len(t.Children); n > 0 {
		d.warn("children", fmt.Sprintf("%d run: record them with -p as well (--follow is for those to come)", n))
	}
	for _, detail := range []probes.Detail{probes.Waits, probes.Full} {
		d.plan(p, detail)
	}
}

// describe reads what is to be known of an interpreter.
func describe(p *cpython.Process) *target {
	b := p.Build
	t := &target{
		PID: p.PID, NSPID: p.NSPID(), Python: p.Version.String(), Path: b.Path, Linkage: pick(b.Shared, "shared", "static"),
		Stripped: b.Stripped, PIE: b.PIE, FreeThreaded: b.FreeThreaded, GILEnabled: b.GILEnabled, BuildID: b.BuildID,
		Libc:     strings.TrimSpace(string(p.Libc().Kind) + " " + p.Libc().Version),
		Children: collector.Children(p.PID), FrozenBy: collector.FrozenBy(p.PID),
	}
	if interps, err := p.Interpreters(); err == nil {
		t.Interpreters = len(interps)
	}
	if states, err := p.ThreadStates(); err == nil {
		t.Threads = len(states)
	}
	return t
}

func (t *target) traits() []string {
	traits := []string{t.Linkage, pick(t.PIE, "PIE", "non-PIE"), pick(t.Stripped, "stripped", "with symbols")}
	if t.FreeThreaded {
		traits = append(traits, "free-threaded, "+pick(t.GILEnabled, "GIL enabled", "GIL disabled"))
	}
	return traits
}

func pick(is bool, yes, no string) string {
	if is {
		return yes
	}
	return no
}

// plan says how the GIL would be observed, and what that would cost.
func (d *diagnosis) plan(p *cpython.Process, detail probes.Detail) {
	chosen, err := probes.NewPlan(p, detail, probes.AutoBackend)
	row := plan{Detail: string(detail), Backend: string(chosen.Backend), Cost: chosen.Cost(), Sites: []string{}}
	text := fmt.Sprintf("backend %s, no probe in the target", chosen.Backend)
	if len(chosen.Hooks) > 0 {
		row.PairNS = d.pairCost(chosen)
		row.Sites = strings.Split(chosen.Sites(), "; ")
		text = fmt.Sprintf("backend %s, %s%s: %s", chosen.Backend, chosen.Cost(), perPair(row.PairNS), chosen.Sites())
	}
	check := "detail " + string(detail)
	switch {
	case err == nil:
		d.add(check, text, nil)
	case errors.Is(err, cpython.ErrNoSymbol) || errors.Is(err, cpython.ErrUnsupported):
		row.Error = err.Error()
		d.warn(check, row.Error)
	default:
		row.Error = err.Error()
		d.add(check, "", err)
	}
	d.Target.Plans = append(d.Target.Plans, row)
}

// pairCost is what a take and a drop cost with the plan's dearest kind of site.
func (d *diagnosis) pairCost(p probes.Plan) *int64 {
	if p.Detail != probes.Full {
		return nil
	}
	for _, h := range d.Hits {
		if h.Cost == p.Cost() {
			ns := 2 * h.RecordNS
			return &ns
		}
	}
	return nil
}

func perPair(ns *int64) string {
	if ns == nil {
		return ""
	}
	return fmt.Sprintf(", about %.1f us for each take and drop here", float64(*ns)/1e3)
}
