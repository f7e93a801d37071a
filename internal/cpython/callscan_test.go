package cpython

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"gilscope/internal/testpy"
)

// TestProvenCalls: bytes that look like a call inside of another instruction
// are found and then rejected.
func TestProvenCalls(t *testing.T) {
	m := tinyModule(t, tinyELF())
	calls, err := m.gilCalls()
	if err != nil || len(calls) != 2 || calls[0].at != tinyCaller+3 || calls[1].at != tinyCaller+11 {
		t.Fatalf("calls %+v, error %v", calls, err)
	}
	calls, err = m.proven(calls)
	if err != nil || len(calls) != 1 || calls[0].insn != tinyCaller+10 || calls[0].name != condSignal {
		t.Errorf("instructions %+v, error %v", calls, err)
	}
	if _, err := m.proven([]libcCall{{at: tinyEnd + 1}}); !errors.Is(err, errNotProven) {
		t.Errorf("a call in no function: error %v, want errNotProven", err)
	}
}

// TestScanCalls knows all ways in which code uses an import. The code lies at
// 0x1000, its stub at 0x1100, its slot at 0x1200.
func TestScanCalls(t *testing.T) {
	tests := []struct {
		name string
		code []byte
		kind callKind
		insn uint64
	}{
		{"call", []byte{0x90, 0xe8, 0xfa, 0, 0, 0, 0xc3}, callDirect, 0x1001},
		{"call with a prefix", []byte{0x67, 0xe8, 0xfa, 0, 0, 0, 0xc3}, callDirect, 0x1000},
		{"tail call at the end", []byte{0x90, 0xe9, 0xfa, 0, 0, 0}, callJump, 0x1001},
		{"jne", []byte{0x0f, 0x85, 0xfa, 0, 0, 0, 0xc3}, callBranch, 0x1000},
		{"call [slot]", []byte{0xff, 0x15, 0xfa, 1, 0, 0, 0xc3}, callIndirect, 0x1000},
		{"jmp [slot]", []byte{0xff, 0x25, 0xfa, 1, 0, 0, 0xc3}, callIndirect, 0x1000},
		{"mov [slot], %rbx", []byte{0x48, 0x8b, 0x1d, 0xf9, 1, 0, 0, 0xc3}, callIndirect, 0x1000},
		{"after a vector instruction", []byte{0xc5, 0xf8, 0x77, 0xe8, 0xf8, 0, 0, 0, 0xc3}, callDirect, 0x1003},
		{"inside of mov $imm64", []byte{0x48, 0xb8, 0xe8, 0xf9, 0, 0, 0, 0, 0, 0, 0xc3}, callDirect, 0},
		{"inside of an unknown instruction", []byte{0x06, 0xe8, 0xfa, 0, 0, 0, 0xc3}, callDirect, 1},
	}
	for _, test := range tests {
		found := scanCalls(nil, test.code, len(test.code), 0x1000, map[uint64]string{0x1200: "f"}, map[uint64]string{0x1100: "f"})
		if len(found) != 1 || found[0].kind != test.kind || found[0].name != "f" {
			t.Errorf("%s: found %+v, want one of kind %d", test.name, found, test.kind)
			continue
		}
		kept, err := instructions(nil, found, test.code, 0x1000)
		switch {
		case test.insn == 1:
			if !errors.Is(err, errNotProven) {
				t.Errorf("%s: %+v, error %v, want errNotProven", test.name, kept, err)
			}
		case err != nil || (len(kept) == 1) != (test.insn != 0) || len(kept) == 1 && kept[0].insn != test.insn:
			t.Errorf("%s: instructions %+v, error %v, want %#x", test.name, kept, err, test.insn)
		}
	}
}

// TestScanPieces: calls that lie across the border of two pieces are found once.
func TestScanPieces(t *testing.T) {
	for at := scanPiece - 6; at < scanPiece+2; at++ {
		raw := make([]byte, scanPiece+64)
		copy(raw[at:], append([]byte{0xe8}, u32(uint32(0x100000-at-5))...))
		m := &image{r: bytes.NewReader(raw), size: uint64(len(raw))}
		left, found := uint64(maxCode), []libcCall(nil)
		err := m.scan(&section{size: m.size}, &left, func(addr uint64, code []byte, fresh int) {
			found = scanCalls(found, code, fresh, addr, nil, map[uint64]string{0x100000: "f"})
		})
		if err != nil || len(found) != 1 || found[0].at != uint64(at)+1 || left != maxCode-m.size {
			t.Errorf("call at %#x: found %+v, error %v, %d bytes left", at, found, err, left)
		}
	}
}

// callCount is how many calls of pthread_cond_signal and pthread_cond_timedwait
// objdump shows in the code that runs.
var callCount = map[string][2]int{
	"pyenv-3.8.18": {3, 2}, "pyenv-3.12.1": {2, 1}, "pyenv-3.13.0": {3, 1}, "standalone-3.10.16": {11, 7},
	"standalone-3.14.6": {18, 2}, "debian-3.13.18": {15, 1}, "debian-3.14.10": {11, 1}, "debian-3.15.2": {12, 1},
}

// TestCallSites: the calls can be planned on every build, with and without
// symbols, and all of them are cheap.
func TestCallSites(t *testing.T) {
	each(t, func(t *testing.T, i testpy.Interpreter) {
		p := open(t, testpy.Start(t, i, waiter).PID)
		sites, err := p.CallSites()
		if err != nil {
			t.Fatal(err)
		}
		var count [2]int
		var callers []string
		for _, s := range sites {
			count[slices.Index([]string{condSignal, condTimedwait}, s.Name)]++
			callers = append(callers, s.In)
			jump := s.Insn[:4] == "jmpq"
			if s.Cost != Emulated || s.Call == jump || s.Offset == 0 {
				t.Errorf("site %+v", s)
			}
		}
		if want, ok := callCount[i.Name]; ok && count != want || count[0] < 2 || count[1] < 1 {
			t.Errorf("%d calls of signal and timedwait, want %d: %+v", count, want, sites)
		}
		if !p.Build.Stripped && (!slices.Contains(callers, "take_gil") || !slices.Contains(callers, "drop_gil")) {
			t.Errorf("calls are in %q only", callers)
		}
	})
}
