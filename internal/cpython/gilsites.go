package cpython

import (
	"debug/elf"
	"fmt"
	"slices"
	"strings"
)

// GILSites plans probes on take_gil and drop_gil by symbol. complete says that
// no drop passes by the drop sites: compilers inline drop_gil, in Debian's builds
// so often that two thirds of the voluntary drops are missed. The libc sites and
// the call sites see all of them.
func (p *Process) GILSites() (take, drop []Site, complete bool, err error) {
	c, err := p.runtimeModule()
	if err != nil {
		return nil, nil, false, err
	}
	takes, drops := c.mod.gilFunctions()
	if len(takes) == 0 {
		return nil, nil, false, fmt.Errorf("plan probes on take_gil in process %d: %w in %q; use the libc sites, or install its debug symbols", p.PID, ErrNoSymbol, c.m.Path)
	}
	if take, err = p.gilSites(c, takes, takeArg); err != nil {
		return nil, nil, false, err
	}
	drop, err = p.gilSites(c, drops, dropArg)
	return take, drop, len(drops) > 0 && c.mod.signalsOnlyInGIL(), err
}

// signalsOnlyInGIL says that only take_gil and drop_gil signal condition
// variables: then the latter is inlined nowhere.
func (m *module) signalsOnlyInGIL() bool {
	calls, err := m.gilCalls()
	return err == nil && !slices.ContainsFunc(calls, func(c libcCall) bool {
		in := m.symbol(c.at).Function
		return c.name == condSignal && in != "take_gil" && in != "drop_gil" && in != "drop_gil_impl"
	})
}

// gilFunction is one copy of take_gil or drop_gil.
type gilFunction struct {
	name  string // with the marks of clones
	entry uint64 // in the file
}

// gilFunctions finds the copies by symbol. Cold parts are not entered by calls.
func (m *module) gilFunctions() (takes, drops []gilFunction) {
	t := m.functions()
	find := func(prefix string) (found []gilFunction) {
		for _, s := range t.withPrefix(prefix) {
			name := t.name(&s)
			base := sourceName(name)
			if (base == prefix || base == prefix+"_impl") && !strings.Contains(name, ".cold") && m.img.executable(s.value) {
				found = append(found, gilFunction{name, s.value})
			}
		}
		return found
	}
	return find("take_gil"), find("drop_gil")
}

// gilSites plans the sites of functions.
func (p *Process) gilSites(c *candidate, functions []gilFunction, arg func(Version, string) uint8) ([]Site, error) {
	var sites []Site
	for _, f := range functions {
		s, err := p.siteAt(f.name, f.entry+c.bias)
		if err != nil {
			return nil, fmt.Errorf("plan a probe on %s in process %d: %w", f.name, p.PID, err)
		}
		s.TStateArg = arg(p.Version, f.name)
		sites = append(sites, s)
	}
	return sites, nil
}

// takeArg returns which argument of take_gil is the thread state (DWARF of the
// builds; CPython Python/ceval_gil.h).
func takeArg(v Version, name string) uint8 {
	if v.series() == 0x0308 && !strings.Contains(name, ".constprop") {
		return 2 // 3.8: (ceval, tstate); its clone lost the first
	}
	return 1
}

// dropArg is takeArg for drop_gil; 0 where a clone may have other arguments.
func dropArg(v Version, name string) uint8 {
	cloned := strings.Contains(name, ".isra") || strings.Contains(name, ".constprop")
	switch {
	case strings.HasPrefix(name, "drop_gil_impl"):
		return 1 // 3.14+: (tstate, gil)
	case v.series() >= 0x030d:
		return 2 // (interp, tstate, final_release); the constprop clone keeps both
	case cloned:
		return 0
	case v.series() == 0x0308 || v.series() == 0x030c:
		return 2 // (ceval, tstate)
	}
	return 3 // 3.9-3.11: (ceval, ceval2, tstate)
}

// executable says whether an address of the file is code.
func (m *image) executable(vaddr uint64) bool {
	for i := range m.segs {
		s := &m.segs[i]
		if s.kind == elf.PT_LOAD && s.flags&elf.PF_X != 0 && vaddr >= s.vaddr && vaddr-s.vaddr < s.filesz {
			return true
		}
	}
	return false
}
