package cpython

import (
	"fmt"
	"slices"
)

// The C library functions by whose calls the GIL is observed: drop_gil signals
// gil->cond, take_gil signals gil->switch_cond once it has the GIL, and waits on
// gil->cond (CPython Python/ceval_gil.c).
const (
	condSignal    = "pthread_cond_signal"
	condTimedwait = "pthread_cond_timedwait"
)

// CallSites plans a probe on every call of pthread_cond_signal and of
// pthread_cond_timedwait in the interpreter's file, in the order of addresses.
// They see all takes and drops, also where the compiler inlined drop_gil and no
// symbol is left; other users of these functions in the same file hit as well.
// If only one call cannot be probed, or costs a single step, the error says why:
// sites that miss some drops are worth nothing.
func (p *Process) CallSites() ([]Site, error) {
	c, err := p.runtimeModule()
	if err != nil {
		return nil, err
	}
	if !p.cpu().callSites {
		return nil, fmt.Errorf("plan probes on calls in process %d: %w on %s", p.PID, ErrUnsupported, p.cpu().name)
	}
	calls, err := c.mod.gilCalls()
	if err == nil {
		calls, err = c.mod.proven(calls)
	}
	if err != nil {
		return nil, fmt.Errorf("plan probes on calls in %q of process %d: %w", c.m.Path, p.PID, err)
	}
	var sites []Site
	for _, call := range calls {
		s, err := p.callSite(c, call)
		if err != nil {
			return nil, fmt.Errorf("plan a probe on a call of %s at %#x in %q of process %d: %w", call.name, call.insn, c.m.Path, p.PID, err)
		}
		sites = append(sites, s)
	}
	for _, name := range []string{condSignal, condTimedwait} {
		if !slices.ContainsFunc(sites, func(s Site) bool { return s.Name == name }) {
			return nil, fmt.Errorf("plan probes on calls of %s in process %d: %w in %q", name, p.PID, ErrNoSymbol, c.m.Path)
		}
	}
	return sites, nil
}

// gilCalls finds the calls once for each file.
func (m *module) gilCalls() ([]libcCall, error) {
	m.callsOnce.Do(func() { m.found, m.foundErr = m.calls([]string{condSignal, condTimedwait}) })
	return m.found, m.foundErr
}

// callSite plans the probe on one call.
func (p *Process) callSite(c *candidate, call libcCall) (Site, error) {
	switch call.kind {
	case callBranch:
		return Site{}, fmt.Errorf("a conditional jump, where a probe hits also if the call is not made: %w", ErrUnsupported)
	case callIndirect:
		return Site{}, fmt.Errorf("made through a pointer, which the kernel would single-step: %w", ErrUnsupported)
	}
	s, code, err := p.place(call.name, call.insn+c.bias)
	if err != nil {
		return Site{}, err
	}
	plan, err := planAt(code, 0)
	if err != nil {
		return Site{}, err
	}
	s.Insn, s.Cost, s.Call = plan.insn, plan.cost, call.kind == callDirect
	s.In = c.mod.symbol(call.insn).Function
	return s, nil
}
