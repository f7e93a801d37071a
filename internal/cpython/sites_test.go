package cpython

import (
	"errors"
	"testing"
)

func TestPlanSite(t *testing.T) {
	tests := []struct {
		name string
		code []byte
		skip uint32
		cost Cost
	}{
		{"push", []byte{0x41, 0x57, 0xc3}, 0, Emulated},
		{"endbr64, push", []byte{0xf3, 0x0f, 0x1e, 0xfa, 0x55, 0xc3}, 4, Emulated},
		{"nop5", []byte{0x0f, 0x1f, 0x44, 0x00, 0x00, 0xc3}, 0, NOP5},
		{"test, je", []byte{0x48, 0x85, 0xff, 0x74, 0x10, 0xc3}, 3, Emulated},
		{"movabs to rax, push", []byte{0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 0x55, 0xc3}, 10, Emulated},
		{"sub, mov to rdx, push", []byte{0x48, 0x83, 0xec, 0x18, 0x48, 0x8b, 0x17, 0x55, 0xc3}, 0, SingleStepped},
		{"sub from rsp, test, je", []byte{0x48, 0x83, 0xec, 0x08, 0x48, 0x85, 0xff, 0x74, 0x10, 0xc3}, 0, SingleStepped},
		{"pop, push", []byte{0x58, 0x50, 0xc3}, 0, SingleStepped},
		{"vector instruction, push", []byte{0xc5, 0xf9, 0xef, 0xc0, 0x55, 0xc3}, 0, SingleStepped},
		{"call with a prefix", []byte{0x67, 0xe8, 0, 0, 0, 0, 0xc3}, 0, Emulated},
		{"mov to esi, push", []byte{0xbe, 1, 0, 0, 0, 0x55, 0xc3}, 0, SingleStepped},
		{"ret before push", []byte{0x31, 0xc0, 0xc3, 0x55}, 0, SingleStepped},
		{"jump back to the push", []byte{0x31, 0xc0, 0x55, 0xeb, 0xfd, 0xc3}, 0, SingleStepped},
		{"call", []byte{0x31, 0xc0, 0xe8, 0, 0, 0, 0, 0xc3}, 2, Emulated},
	}
	for _, test := range tests {
		plan, err := planSite(test.code)
		if err != nil || plan.skip != test.skip || plan.cost != test.cost {
			t.Errorf("%s: %+v, %v; want skip %d, %v", test.name, plan, err, test.skip, test.cost)
		}
	}
}

func TestPlanSiteRefuses(t *testing.T) {
	if _, err := planSite([]byte{0xf0, 0x48, 0x83, 0x27, 0xfe, 0xc3}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("lock and: error %v, want ErrUnsupported", err)
	}
	if _, err := planSite([]byte{0x06}); !errors.Is(err, ErrMalformed) {
		t.Errorf("no instruction: error %v, want ErrMalformed", err)
	}
	if _, err := planSite(nil); !errors.Is(err, ErrMalformed) {
		t.Errorf("no code: error %v, want ErrMalformed", err)
	}
}

func TestTStateArguments(t *testing.T) {
	tests := []struct {
		minor      int
		name       string
		take, drop uint8
	}{
		{8, "take_gil", 2, 0}, {8, "take_gil.constprop.0", 1, 0}, {8, "drop_gil", 0, 2},
		{9, "take_gil", 1, 0}, {11, "drop_gil.lto_priv.0", 0, 3}, {10, "drop_gil.constprop.0", 0, 0},
		{12, "drop_gil", 0, 2}, {13, "drop_gil.constprop.0", 0, 2}, {14, "drop_gil_impl.lto_priv.0", 0, 1},
	}
	for _, test := range tests {
		v := MakeVersion(3, test.minor, 1)
		if test.take != 0 && takeArg(v, test.name) != test.take || test.take == 0 && dropArg(v, test.name) != test.drop {
			t.Errorf("%s of 3.%d: take %d, drop %d, want %+v", test.name, test.minor, takeArg(v, test.name), dropArg(v, test.name), test)
		}
	}
}

func TestSourceName(t *testing.T) {
	for name, want := range map[string]string{
		"drop_gil.lto_priv.0.cold": "drop_gil", "_Py_HandlePending.cold": "_Py_HandlePending",
		"usleep": "usleep", "main.main": "main.main", "f.constprop.0.isra.0": "f", ".cold": ".cold",
	} {
		if got := sourceName(name); got != want {
			t.Errorf("sourceName(%q) = %q, want %q", name, got, want)
		}
	}
}
