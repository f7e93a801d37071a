package probes

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"gilscope/internal/cpython"
)

var errNone = errors.New("nothing there")

// sitesAt makes sites of that cost, with the names.
func sitesAt(cost cpython.Cost, names ...string) (sites []cpython.Site) {
	for _, name := range names {
		sites = append(sites, cpython.Site{Name: name, Cost: cost, Insn: "mov", Call: strings.HasPrefix(name, "call ")})
		s := &sites[len(sites)-1]
		s.Name = strings.TrimPrefix(s.Name, "call ")
	}
	return sites
}

// target makes the facts of a target: what can be found in it, at which cost.
type target struct {
	libc                 cpython.LibcKind
	functions, gil, call cpython.Cost
	noFunctions          bool // libc's functions cannot be found
	noGIL                bool // take_gil has no symbol
	inlined              bool // drop_gil is inlined somewhere
	noCalls              bool // not all calls of libc can be probed
}

func (t target) facts() facts {
	return facts{
		pid: 7, libc: t.libc,
		libcSites: func(names ...string) ([]cpython.Site, error) {
			if t.noFunctions {
				return nil, fmt.Errorf("functions: %w", errNone)
			}
			return sitesAt(t.functions, names...), nil
		},
		gilSites: func() (take, drop []cpython.Site, complete bool, err error) {
			if t.noGIL {
				return nil, nil, false, fmt.Errorf("take_gil: %w", errNone)
			}
			return sitesAt(t.gil, "take_gil"), sitesAt(t.gil, "drop_gil"), !t.inlined, nil
		},
		callSites: func() ([]cpython.Site, error) {
			if t.noCalls {
				return nil, fmt.Errorf("calls: %w", errNone)
			}
			return sitesAt(t.call, "call pthread_cond_signal", "call pthread_cond_timedwait", "call pthread_cond_signal"), nil
		},
	}
}

// hooks describes the hooks of a plan in short.
func hooks(p Plan) string {
	var out []string
	for _, h := range p.Hooks {
		mark := ""
		if h.Site.Call {
			mark = "@"
		}
		if h.Return {
			mark += "ret "
		}
		out = append(out, mark+h.Program)
	}
	slices.Sort(out)
	return strings.Join(out, ",")
}

const (
	timedwaitOnly = "cond_timedwait"
	bothFunctions = "cond_signal,cond_timedwait"
	takeOnly      = "ret take_gil_return,take_gil"
	takeAndDrop   = "drop_gil,ret take_gil_return,take_gil"
	waitCalls     = "@cond_timedwait"
	allCalls      = "@cond_signal,@cond_signal,@cond_timedwait"
)

func TestChoose(t *testing.T) {
	const dear = cpython.SingleStepped
	glibc, musl := target{libc: cpython.Glibc}, target{libc: cpython.Musl}
	static := target{libc: cpython.StaticLibc, noFunctions: true}
	tests := []struct {
		name    string
		target  target
		detail  Detail
		want    Backend
		backend Backend
		hooks   string
		refusal string
	}{
		{"glibc", glibc, Waits, AutoBackend, Futex, "", ""},
		{"glibc", glibc, Full, AutoBackend, Condvar, bothFunctions, ""},
		{"glibc, waits by functions", glibc, Waits, Condvar, Condvar, timedwaitOnly, ""},
		{"glibc, full by futex", glibc, Full, Futex, "", "", "sees waits only"},
		{"musl", musl, Waits, AutoBackend, Condvar, timedwaitOnly, ""},
		{"musl", musl, Full, AutoBackend, Condvar, bothFunctions, ""},
		{"musl, futex asked for", musl, Waits, Futex, "", "", "needs glibc"},
		{"dear functions", target{libc: cpython.Musl, functions: dear}, Full, AutoBackend, TakeGIL, takeAndDrop, ""},
		{"dear functions asked for", target{libc: cpython.Musl, functions: dear}, Full, Condvar, "", "", "single-step"},
		{"static libc with symbols", static, Waits, AutoBackend, TakeGIL, takeOnly, ""},
		{"static libc with symbols", static, Full, AutoBackend, TakeGIL, takeAndDrop, ""},
		{"static libc, no take_gil", target{libc: cpython.StaticLibc, noFunctions: true, noGIL: true}, Full, AutoBackend, TakeGIL, allCalls, ""},
		{"static libc, nothing", target{libc: cpython.StaticLibc, noFunctions: true, noGIL: true, noCalls: true}, Full, AutoBackend, "", "", "calls: nothing there"},
		{"symbols", glibc, Waits, TakeGIL, TakeGIL, takeOnly, ""},
		{"symbols", glibc, Full, TakeGIL, TakeGIL, takeAndDrop, ""},
		{"inlined drops", target{libc: cpython.Glibc, inlined: true}, Full, TakeGIL, TakeGIL, allCalls, ""},
		{"inlined drops, waits", target{libc: cpython.Glibc, inlined: true}, Waits, TakeGIL, TakeGIL, takeOnly, ""},
		{"inlined drops, no calls", target{libc: cpython.Glibc, inlined: true, noCalls: true}, Full, TakeGIL, "", "", "inlined"},
		{"dear take_gil", target{libc: cpython.Glibc, gil: dear}, Waits, TakeGIL, TakeGIL, waitCalls, ""},
		{"dear take_gil", target{libc: cpython.Glibc, gil: dear}, Full, TakeGIL, TakeGIL, allCalls, ""},
		{"dear take_gil and calls", target{libc: cpython.Glibc, gil: dear, call: dear}, Waits, TakeGIL, "", "", "single-step"},
		{"stripped", target{libc: cpython.Glibc, noGIL: true}, Waits, TakeGIL, TakeGIL, waitCalls, ""},
		{"stripped", target{libc: cpython.Glibc, noGIL: true}, Full, TakeGIL, TakeGIL, allCalls, ""},
		{"stripped, no calls", target{libc: cpython.Glibc, noGIL: true, noCalls: true}, Full, TakeGIL, "", "", "take_gil: nothing there"},
		{"no such backend", glibc, Full, "other", "", "", "not known"},
	}
	for _, test := range tests {
		plan, err := choose(test.target.facts(), test.detail, test.want)
		if test.refusal != "" {
			if err == nil || !strings.Contains(err.Error(), test.refusal) {
				t.Errorf("%s, %s by %s: %+v, error %v; want one with %q", test.name, test.detail, test.want, plan, err, test.refusal)
			}
			continue
		}
		if err != nil || plan.Backend != test.backend || plan.Detail != test.detail || hooks(plan) != test.hooks {
			t.Errorf("%s, %s by %s: %s by %s, error %v; want %s by %s", test.name, test.detail, test.want, hooks(plan), plan.Backend, err, test.hooks, test.backend)
		}
	}
}

// TestPlanText: of a call, people see which function makes it.
func TestPlanText(t *testing.T) {
	p := Plan{Hooks: []Hook{{Site: cpython.Site{Name: "pthread_cond_signal", In: "os_stat", File: "/bin/python", Offset: 16, Insn: "call"}}}}
	if got, want := p.Sites(), "pthread_cond_signal in os_stat /bin/python+0x10 call"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
