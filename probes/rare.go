package probes

import (
	"errors"
	"fmt"

	"gilscope/internal/cpython"
)

// Functions of free-threaded builds that run seldom, as KindRare records name them in
// Arg; see enum rare_kind in bpf/wire.h.
const (
	RareStops     = uint32(bpfRareKindRARE_STOPS)      // stop_the_world is entered: Pc, Sp and Stack are its caller's
	RareStopped   = uint32(bpfRareKindRARE_STOPPED)    // and left
	RareStarts    = uint32(bpfRareKindRARE_STARTS)     // start_the_world
	RareChecksGIL = uint32(bpfRareKindRARE_CHECKS_GIL) // _PyImport_CheckGILForModule: Stack is the begin of the str with the module's name
	RareGILOn     = uint32(bpfRareKindRARE_GIL_ON)     // _PyEval_EnableGILPermanent
)

// rareFunctions are these by name: all local symbols of the interpreter.
var rareFunctions = []struct {
	name  string
	which uint32
}{
	{"stop_the_world", RareStops},
	{"start_the_world", RareStarts},
	{"_PyImport_CheckGILForModule", RareChecksGIL},
	{"_PyEval_EnableGILPermanent", RareGILOn},
}

// HookRare puts probes on the functions that run seldom, as far as the interpreter has
// symbols for them; they stay until the process is forgotten, at any detail. A build with a GIL has
// none. It returns which it found, and the probes.
func (s *Session) HookRare(p *cpython.Process, shared bool) (found map[uint32]bool, plan Plan, err error) {
	found = map[uint32]bool{}
	if !p.Build.FreeThreaded {
		return found, plan, nil
	}
	for _, f := range rareFunctions {
		site, err := p.FunctionSite(f.name)
		if err != nil {
			continue // inlined, or stripped
		}
		found[f.which] = true
		plan.Hooks = append(plan.Hooks, Hook{Program: bpfProgRare, Site: site, Which: uint8(f.which)})
		if f.which == RareStops {
			plan.Hooks = append(plan.Hooks, Hook{Program: bpfProgRareReturn, Return: true, Site: site})
		}
	}
	was := len(s.hooks[p.PID])
	for _, g := range groups(plan.Hooks) {
		if err = s.attach(p.PID, g, shared); err != nil {
			err = fmt.Errorf("attach to pid %d: %v: %w: stop-the-world pauses are not recorded", p.PID, g, permission(err))
			break
		}
	}
	s.rare[p.PID] = append(s.rare[p.PID], s.hooks[p.PID][was:]...)
	s.hooks[p.PID] = s.hooks[p.PID][:was]
	return found, plan, err
}

func (s *Session) inheritRare(child, parent int) {
	for _, c := range s.rare[parent] {
		if hook, ok := c.(*sharedHook); ok {
			hook.users++
			s.rare[child] = append(s.rare[child], hook)
		}
	}
}

// UnhookRare takes these probes off.
func (s *Session) UnhookRare(pid int) error {
	var errs []error
	for _, l := range s.rare[pid] {
		errs = append(errs, l.Close())
	}
	delete(s.rare, pid)
	return errors.Join(errs...)
}
