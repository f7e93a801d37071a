package livetest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gilscope/internal/testpy"
)

// system is the Python that every user can reach; those of the tests lie in
// folders of root.
const system = "/usr/bin/python3.11"

// other is a user beside nobody.
const other = nobody - 1

// capabilityNumbers are those that matter here (linux/capability.h).
var capabilityNumbers = map[string]uintptr{
	"BPF": unix.CAP_BPF, "PERFMON": unix.CAP_PERFMON, "SYS_PTRACE": unix.CAP_SYS_PTRACE, "SYS_ADMIN": unix.CAP_SYS_ADMIN,
	"DAC_READ_SEARCH": unix.CAP_DAC_READ_SEARCH, "CHECKPOINT_RESTORE": unix.CAP_CHECKPOINT_RESTORE, "KILL": unix.CAP_KILL,
}

// bitsOf is a set of capabilities as /proc/PID/status prints it.
func bitsOf(names ...string) string {
	var set uint64
	for _, n := range names {
		set |= 1 << capabilityNumbers[n]
	}
	return fmt.Sprintf("%016x", set)
}

// having runs gilscope as nobody, with those capabilities and no others.
func having(names ...string) func(*exec.Cmd) {
	return func(cmd *exec.Cmd) {
		asNobody(cmd)
		for _, n := range names {
			cmd.SysProcAttr.AmbientCaps = append(cmd.SysProcAttr.AmbientCaps, capabilityNumbers[n])
		}
	}
}

// startAs starts Python as a user, to be traced like any process of that user:
// where Yama is on, it allows that to everybody who else may.
func startAs(t testing.TB, uid int, script string) *testpy.Proc {
	t.Helper()
	script = "import ctypes; ctypes.CDLL(None).prctl(0x59616d61, ctypes.c_ulong(-1), 0, 0, 0) # PR_SET_PTRACER\n" + script
	return testpy.StartCommand(t, exec.Command("setpriv", fmt.Sprint("--reuid=", uid), fmt.Sprint("--regid=", uid), "--clear-groups",
		system, "-u", "-c", script))
}

// dirOf is a new folder of a user.
func dirOf(t testing.TB, uid int) string {
	t.Helper()
	dir := publicDir(t)
	if err := os.Chown(dir, uid, uid); err != nil {
		t.Fatal(err)
	}
	return dir
}

// grant is one row of the table in SECURITY.md.
type grant struct {
	names []string
	root  bool
}

var grants = []grant{
	{},
	{names: []string{"BPF"}},
	{names: []string{"BPF", "PERFMON"}},
	{names: []string{"BPF", "PERFMON", "SYS_PTRACE"}},
	{names: []string{"BPF", "PERFMON", "SYS_PTRACE", "DAC_READ_SEARCH"}},
	{names: []string{"BPF", "PERFMON", "SYS_PTRACE", "DAC_READ_SEARCH", "CHECKPOINT_RESTORE"}},
	{names: []string{"SYS_ADMIN"}},
	{root: true},
}

func (g grant) String() string {
	switch {
	case g.root:
		return "root"
	case len(g.names) == 0:
		return "none"
	}
	return strings.Join(g.names, ", ")
}

func (g grant) run(t testing.TB, args ...string) outcome {
	t.Helper()
	if g.root {
		return run(t, args)
	}
	return run(t, args, having(g.names...))
}

// privilegesHead heads the table in SECURITY.md, which is this test's to make.
const privilegesHead = `| capabilities | own process: waits | full | process of another user | what doctor finds missing |
|---|---|---|---|---|
`

// TestPrivileges runs gilscope with sets of capabilities, and holds the table in
// SECURITY.md against what works. Doctor's parent is root's.
func TestPrivileges(t *testing.T) {
	if _, err := os.Stat(system); err != nil {
		t.Fatalf("%v: install python3.11", err)
	}
	own, others := startAs(t, nobody, busyScript), startAs(t, other, busyScript)
	table := privilegesHead
	for _, g := range grants {
		table += fmt.Sprintf("| %v | %s | %s | %s | %s |\n", g, recordsWith(t, g, own.PID, "waits"), recordsWith(t, g, own.PID, "full"),
			recordsWith(t, g, others.PID, "full"), missingWith(t, g))
	}
	for _, p := range []*testpy.Proc{own, others} {
		if err := p.Stop(); err != nil {
			t.Errorf("a target was harmed: %v", err)
		}
	}
	t.Logf("measured on %s:\n%s", release(t), table)
	text, err := os.ReadFile(filepath.Join("..", "SECURITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	if hasMulti(t) && !strings.Contains(string(text), table) {
		t.Errorf("SECURITY.md has another table; it should be:\n%s", table)
	}
}

// recordsWith says whether a recording works; if not, it must say how to mend it.
func recordsWith(t testing.TB, g grant, pid int, detail string) string {
	t.Helper()
	path := filepath.Join(dirOf(t, nobody), "t.pftrace")
	if g.root {
		path = filepath.Join(t.TempDir(), "t.pftrace")
	}
	o := g.run(t, "record", "--detail", detail, "-d", "150ms", "-o", path, "-p", fmt.Sprint(pid))
	if o.code != 0 {
		o.wants(t, 4, "not permitted", "sudo")
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%v: a refused recording left a file", g)
		}
		return "no"
	}
	if tr := readTrace(t, path); len(tr.Events) == 0 {
		t.Errorf("%v: a trace without events", g)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v: the trace: %v, %v", g, st, err)
	}
	return "yes"
}

// missingWith names the checks of doctor that fail; each must say how to mend it.
func missingWith(t testing.TB, g grant) string {
	t.Helper()
	o := g.run(t, "doctor", "--json")
	var d diagnosis
	if err := json.Unmarshal([]byte(o.stdout), &d); err != nil {
		t.Fatalf("%v: doctor --json: %v\n%s%s", g, err, o.stdout, o.stderr)
	}
	var missing []string
	for _, c := range d.Checks {
		if c.Status != "fail" {
			continue
		}
		missing = append(missing, c.Check)
		if !strings.Contains(c.Detail, "run as root") || !strings.Contains(c.Detail, "CAP_") {
			t.Errorf("%v: %s: no remedy in %q", g, c.Check, c.Detail)
		}
	}
	want := 4
	if len(missing) == 0 {
		want, missing = 0, []string{"-"}
	}
	if o.code != want {
		t.Errorf("%v: doctor ended with %d, want %d", g, o.code, want)
	}
	return strings.Join(missing, "; ")
}

func release(t testing.TB) string {
	t.Helper()
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	return unix.ByteSliceToString(u.Release[:])
}

// hasMulti says whether the kernel has uprobe_multi (6.6), as the table supposes.
func hasMulti(t testing.TB) bool {
	t.Helper()
	var major, minor int
	if _, err := fmt.Sscanf(release(t), "%d.%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	return major > 6 || major == 6 && minor >= 6
}
