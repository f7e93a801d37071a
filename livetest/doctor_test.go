package livetest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"gilscope/internal/testpy"
)

// diagnosis is what is looked at of doctor's JSON.
type diagnosis struct {
	Schema string
	Checks []struct{ Status, Check, Detail string }
	Hits   []struct {
		Cost     string
		HitNS    int64 `json:"hit_ns"`
		RecordNS int64 `json:"record_ns"`
	}
	Target *struct {
		PID          int
		NSPID        int `json:"ns_pid"`
		Python, Path string
		Linkage      string
		Stripped     bool
		FreeThreaded bool `json:"free_threaded"`
		GILEnabled   bool `json:"gil_enabled"`
		Libc         string
		Interpreters int
		Threads      int
		Children     []int
		FrozenBy     string `json:"frozen_by"`
		Plans        []struct {
			Detail, Backend, Cost string
			Sites                 []string
			PairNS                *int64 `json:"pair_ns"`
		}
	}
}

func diagnose(t testing.TB, args ...string) diagnosis {
	t.Helper()
	o := run(t, append([]string{"doctor", "--json"}, args...))
	o.wants(t, 0)
	var d diagnosis
	if err := json.Unmarshal([]byte(o.stdout), &d); err != nil || d.Schema != "gilscope.doctor/v1" {
		t.Fatalf("doctor --json: %v\n%s", err, o.stdout)
	}
	return d
}

// TestDoctor: root can do everything here; nobody can do little, and is told what would help.
func TestDoctor(t *testing.T) {
	o := run(t, []string{"doctor"})
	o.wants(t, 0, "[ok  ] kernel: Linux", "[ok  ] load and attach BPF programs", "[ok  ] attach a uprobe", "[ok  ] pid namespace",
		"[ok  ] receive scheduling records", "[ok  ] receive CPU samples", "[ok  ] cost of a probe hit", "[ok  ] read memory")
	if strings.Contains(o.stdout, "[fail]") || strings.Contains(o.stdout, "[warn]") {
		t.Errorf("root lacks something:\n%s", o.stdout)
	}
	run(t, []string{"doctor"}, asNobody).wants(t, 4, "[fail] load and attach BPF programs", "run as root", "CAP_BPF")
}

// TestDoctorMeasuresHits: a single-stepped site costs much more than an emulated
// one, and a record costs something.
func TestDoctorMeasuresHits(t *testing.T) {
	ns := map[string]int64{}
	for _, h := range diagnose(t).Hits {
		if ns[h.Cost] = h.HitNS; h.RecordNS <= h.HitNS || h.HitNS <= 0 {
			t.Errorf("%s: %d ns a hit, %d ns with its record", h.Cost, h.HitNS, h.RecordNS)
		}
	}
	if ns["emulated"] == 0 || ns["nop5"] == 0 || ns["single-stepped"] < 3*ns["emulated"] {
		t.Errorf("ns per hit: %v", ns)
	}
	t.Log(ns)
}

// TestDoctorOnTargets: what doctor says of each build is what that build is.
func TestDoctorOnTargets(t *testing.T) {
	for _, in := range testpy.All(t) {
		t.Run(in.Name, func(t *testing.T) {
			p := testpy.Start(t, in, "import sys; print('ready', flush=True); sys.stdin.read()")
			d := diagnose(t, "-p", fmt.Sprint(p.PID))
			x := d.Target
			if x == nil {
				t.Fatalf("no target: %+v", d.Checks)
			}
			linkage := "static"
			if in.Shared {
				linkage = "shared"
			}
			if x.PID != p.PID || x.Python != in.Version || x.Linkage != linkage || x.Stripped != in.Stripped ||
				x.FreeThreaded != in.FreeThreaded || !x.GILEnabled || !strings.HasPrefix(x.Libc, "glibc 2.") || x.Interpreters != 1 || x.Threads != 1 {
				t.Errorf("%+v", *x)
			}
			if len(x.Plans) != 2 || x.Plans[0].Backend != "futex" || len(x.Plans[0].Sites) != 0 {
				t.Fatalf("plans: %+v", x.Plans)
			}
			full := x.Plans[1]
			if full.Backend != "condvar" || full.Cost != "emulated" || len(full.Sites) != 2 || full.PairNS == nil || *full.PairNS < 500 || *full.PairNS > 50_000 {
				t.Errorf("full: %+v", full)
			}
		})
	}
}

const parentScript = `
import subprocess, sys
child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
print("ready", flush=True)
print(child.pid, flush=True)
sys.stdin.read()
child.stdin.close()
`

// TestDoctorSeesObstacles: children that run already, a frozen cgroup, a process that is no Python.
func TestDoctorSeesObstacles(t *testing.T) {
	p := testpy.Start(t, testpy.One(t, "3.12"), parentScript)
	child := p.Line(t)
	d := diagnose(t, "-p", fmt.Sprint(p.PID))
	if !slices.ContainsFunc(d.Target.Children, func(pid int) bool { return fmt.Sprint(pid) == child }) {
		t.Errorf("children %v, want %s", d.Target.Children, child)
	}
	run(t, []string{"doctor", "-p", child}).wants(t, 4, "[fail] interpreter", "not a CPython process")
	freeze(t, p.PID)
	run(t, []string{"doctor", "-p", fmt.Sprint(p.PID)}).wants(t, 0, "[warn] freezer: cgroup /gilscope-test", "is frozen", "[warn] children: 1 run")
}

// freeze puts a process into a frozen cgroup, of version 1 or 2, until it is thawed or the test ends.
func freeze(t testing.TB, pid int) (thaw func()) {
	t.Helper()
	name := fmt.Sprintf("gilscope-test-%d", pid)
	dir, file, on, off := "/sys/fs/cgroup/freezer", "freezer.state", "FROZEN", "THAWED"
	if _, err := os.Stat(dir); err != nil {
		dir, file, on, off = "/sys/fs/cgroup", "cgroup.freeze", "1", "0"
	}
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	group := filepath.Join(dir, name)
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Fatal(err)
	}
	thaw = sync.OnceFunc(func() {
		write(filepath.Join(group, file), off)
		write(filepath.Join(dir, "cgroup.procs"), fmt.Sprint(pid))
		if err := os.Remove(group); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(thaw)
	write(filepath.Join(group, "cgroup.procs"), fmt.Sprint(pid))
	write(filepath.Join(group, file), on)
	return thaw
}
