package cpython

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"gilscope/internal/testpy"
)

func TestParseVersion(t *testing.T) {
	tests := []struct {
		text, want string
	}{
		{"3.8.18", "3.8.18"}, {"3.10.13", "3.10.13"}, {"3.11.2+", "3.11.2"}, {"3.12.0rc1", "3.12.0rc1"},
		{"3.14.0a7", "3.14.0a7"}, {"3.9.0b5+", "3.9.0b5"},
		{"3.8", ""}, {"2.7.18", ""}, {"3.10.13 (main)", ""}, {"3.10.300", ""}, {"", ""}, {"3.10.1rc", ""},
	}
	for _, test := range tests {
		v, ok := parseVersion(test.text)
		if ok != (test.want != "") || ok && v.String() != test.want {
			t.Errorf("parseVersion(%q) = %v, %v; want %q", test.text, v, ok, test.want)
		}
	}
	if v := Version(0x030b07f0); v.Major() != 3 || v.Minor() != 11 || v.Micro() != 7 || v != MakeVersion(3, 11, 7) {
		t.Errorf("0x030b07f0 is %v", v)
	}
}

func TestUnknownVersionsAreRefused(t *testing.T) {
	for _, v := range []Version{MakeVersion(3, 6, 15), MakeVersion(3, 7, 16), MakeVersion(3, 13, 0), MakeVersion(4, 0, 0), 0} {
		if _, err := tableLayout(v); !errors.Is(err, ErrUnsupported) {
			t.Errorf("layout of %v: error %v, want ErrUnsupported", v, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	sleep := exec.Command("sleep", "60")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { sleep.Process.Kill(); sleep.Wait() }()
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		pid  int
		want error
	}{
		{"no Python", sleep.Process.Pid, ErrNotPython},
		{"ended process", gone.Process.Pid, ErrGone},
		{"pid 0", 0, nil},
	}
	for _, test := range tests {
		p, err := Open(test.pid)
		if err == nil {
			p.Close()
		}
		if err == nil || test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%s: error %v, want %v", test.name, err, test.want)
		}
	}
}

// TestOldInterpreters opens the unsupported ones that the machine has.
func TestOldInterpreters(t *testing.T) {
	for _, i := range testpy.Unsupported(t) {
		proc := testpy.Start(t, i, "import sys\nprint('ready')\nsys.stdin.read()")
		if _, err := Open(proc.PID); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "3.8") {
			t.Errorf("%s: error %v, want ErrUnsupported and what is supported", i.Name, err)
		} else {
			t.Log(err)
		}
	}
}

// TestNotReady stops an interpreter before its first instruction.
func TestNotReady(t *testing.T) {
	runtime.LockOSThread() // the tracer is a thread, not a process
	defer runtime.UnlockOSThread()
	cmd := exec.Command(testpy.Need(t, "3.14").Path, "-c", "pass")
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(cmd.Process.Pid, &status, 0, nil); err != nil || !status.Stopped() {
		t.Fatalf("the interpreter did not stop: %v, %v", status, err)
	}
	if _, err := Open(cmd.Process.Pid); !errors.Is(err, ErrNotReady) {
		t.Errorf("error %v, want ErrNotReady", err)
	}
}

func TestParseMapping(t *testing.T) {
	tests := []struct {
		line string
		want Mapping
		ok   bool
	}{
		{"7f0000001000-7f0000002000 r-xp 00003000 08:01 42                 /usr/lib/a b.so", Mapping{0x7f0000001000, 0x7f0000002000, 0x3000, true, false, 0x801, 42, "/usr/lib/a b.so"}, true},
		{"00400000-00401000 rw-s 00000000 103:12 7 /x (deleted)", Mapping{0x400000, 0x401000, 0, false, true, 0x10312, 7, "/x (deleted)"}, true},
		{"00400000-00401000 rw-p 00000000 00:00 0", Mapping{Start: 0x400000, End: 0x401000}, true},
		{"00401000-00400000 rw-p 00000000 00:00 0", Mapping{}, false},
		{"zz-00400000 rw-p 0 00:00 0", Mapping{}, false},
		{"", Mapping{}, false},
	}
	for _, test := range tests {
		if m, ok := parseMapping(test.line); ok != test.ok || ok && m != test.want {
			t.Errorf("parseMapping(%q) = %+v, %v; want %+v", test.line, m, ok, test.want)
		}
	}
}

func TestFindMapping(t *testing.T) {
	maps := []Mapping{{Start: 10, End: 20}, {Start: 20, End: 30}, {Start: 40, End: 50}}
	for addr, want := range map[uint64]uint64{9: 0, 10: 10, 19: 10, 20: 20, 30: 0, 39: 0, 49: 40, 50: 0} {
		got := uint64(0)
		if m := findMapping(maps, addr); m != nil {
			got = m.Start
		}
		if got != want {
			t.Errorf("mapping of %d begins at %d, want %d", addr, got, want)
		}
	}
}

func Example_version() {
	fmt.Println(Version(0x030e00c1), MakeVersion(3, 11, 7))
	// Output: 3.14.0rc1 3.11.7
}
