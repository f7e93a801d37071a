package livetest

import (
	"strings"
	"testing"

	"gilscope/internal/testpy"
)

// TestWaits records, without a probe, a program of each kind; TestMatrix has two more.
func TestWaits(t *testing.T) {
	for _, program := range []string{"convoy", "c_calls", "cpu_threads", "churn", "many_threads"} {
		for _, in := range testpy.Some(t, "3.8", "debian-3.11.2", "3.13") {
			t.Run(program+"/"+in.Name, steady(func(t testing.TB) {
				r := recordTruth(t, in, program, "2s")
				checkWaits(t, r, 0.02)
				checkBlame(t, r)
			}))
		}
	}
}

// checkNative wants the C function named in nearly all of the blame. Of a call that the
// recording met halfway the stack was not seen: with three who wait for it that is some
// 6 % of two seconds.
func checkNative(t testing.TB, r recording, function string) {
	t.Helper()
	var all, named int64
	others := map[string]int64{}
	for _, g := range r.report.GIL {
		for _, b := range g.Blame {
			if b.Holder.Site == nil || b.Holder.Site.Function == nil || short(*b.Holder.Site.Function) != "legacy_checksum" {
				continue
			}
			all += b.WaitNS
			native := "nothing"
			if n := b.Holder.Site.Native; n != nil {
				native = *n
			}
			if strings.HasSuffix(native, " "+function) {
				named += b.WaitNS
			} else {
				others[native] += b.WaitNS
			}
		}
	}
	if float64(named) < 0.9*float64(all) || all == 0 {
		t.Errorf("%s is named for %.1f of %.1f ms, otherwise %v", function, ms(named), ms(all), others)
	}
}

// TestBuiltinsAreNamed: a C function inside the interpreter that keeps the GIL
// is named too, where the interpreter has symbols.
func TestBuiltinsAreNamed(t *testing.T) {
	in := testpy.One(t, "3.12")
	r := recordTruth(t, in, "c_calls", "2s")
	want := map[string]string{"match_pattern": "sre", "sort_rows": "", "raise_power": ""}
	for _, g := range r.report.GIL {
		for _, b := range g.Blame {
			s := b.Holder.Site
			if s == nil || s.Function == nil || s.Native == nil {
				continue
			}
			if part, ok := want[*s.Function]; ok && strings.Contains(*s.Native, part) {
				t.Logf("%s: %s", *s.Function, *s.Native)
				delete(want, *s.Function)
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("no native function is named in %v", want)
	}
}
