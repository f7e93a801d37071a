package probes

import (
	"errors"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

func TestOld(t *testing.T) {
	for release, want := range map[string]bool{
		"5.10.0-32-cloud-amd64": true, "4.19.0": true, "5.14.0-503.el9.x86_64": true,
		"5.15.0-91-generic": false, "6.1.0-50-cloud-amd64": false, "7.2.13+deb14": false, "": false, "next": false,
	} {
		if got := before(release, 5, 15); got != want {
			t.Errorf("%q is old: %v", release, got)
		}
	}
}

// kernelWithout is a kernel that lacks some helpers.
func kernelWithout(lacks ...asm.BuiltinFunc) func(ebpf.ProgramType, asm.BuiltinFunc) error {
	return func(_ ebpf.ProgramType, helper asm.BuiltinFunc) error {
		for _, l := range lacks {
			if l == helper {
				return ebpf.ErrNotSupported
			}
		}
		return nil
	}
}

// TestRefusal: who is refused reads which kernel this is, what it lacks and which it takes.
func TestRefusal(t *testing.T) {
	unprivileged := func(ebpf.ProgramType, asm.BuiltinFunc) error { return errors.New("operation not permitted") }
	for _, c := range []struct {
		release string
		have    func(ebpf.ProgramType, asm.BuiltinFunc) error
		want    string // "": not refused
	}{
		{"5.10.0-32", kernelWithout(asm.FnGetCurrentTaskBtf, asm.FnTaskPtRegs, asm.FnGetAttachCookie),
			"kernel not supported: this is Linux 5.10.0-32, without bpf_get_current_task_btf (Linux 5.11), bpf_task_pt_regs (Linux 5.15), " +
				"bpf_get_attach_cookie (Linux 5.15): gilscope needs Linux 5.15 or newer"},
		{"5.14.0-427.el9", kernelWithout(), ""},
		{"5.14.0", unprivileged, "kernel not supported: this is Linux 5.14.0: gilscope needs Linux 5.15 or newer"},
	} {
		err := refusal(c.release, c.have)
		if c.want == "" && err == nil {
			continue
		}
		if !errors.Is(err, ErrKernel) || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", c.release, err, c.want)
		}
	}
}

// TestNeeds: what the programs are refused for, is what they call.
func TestNeeds(t *testing.T) {
	spec, err := loadBpf()
	if err != nil {
		t.Fatal(err)
	}
	called := map[asm.BuiltinFunc]bool{}
	for _, p := range spec.Programs {
		for _, in := range p.Instructions {
			if in.IsBuiltinCall() {
				called[asm.BuiltinFunc(in.Constant)] = true
			}
		}
	}
	for _, n := range needs {
		if !called[n.helper] {
			t.Errorf("no program calls %s", n)
		}
		if !strings.HasPrefix(n.String(), "bpf_") {
			t.Errorf("a helper is named %s", n)
		}
	}
}
