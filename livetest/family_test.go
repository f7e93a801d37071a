package livetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gilscope/analyze"
	"gilscope/internal/testpy"
	"gilscope/oracle"
)

// member is what one process of testdata/processes said of itself.
type member struct {
	truth  *oracle.Truth
	How    string // the way it was started
	Parent int32
	Code   int64 // with which it would end
	From   int64 // when all its threads had begun
	To     int64 // when it told them to end
	// In a container: which of the host's it is, and its threads, by their numbers in the container.
	HostPID  int32           `json:"host_pid"`
	HostTIDs map[int32]int32 `json:"host_tids"`
}

// processesScript is the path of a program of testdata/processes.
func processesScript(t testing.TB, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "testdata", "processes", name+".py"))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// members reads what the processes left in a folder, by pid.
func members(t testing.TB, dir string) map[int32]member {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[int32]member{}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var m member
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if m.truth, err = oracle.ParseTruth(text); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all[int32(m.truth.PID)] = m
	}
	return all
}

// fromStart reads a recording of a command from its start.
func fromStart(t testing.TB, o outcome, path string) recording {
	t.Helper()
	return open(t, &recorder{trace: path, words: bytes.NewBufferString(o.stderr)}, nil)
}

// methods are the start methods, as a report must name them, of the ways in
// which testdata/processes/family.py starts children.
var methods = map[string]string{
	"fork": "fork", "spawn": "spawn", "forkserver": "forkserver",
	"os.fork": "fork", "nested": "fork", "busy": "fork", "daemon": "fork", "subprocess": "subprocess",
}

// ownWays are those that need no other interpreter.
var ownWays = []string{"default", "fork", "spawn", "forkserver", "os.fork", "nested", "busy", "daemon"}

// TestFamily records a program with children of every kind, each of which
// contends for its own GIL from its start to its end.
func TestFamily(t *testing.T) {
	for _, in := range testpy.Some(t, "3.8", "3.12", "debian-3.11", "3.14") {
		for _, detail := range []string{"waits", "full"} {
			t.Run(in.Name+"/"+detail, steady(func(t testing.TB) {
				r, found := recordFamily(t, in, detail, ownWays...)
				if want := len(ownWays) + 2; len(found) != want { // the nested one is two, the busy one's parent is one more
					t.Fatalf("%d processes measured themselves, want %d", len(found), want)
				}
				checkFamily(t, r, found)
				checkServers(t, r, found, 2)
				if got := methodOfCode(r.report, 10); in.Minor == 14 && got != "forkserver" {
					t.Errorf("by default 3.14 starts children by %q", got)
				}
			}))
		}
	}
}

// TestFamilyOfVersions: a program's children are other interpreters.
func TestFamilyOfVersions(t *testing.T) {
	others := testpy.Some(t, "3.9", "debian-3.11")
	for _, detail := range []string{"waits", "full"} {
		t.Run(detail, steady(func(t testing.TB) {
			var paths []string
			for _, in := range others {
				paths = append(paths, in.Path)
			}
			r, found := recordFamily(t, testpy.One(t, "3.12"), detail, paths...)
			checkFamily(t, r, found)
			for i, in := range others {
				if row := processOfCode(r.report, int64(10+i)); row == nil || row.Python == nil || row.Python.Version != in.Version {
					t.Errorf("the report says %+v of a child with Python %s", row, in.Version)
				}
			}
		}))
	}
}

// recordFamily records family.py: at detail waits while it runs, at full from its start.
func recordFamily(t testing.TB, in testpy.Interpreter, detail string, ways ...string) (recording, map[int32]member) {
	t.Helper()
	dir := t.TempDir()
	argv := append([]string{"-W", "ignore", processesScript(t, "family"), dir}, ways...)
	if detail == "full" {
		path := filepath.Join(t.TempDir(), "t.pftrace")
		args := []string{"record", "-v", "--detail", detail, "-o", path, "--no-event-callstacks", "--", in.Path}
		o := run(t, append(args, argv...))
		o.wants(t, 0)
		return fromStart(t, o, path), members(t, dir)
	}
	p := testpy.StartCommand(t, in.Command(argv...))
	r := startRecord(t, "-p", fmt.Sprint(p.PID), "--follow", "--detail", detail)
	if err := p.Stop(); err != nil { // the end of its stdin lets it begin
		t.Fatalf("family.py was harmed: %v\n%s", err, r.said())
	}
	r.wait(t)
	return open(t, r, nil), members(t, dir)
}

