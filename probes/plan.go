package probes

import (
	"errors"
	"fmt"
	"strings"

	"gilscope/internal/cpython"
)

// Detail is how much of the GIL is recorded.
type Detail string

// Details.
const (
	Waits Detail = "waits" // every wait that sleeps, with its holder
	Full  Detail = "full"  // and every take and drop
)

// Backend is where the knowledge about the GIL comes from.
type Backend string

// Backends.
const (
	AutoBackend Backend = "auto"
	Futex       Backend = "futex"    // no probe: the futex words that threads sleep on (glibc)
	Condvar     Backend = "condvar"  // libc's condition variables, filtered by the GIL's address
	TakeGIL     Backend = "take_gil" // the interpreter's take_gil and drop_gil, by symbol
)

// Hook is a program to attach at a site of the target.
type Hook struct {
	Program string // name of the BPF program
	Return  bool   // at the function's return
	Site    cpython.Site
}

// Plan says how a target's GIL is observed.
type Plan struct {
	Detail  Detail
	Backend Backend
	Hooks   []Hook
	Partial string // what this backend cannot see in this build, "" if nothing
}

// Cost is the dearest kind of site of the plan, "none" if it has no probe.
func (p Plan) Cost() string {
	if len(p.Hooks) == 0 {
		return "none"
	}
	worst := p.Hooks[0].Site.Cost
	for _, h := range p.Hooks {
		worst = max(worst, h.Site.Cost)
	}
	return worst.String()
}

// Sites describes the hooks for people and for the trace.
func (p Plan) Sites() string {
	var out []string
	for _, h := range p.Hooks {
		out = append(out, fmt.Sprintf("%s %s+%#x %s", h.Site.Name, h.Site.File, h.Site.Offset, h.Site.Insn))
	}
	return strings.Join(out, "; ")
}

// NewPlan chooses how to observe the GIL of p. With want it is asked for one
// backend and refuses if the target does not allow it; otherwise it takes the
// cheapest complete one: for waits no probe at all, for full libc's condition
// variables, else take_gil and drop_gil.
func NewPlan(p *cpython.Process, detail Detail, want Backend) (Plan, error) {
	switch want {
	case Futex:
		return futexPlan(p, detail)
	case Condvar:
		return condvarPlan(p, detail)
	case TakeGIL:
		return takePlan(p, detail)
	case AutoBackend, "":
	default:
		return Plan{}, fmt.Errorf("backend %q is not known: use auto, futex, condvar or take_gil", want)
	}
	var why []error
	for _, try := range []func(*cpython.Process, Detail) (Plan, error){futexPlan, condvarPlan, takePlan} {
		plan, err := try(p, detail)
		if err == nil {
			return plan, nil
		}
		why = append(why, err)
	}
	return Plan{}, fmt.Errorf("pid %d: no way to observe the GIL: %w", p.PID, errors.Join(why...))
}

func futexPlan(p *cpython.Process, detail Detail) (Plan, error) {
	if detail == Full {
		return Plan{}, errors.New("backend futex sees waits only: use --detail waits")
	}
	if kind := p.Libc().Kind; kind != cpython.Glibc {
		return Plan{}, fmt.Errorf("backend futex needs glibc, whose condition variables wait inside the GIL (the target has %s)", kind)
	}
	return Plan{Detail: detail, Backend: Futex}, nil
}

func condvarPlan(p *cpython.Process, detail Detail) (Plan, error) {
	names := []string{"pthread_cond_timedwait"}
	if detail == Full {
		names = append(names, "pthread_cond_signal")
	}
	sites, err := p.LibcSites(names...)
	if err != nil {
		return Plan{}, fmt.Errorf("backend condvar: %w", err)
	}
	plan := Plan{Detail: detail, Backend: Condvar}
	for _, s := range sites {
		prog := bpfProgCondSignal
		if s.Name == "pthread_cond_timedwait" {
			prog = bpfProgCondTimedwait
		}
		plan.Hooks = append(plan.Hooks, Hook{Program: prog, Site: s})
	}
	return plan, plan.refuseDear()
}

func takePlan(p *cpython.Process, detail Detail) (Plan, error) {
	take, drop, complete, err := p.GILSites()
	if err != nil {
		return Plan{}, fmt.Errorf("backend take_gil: %w", err)
	}
	plan := Plan{Detail: detail, Backend: TakeGIL}
	for _, s := range take {
		plan.Hooks = append(plan.Hooks, Hook{Program: bpfProgTakeGil, Site: s}, Hook{Program: bpfProgTakeGilReturn, Return: true, Site: s})
	}
	if detail == Full {
		for _, s := range drop {
			plan.Hooks = append(plan.Hooks, Hook{Program: bpfProgDropGil, Site: s})
		}
		if !complete {
			plan.Partial = "drops inlined by the compiler"
		}
	}
	return plan, plan.refuseDear()
}

// refuseDear keeps single-stepped instructions off the hot paths: they cost 18
// microseconds and more at each hit.
func (p Plan) refuseDear() error {
	for _, h := range p.Hooks {
		if h.Site.Cost == cpython.SingleStepped {
			return fmt.Errorf("backend %s: %s of %s begins with %q, which the kernel would single-step (18 us a hit): use another backend",
				p.Backend, h.Site.Name, h.Site.File, h.Site.Insn)
		}
	}
	return nil
}
