package probes

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"gilscope/internal/cpython"
)

// Detail is how much of the GIL is recorded.
type Detail string

// Details.
const (
	Waits Detail = "waits" // every wait that sleeps, with its holder
	Full  Detail = "full"  // and every take and drop
	Auto  Detail = "auto"  // full as long as that costs little, else waits
)

// Backend is where the knowledge about the GIL comes from.
type Backend string

// Backends.
const (
	AutoBackend Backend = "auto"
	Futex       Backend = "futex"    // no probe: the futex words that threads sleep on (glibc)
	Condvar     Backend = "condvar"  // libc's condition variables, filtered by the GIL's address
	TakeGIL     Backend = "take_gil" // the interpreter's take_gil and drop_gil, or its calls of libc where those have no symbol
)

// Hook is a program to attach at a site of the target.
type Hook struct {
	Program string // name of the BPF program
	Return  bool   // at the function's return
	Which   uint8  // of the functions that run seldom
	Site    cpython.Site
}

// Plan says how a target's GIL is observed.
type Plan struct {
	Detail  Detail
	Backend Backend
	Hooks   []Hook
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
		what := h.Site.Name
		if h.Site.In != "" {
			what += " in " + h.Site.In
		}
		out = append(out, fmt.Sprintf("%s %s+%#x %s", what, h.Site.File, h.Site.Offset, h.Site.Insn))
	}
	return strings.Join(out, "; ")
}

// facts is what a plan depends on.
type facts struct {
	pid       int
	libc      cpython.LibcKind
	libcSites func(names ...string) ([]cpython.Site, error)
	gilSites  func() (take, drop []cpython.Site, complete bool, err error)
	callSites func() ([]cpython.Site, error)
}

// NewPlan chooses how to observe the GIL of p. With want it is asked for one
// backend and refuses if the target does not allow it; otherwise it takes the
// cheapest complete one: for waits no probe at all, for full libc's condition
// variables, else take_gil and drop_gil.
func NewPlan(p *cpython.Process, detail Detail, want Backend) (Plan, error) {
	return choose(facts{p.PID, p.Libc().Kind, p.LibcSites, p.GILSites, p.CallSites}, detail, want)
}

func choose(f facts, detail Detail, want Backend) (Plan, error) {
	switch want {
	case Futex:
		return futexPlan(f, detail)
	case Condvar:
		return condvarPlan(f, detail)
	case TakeGIL:
		return takePlan(f, detail)
	case AutoBackend, "":
	default:
		return Plan{}, fmt.Errorf("backend %q is not known: use auto, futex, condvar or take_gil", want)
	}
	var why []error
	for _, try := range []func(facts, Detail) (Plan, error){futexPlan, condvarPlan, takePlan} {
		plan, err := try(f, detail)
		if err == nil {
			return plan, nil
		}
		why = append(why, err)
	}
	return Plan{}, fmt.Errorf("pid %d: no way to observe the GIL: %w", f.pid, errors.Join(why...))
}

func futexPlan(f facts, detail Detail) (Plan, error) {
	if detail == Full {
		return Plan{}, errors.New("backend futex sees waits only: use --detail waits")
	}
	if f.libc != cpython.Glibc {
		return Plan{}, fmt.Errorf("backend futex needs glibc, whose condition variables wait inside the GIL (the target has %s): use another backend", f.libc)
	}
	return Plan{Detail: detail, Backend: Futex}, nil
}

// libcPrograms are the programs that know libc's functions by their arguments.
var libcPrograms = map[string]string{
	"pthread_cond_signal":    bpfProgCondSignal,
	"pthread_cond_timedwait": bpfProgCondTimedwait,
}

func condvarPlan(f facts, detail Detail) (Plan, error) {
	names := []string{"pthread_cond_timedwait"}
	if detail == Full {
		names = append(names, "pthread_cond_signal")
	}
	sites, err := f.libcSites(names...)
	if err != nil {
		return Plan{}, fmt.Errorf("backend condvar: %w", err)
	}
	plan := Plan{Detail: detail, Backend: Condvar}
	for _, s := range sites {
		plan.Hooks = append(plan.Hooks, Hook{Program: libcPrograms[s.Name], Site: s})
	}
	return plan, plan.refuseDear()
}

// takePlan probes take_gil and drop_gil where symbols tell where they are and
// nothing of them is inlined elsewhere; if not, or if that would be dear, what
// the interpreter's code calls of libc: the same events, seen from inside.
func takePlan(f facts, detail Detail) (Plan, error) {
	plan, err := functionPlan(f, detail)
	if err == nil {
		return plan, nil
	}
	calls, callErr := callPlan(f, detail)
	if callErr == nil {
		return calls, nil
	}
	return Plan{}, errors.Join(err, callErr)
}

func functionPlan(f facts, detail Detail) (Plan, error) {
	take, drop, complete, err := f.gilSites()
	if err != nil {
		return Plan{}, fmt.Errorf("backend take_gil: %w", err)
	}
	plan := Plan{Detail: detail, Backend: TakeGIL}
	for _, s := range take {
		plan.Hooks = append(plan.Hooks, Hook{Program: bpfProgTakeGil, Site: s}, Hook{Program: bpfProgTakeGilReturn, Return: true, Site: s})
	}
	if detail == Full {
		if !complete {
			return Plan{}, errors.New("backend take_gil: the compiler inlined drop_gil, so a probe on it misses drops: use --gil-backend condvar")
		}
		for _, s := range drop {
			plan.Hooks = append(plan.Hooks, Hook{Program: bpfProgDropGil, Site: s})
		}
	}
	return plan, plan.refuseDear()
}

func callPlan(f facts, detail Detail) (Plan, error) {
	sites, err := f.callSites()
	if err != nil {
		return Plan{}, fmt.Errorf("backend take_gil: %w", err)
	}
	plan := Plan{Detail: detail, Backend: TakeGIL}
	for _, s := range sites {
		if detail == Full || s.Name == "pthread_cond_timedwait" {
			plan.Hooks = append(plan.Hooks, Hook{Program: libcPrograms[s.Name], Site: s})
		}
	}
	return plan, plan.refuseDear()
}

// refuseDear keeps single-stepped instructions off the hot paths: they cost 18
// microseconds and more at each hit.
func (p Plan) refuseDear() error {
	for _, h := range p.Hooks {
		if !slices.Contains(PlannedCosts, h.Site.Cost) {
			return fmt.Errorf("backend %s: %s of %s begins with %q, which the kernel would single-step (18 us a hit): use another backend",
				p.Backend, h.Site.Name, h.Site.File, h.Site.Insn)
		}
	}
	return nil
}
