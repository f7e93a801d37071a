package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gilscope/collector"
	"gilscope/internal/scaling"
)

// script is an executable shell script that stands in for a program.
func script(t *testing.T, name, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestScaleRefusals: what cannot be measured is said before anything takes long.
func TestScaleRefusals(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		args   []string
		code   int
		stderr string
	}{
		{[]string{}, 2, "give a command after --"},
		{[]string{"--format", "html", "--", "true"}, 2, "--html FILE"},
		{[]string{"--gil", "maybe", "--", "true"}, 2, "auto, both, on, off or keep"},
		{[]string{"--timeout", "1ms", "--", "true"}, 2, "give 1s or more"},
		{[]string{"--threads", "1,2", "--", "true"}, 2, "write {n} in its arguments, or give --env"},
		{[]string{"--processes", "1,2", "--", "true"}, 2, "write {p}"},
		{[]string{"--env", "A=B", "--", "true"}, 2, "name of an environment variable"},
		{[]string{"--cpus", "some", "--", "true"}, 2, "use all, match, or numbers"},
		{[]string{"--cpus", "100000", "--", "true"}, 2, "lets us use"},
		{[]string{"--threads", "0", "--", "true", "{n}"}, 2, "give 1 to"},
		{[]string{"--rounds", "0", "--", "true"}, 2, "rounds"},
		{[]string{"--throughput", "no group", "--", "true"}, 2, "with a group"},
		{[]string{"--throughput", "(", "--", "true"}, 2, "with a group"},
		{[]string{"--max-mem", "1B", "--", "true"}, 2, "--max-mem"},
		{[]string{"--gil", "both", "--", "true"}, 4, "name its interpreter with --python"},
		{[]string{"--gil", "both", "--python", "/bin/true", "--", "true"}, 4, "no Python that works"},
		{[]string{"--", "no-such-command"}, 4, "check its name and PATH"},
		{[]string{"--", "sh", "-c", "echo bad {n}; exit 9"}, 9, "threads 1 on"},
		{[]string{"--", "sh", "-c", "echo bad {n}; exit 9"}, 9, "said at last:\n  bad 1"},
		{[]string{"--", "sh", "-c", "kill -9 $$"}, 137, "it said nothing"},
		{[]string{"--rounds", "1", "--throughput", "rate ([0-9]+)", "--", "sh", "-c", "echo none"}, 4, "matches nothing"},
		{[]string{"--rounds", "1", "--throughput", "rate (.*)", "--", "sh", "-c", "echo rate x"}, 4, "no rate from"},
		{[]string{"--timeout", "1s", "--", "sleep", "60"}, 4, "ran for more than 1s"},
		{[]string{"--rounds", "1", "--html", filepath.Join(dir, "absent", "x.html"), "--", "true"}, 5, "create it first"},
	} {
		code, stdout, stderr := gilscope(append([]string{"scale"}, c.args...)...)
		if code != c.code || !strings.Contains(stderr, c.stderr) || stdout != "" {
			t.Errorf("%q: exit %d, want %d with %q\nstdout: %s\nstderr: %s", c.args, code, c.code, c.stderr, stdout, stderr)
		}
	}
}

// scaleJSON runs scale, which must succeed, and returns what it reports.
func scaleJSON(t *testing.T, args ...string) scaling.Report {
	t.Helper()
	code, stdout, stderr := gilscope(append([]string{"scale", "--json"}, args...)...)
	if code != 0 {
		t.Fatalf("%q: exit %d: %s", args, code, stderr)
	}
	var r scaling.Report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(stdout, "arg-of-the-program") {
		t.Error("an argument is in the report")
	}
	return r
}

// TestScaleRuns: each run gets its numbers and its CPUs, as often as asked.
func TestScaleRuns(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	program := script(t, "work", `echo "$1 $2 $WORKERS $(sed -n 's/Cpus_allowed_list:\t//p' /proc/self/status)" >>"$3"`)
	cpus, err := collector.AllowedCPUs()
	if err != nil {
		t.Fatal(err)
	}
	r := scaleJSON(t, "--rounds", "3", "--threads", "1,3", "--processes", "1,2", "--cpus", "1", "--env", "WORKERS", "--gil", "keep",
		"--", program, "n={n}", "p={p}", log, "arg-of-the-program")
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		got[line]++
	}
	for line, want := range map[string]int{"n=1 p=1 1": 3 + 1 + 3, "n=3 p=1 3": 3, "n=1 p=2 1": 3} { // 1: to warm up
		if line := fmt.Sprintf("%s %d", line, cpus[0]); got[line] != want {
			t.Errorf("%q ran %d times, want %d; all: %v", line, got[line], want, got)
		}
	}
	if len(r.Series) != 2 || r.Rounds != 3 || r.Program != "work" || r.Work != "fixed" {
		t.Fatalf("%+v", r)
	}
	if s := r.Series[0]; s.Kind != scaling.Threads || s.GIL != nil || len(s.Steps) != 2 || !s.Steps[1].Oversubscribed || s.Steps[1].CPUs != 1 || s.Amdahl != nil {
		t.Errorf("%+v", s)
	}
}