// checkFamily holds the recording to what every process said of itself.
func checkFamily(t testing.TB, r recording, found map[int32]member) {
	t.Helper()
	for _, row := range r.report.Processes {
		if row.ChildrenNotRecorded != 0 {
			t.Errorf("pid %d: %d children are not recorded", row.PID, row.ChildrenNotRecorded)
		}
		if row.Exit == nil {
			t.Errorf("pid %d (%v): its end is not known", row.PID, row.Role)
		}
	}
	for pid, m := range found {
		checkMember(t, r, pid, m)
	}
}

func checkMember(t testing.TB, r recording, pid int32, m member) {
	t.Helper()
	row := processOf(r.report, pid)
	if row == nil {
		t.Errorf("%s: pid %d is not in the report", m.How, pid)
		return
	}
	if m.How != "main" {
		if row.StartedNS == nil || row.ParentPID == nil || *row.ParentPID != m.Parent || row.StartMethod == nil || *row.StartMethod != methods[m.How] || row.Role != nil {
			t.Errorf("%s: the report has %s, want a child of %d by %s", m.How, rowText(row), m.Parent, methods[m.How])
			return
		}
	}
	if row.Exit == nil || *row.Exit != (analyze.Exit{Code: m.Code}) {
		t.Errorf("%s: it ended with %+v, want code %d", m.How, row.Exit, m.Code)
	}
	if row.Python == nil || row.Python.Version != m.truth.Python {
		t.Errorf("%s: the report has %s, want Python %s", m.How, rowText(row), m.truth.Python)
	}
	if checkMeasured(t, r, m, pid) && m.How != "main" { // that one ran before, or is found soon after its start
		checkFirstWait(t, r, m.truth, *row.StartedNS)
	}
	checkProcessCounts(t, r, pid)
}

// checkServers: multiprocessing's own processes are known as such, and are the main process's children.
func checkServers(t testing.TB, r recording, found map[int32]member, want int) {
	t.Helper()
	servers := map[string]int{}
	for i := range r.report.Processes {
		row := &r.report.Processes[i]
		if row.Role == nil {
			continue
		}
		servers[*row.Role]++
		if found[*row.ParentPID].How != "main" || *row.StartMethod != "subprocess" || row.Python == nil || row.Exit == nil || *row.Exit != (analyze.Exit{}) {
			t.Errorf("%s: the report has %s", *row.Role, rowText(row))
		}
	}
	if servers["fork server"] != 1 || servers["resource tracker"] != 1 || len(servers) != want {
		t.Errorf("roles %v, want one fork server and one resource tracker", servers)
	}
}

func rowText(row *analyze.Process) string {
	b, err := json.Marshal(row)
	if err != nil {
		return err.Error()
	}
	return strings.ReplaceAll(string(b), `"`, "")
}

func processOf(r *analyze.Report, pid int32) *analyze.Process {
	for i := range r.Processes {
		if r.Processes[i].PID == pid {
			return &r.Processes[i]
		}
	}
	return nil
}

func processOfCode(r *analyze.Report, code int64) *analyze.Process {
	for i := range r.Processes {
		if e := r.Processes[i].Exit; e != nil && e.Code == code {
			return &r.Processes[i]
		}
	}
	return nil
}

func methodOfCode(r *analyze.Report, code int64) string {
	if row := processOfCode(r, code); row != nil && row.StartMethod != nil {
		return *row.StartMethod
	}
	return ""
}

func gilsOf(r *analyze.Report, pid int32) []analyze.GILRow {
	var all []analyze.GILRow
	for _, g := range r.GIL {
		if g.PID == pid {
			all = append(all, g)
		}
	}
	return all
}
