package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gilscope/analyze"
	"gilscope/internal/testkernel"
	"gilscope/internal/testpy"
)

// step is one run of gilscope.
func step(name string, exit int, stdout, stderr string) testkernel.Step {
	return testkernel.Step{Name: name, Run: testkernel.Run{Args: []string{name}, Exit: exit, Stdout: stdout, Stderr: stderr}}
}

const refusalText = "gilscope: record: Linux 5.10.0: kernel not supported: gilscope needs Linux 5.15 or newer"

func doctorText(status string) string {
	return `{"schema":"gilscope.doctor/v1","checks":[{"status":"ok","check":"kernel","detail":"Linux 6.1.0"},
		{"status":"` + status + `","check":"attach a uprobe and count its hits","detail":"perf uprobe (kernel before 6.6)"}]}`
}

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name    string
		step    testkernel.Step
		refused bool
		cell    string
		err     string // a part of it; "": none
	}{
		{"refused", step(testkernel.Waits, 4, "", refusalText), true, "refused", ""},
		{"refused with another code", step(testkernel.Waits, 5, "", refusalText), true, "fails", "exit code 5, want 4"},
		{"refused without a word", step(testkernel.Waits, 4, "", "gilscope: no"), true, "fails", "which kernel is needed"},
		{"not refused", step(testkernel.Waits, 0, "", ""), true, "fails", "exit code 0, want 4"},
		{"doctor", step(testkernel.Doctor, 0, doctorText("ok"), ""), false, "perf uprobe", ""},
		{"doctor warns", step(testkernel.Doctor, 0, doctorText("warn"), ""), false, "fails", "attach a uprobe"},
		{"doctor fails", step(testkernel.Doctor, 4, doctorText("ok"), "no"), false, "fails", "exit code 4"},
		{"doctor says nothing", step(testkernel.Doctor, 4, "", "no"), false, "fails", "no JSON"},
		{"record fails", step(testkernel.Full, 4, "", "first\nlast"), false, "fails", "exit code 4: last"},
	} {
		v := judge([]testkernel.Step{{Name: testkernel.Boot, Kernel: "5.10.0"}, c.step, {Name: testkernel.Done}}, c.refused)
		if v.release != "5.10.0" || v.cells[c.step.Name] != c.cell {
			t.Errorf("%s: the table says %q of %q", c.name, v.cells[c.step.Name], v.release)
		}
		if (v.err == nil) != (c.err == "") || v.err != nil && !strings.Contains(v.err.Error(), c.err) {
			t.Errorf("%s: error %v, want %q", c.name, v.err, c.err)
		}
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"":                "did not come up",
		"Oops\n":          "line 1 of the guest",
		`{"Name":"boot"}`: "went down after the step boot",
		`{"Name":"boot"}` + "\n" + `{"Name":"done"}`: "",
		`{"Name":"failed","Error":"no port"}`:        "could not go on: no port",
	} {
		if _, err := parse([]byte(text)); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestTable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "README.md")
	if err := write(path, nil); err == nil {
		t.Error("a file that is not there was written")
	}
	if err := os.WriteFile(path, []byte("before\n"+tableBegin+"old\n"+tableEnd+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	rows := []row{
		{kernels[0], verdict{release: "5.10.0", cells: map[string]string{testkernel.Waits: "refused"}}},
		{kernels[1], verdict{release: "6.1.0", cells: map[string]string{testkernel.Doctor: "perf uprobe"}}},
		{kernels[2], verdict{release: "6.12.0", err: fmt.Errorf("no")}},
	}
	if err := write(path, rows); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const want = "before\n" + tableBegin +
		"| kernel | `waits` | `full` by | `full` | `full`, children | `waits`, container | event loops | result |\n|---|---|---|---|---|---|---|---|\n" +
		"| 5.10.0 (Debian 11) | refused |  |  |  |  |  | refused, as it must be |\n" +
		"| 6.1.0 (Debian 12) |  | perf uprobe |  |  |  |  | works |\n" +
		"| 6.12.0 (Debian 13) |  |  |  |  |  |  | fails |\n" + tableEnd + "after\n"
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestKernelPackages(t *testing.T) {
	const said = "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-50-cloud-amd64\n |Depends: linux-binary-7.2+deb14-cloud-amd64\n  Depends: kmod\n"
	got := slices.DeleteFunc(dependencies(said), func(name string) bool { return !archs[0].kernels.MatchString(name) })
	if want := []string{"linux-image-6.1.0-50-cloud-amd64", "linux-binary-7.2+deb14-cloud-amd64"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := archOf("vax"); err == nil || !strings.Contains(err.Error(), archs[0].name) {
		t.Errorf("a VAX: %v", err)
	}
}

// entry is what an archive has under a name.
type entry struct {
	mode uint64
	body string
}

// entries reads an archive of the form newc.
func entries(t *testing.T, r *bytes.Reader) map[string]entry {
	t.Helper()
	all := map[string]entry{}
	next := func(n uint64) string {
		b := make([]byte, n)
		if _, err := io.ReadFull(r, b); err != nil {
			t.Fatal(err)
		}
		r.Seek((r.Size()-int64(r.Len())+3)&^3, io.SeekStart)
		return string(b)
	}
	for {
		header := make([]byte, 110)
		if _, err := io.ReadFull(r, header); err != nil || string(header[:6]) != "070701" {
			t.Fatalf("header %q: %v", header, err)
		}
		field := func(i int) uint64 {
			n, err := strconv.ParseUint(string(header[6+8*i:14+8*i]), 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		name := strings.TrimSuffix(next(field(11)), "\x00")
		if name == "TRAILER!!!" {
			return all
		}
		if _, twice := all[name]; twice {
			t.Errorf("%s is there twice", name)
		}
		all[name] = entry{field(1), next(field(6))}
	}
}

func TestInitramfs(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a/b": "five.", "a/left/c": "out"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("b", filepath.Join(dir, "a/link")); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	a := newInitramfs(&out)
	a.device("/dev/console", 5, 1)
	a.tree("/root", dir, func(path string) bool { return path == "a/left" })
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	got := entries(t, bytes.NewReader(out.Bytes()))
	for name, want := range map[string]entry{
		"dev": {typeDir | 0o755, ""}, "dev/console": {typeChar | 0o600, ""}, "root/a": {typeDir | 0o755, ""},
		"root/a/b": {typeFile | 0o755, "five."}, "root/a/link": {typeSymlink | 0o777, "b"},
	} {
		if got[name] != want {
			t.Errorf("%s: %o %q, want %o %q", name, got[name].mode, got[name].body, want.mode, want.body)
		}
	}
	if _, there := got["root/a/left/c"]; there {
		t.Error("what was to be left out is there")
	}
}

// TestREADME: the table in README.md is of all kernels, each on all kinds of
// machines, and none failed.
func TestREADME(t *testing.T) {
	file, err := os.ReadFile(filepath.Join(testpy.Tree(), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(file), tableBegin)
	text, _, _ := strings.Cut(rest, tableEnd)
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) != 2+len(archs)*len(kernels) {
		t.Fatalf("the table has %d lines, want a head and %d kernels on %d kinds of machines; run 'make kernels'", len(lines), len(kernels), len(archs))
	}
	for i, line := range lines[2:] {
		a, k := archs[i/len(kernels)], kernels[i%len(kernels)]
		want := "-" + a.name + " (" + k.name + ") |"
		if !strings.Contains(line, want) || !strings.HasSuffix(line, "| "+row{kernel: k}.result()+" |") {
			t.Errorf("row %d is %q, want one of %q that did not fail; run 'make kernels'", i, line, want)
		}
	}
}

// TestLoopCalls: a call that kept the loop needs a block around it, of the same cause.
func TestLoopCalls(t *testing.T) {
	report := &analyze.Report{Loops: []analyze.LoopRow{{Blocks: []analyze.BlockRow{{StartNS: 10e6, DurationNS: 120e6, Cause: "sleep"}}}}}
	for _, c := range []struct {
		call loopCall
		want bool
	}{
		{loopCall{11e6, 129e6, "sleep"}, true},
		{loopCall{11e6, 129e6, "cpu"}, false},
		{loopCall{5e6, 129e6, "sleep"}, false},
		{loopCall{11e6, 150e6, "sleep"}, false},
	} {
		if got := c.call.found(report); got != c.want {
			t.Errorf("%+v: found %v", c.call, got)
		}
	}
}