// TestScaleNoise: nobody asked for a verdict, so measurements that tell nothing are a result,
// not a failure; it says so.
func TestScaleNoise(t *testing.T) {
	if cpus, err := collector.AllowedCPUs(); err != nil || len(cpus) < 2 {
		t.Fatalf("a ladder needs two CPUs: run on a machine that has them (%v, %v)", cpus, err)
	}
	program := script(t, "bench", `echo >>"$2"; echo "rate: $((10 + $(wc -l <"$2") % 2 * 90))"`)
	code, stdout, stderr := gilscope("scale", "--rounds", "3", "--throughput", "rate: ([0-9]+)", "--threads", "1,2", "--gil", "keep",
		"--", program, "{n}", filepath.Join(t.TempDir(), "runs"))
	if code != exitOK || !strings.Contains(stdout, "too noisy to tell") {
		t.Errorf("exit %d: %s%s", code, stdout, stderr)
	}
}

// TestScaleThroughput: the rate is the program's own, the last that it printed.
func TestScaleThroughput(t *testing.T) {
	program := script(t, "bench", `echo "rate: 1.5/s"; echo "rate: $((100 + 50 * $1)).5/s"`)
	r := scaleJSON(t, "--rounds", "1", "--throughput", `rate: ([0-9.]+)/s`, "--threads", "2", "--cpus", "1", "--gil", "keep", "--", program, "{n}")
	steps := r.Series[0].Steps
	if r.Work != "output" || *steps[0].Throughput != 150.5 || *steps[1].Throughput != 200.5 || steps[1].Speedup.Value != 1.33223 {
		t.Errorf("%+v", steps)
	}
}

// TestScaleGIL: which build a command runs is asked of its interpreter.
func TestScaleGIL(t *testing.T) {
	free := script(t, "python3.99t", `case "$1" in -c) echo gilscope 3.99.0 1;; *) echo "gil=$PYTHON_GIL" >>"$1";; esac`)
	plain := script(t, "python3.98", `case "$1" in -c) echo gilscope 3.98.0 0;; esac`)
	log := filepath.Join(t.TempDir(), "log")
	r := scaleJSON(t, "--rounds", "2", "--threads", "1", "--", free, log, "{n}")
	if r.Python == nil || !r.Python.FreeThreaded || len(r.Series) != 2 || *r.Series[0].GIL != scaling.On || *r.Series[1].GIL != scaling.Off {
		t.Errorf("%+v", r)
	}
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if on, off := strings.Count(string(text), "gil=1\n"), strings.Count(string(text), "gil=0\n"); on != 3 || off != 2 {
		t.Errorf("%d runs with the GIL and %d without, want 3 and 2", on, off)
	}
	if r := scaleJSON(t, "--rounds", "1", "--threads", "1", "--", plain, "x", "{n}"); len(r.Series) != 1 || r.Series[0].GIL != nil || r.Python.FreeThreaded {
		t.Errorf("%+v", r)
	}
	code, _, stderr := gilscope("scale", "--gil", "off", "--", plain, "x", "{n}")
	if code != 4 || !strings.Contains(stderr, "is not a free-threaded build") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

func TestShebang(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"#!/opt/bin/python3.14t\n": "/opt/bin/python3.14t", "#!/usr/bin/env python3\nx": "python3", "#!/usr/bin/env -S python3 -u\n": "python3",
		"#!/bin/sh\n": "", "python3": "", "": "", "#!" + strings.Repeat("x", 9000) + "/python3": "",
	} {
		path := filepath.Join(dir, "f")
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		if got := shebang(path); got != want {
			t.Errorf("%.40q: %q, want %q", text, got, want)
		}
	}
	if got := shebang("/dev/zero"); got != "" {
		t.Errorf("a device: %q", got)
	}
}
