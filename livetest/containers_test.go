package livetest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gilscope/internal/testpy"
	"gilscope/oracle"
)

// contain becomes a command in a new pid namespace, which keeps the host's
// /proc open, and sees its own.
const contain = `
exec 9</proc
mount -t proc proc /proc
HOST_PROC=9 exec "$@"
`

// inContainer runs a command as the first process of a container.
func inContainer(t testing.TB, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	args := append([]string{"--pid", "--fork", "--kill-child", "--mount", "sh", "-c", contain, "sh"}, cmd.Args...)
	in := exec.Command("unshare", args...)
	in.Env = cmd.Env
	if in.Err != nil {
		t.Fatalf("%v: install util-linux", in.Err)
	}
	return in
}

// firstChild is the only child of a process.
func firstChild(t testing.TB, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatalf("children of pid %d: %q", pid, text)
	}
	return child
}

// hostTIDs are the host's numbers of the threads of a process, by those in its own namespace.
func hostTIDs(t testing.TB, pid int) map[int32]int32 {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	tids := map[int32]int32{}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			var host, own int32
			if n, _ := fmt.Sscanf(line, "NSpid: %d %d", &host, &own); n == 2 {
				tids[own] = host
			}
		}
	}
	return tids
}

// renumber gives the threads of a truth from a container the host's numbers.
func renumber(t testing.TB, truth *oracle.Truth, host map[int32]int32) {
	t.Helper()
	threads := map[int32]*oracle.TruthThread{}
	for own, th := range truth.Threads {
		if host[own] == 0 {
			t.Fatalf("thread %d of the container has no number in the host: %v", own, host)
		}
		threads[host[own]] = th
	}
	truth.Threads = threads
}

// TestContainer records a program that runs in a container: 3.9 knows its
// threads by their pthread_t only, 3.13 by the numbers of the container, and
// debian-3.14 has another root, too.
func TestContainer(t *testing.T) {
	for _, in := range testpy.Some(t, "3.9", "3.13", "debian-3.14") {
		t.Run(in.Name, steady(func(t testing.TB) {
			script, err := filepath.Abs(filepath.Join("..", "testdata", "truth", "native_hold.py"))
			if err != nil {
				t.Fatal(err)
			}
			p := testpy.StartCommand(t, inContainer(t, in.Command("-u", script)))
			pid := firstChild(t, p.PID)
			host := hostTIDs(t, pid)
			r := startRecord(t, "-p", fmt.Sprint(pid), "-d", "1s")
			r.wait(t)
			truth := truthOf(t, p, "native_hold.py")
			renumber(t, truth, host)
			rec := open(t, r, truth)
			checkShortRun(t, rec)
			checkBlame(t, rec)
			checkNumbers(t, rec, int32(pid), int32(truth.PID), host)
		}))
	}
}

// checkNumbers holds the report to the host's numbers of a process and its threads, and to their names.
func checkNumbers(t testing.TB, r recording, pid, own int32, host map[int32]int32) {
	t.Helper()
	if row := processOf(r.report, pid); row == nil || row.NSPID == nil || *row.NSPID != own {
		t.Errorf("the report has %s, want pid %d as %d in its namespace", rowText(row), pid, own)
	}
	names := map[int32]string{}
	for _, th := range r.report.Threads {
		if th.PID == pid {
			names[th.TID] = th.Name
		}
	}
	for _, tid := range host {
		if _, ok := names[tid]; !ok {
			t.Errorf("thread %d is not in the report", tid)
		}
	}
	if len(names) != len(host) {
		t.Errorf("the report has threads %v, want those of %v", names, host)
	}
	for tid, th := range r.truth.Threads {
		if names[tid] != th.Name {
			t.Errorf("thread %d is named %q, want %q", tid, names[tid], th.Name)
		}
	}
}

// TestContainerFamily: what processes in a container fork or start is followed,
// also in two containers at once, in which all numbers are the same.
func TestContainerFamily(t *testing.T) {
	other := testpy.One(t, "3.11")
	for _, c := range []struct{ in, detail string }{
		{"3.9", "waits"}, {"3.13", "full"}, {"debian-3.14", "waits"}, {"3.9 3.13", "waits"}, {"3.13 debian-3.14", "full"},
	} {
		t.Run(c.in+"/"+c.detail, steady(func(t testing.TB) {
			args := []string{"--follow", "--detail", c.detail}
			var running []*testpy.Proc
			var dirs []string
			for _, in := range testpy.Some(t, strings.Fields(c.in)...) {
				dirs = append(dirs, t.TempDir())
				ways := []string{"nested", "busy"}
				if in.Root == "" {
					ways = append(ways, other.Path)
				}
				argv := append([]string{"-W", "ignore", processesScript(t, "family"), dirs[len(dirs)-1]}, ways...)
				p := testpy.StartCommand(t, inContainer(t, in.Command(argv...)))
				running = append(running, p)
				args = append(args, "-p", fmt.Sprint(firstChild(t, p.PID)))
			}
			r := startRecord(t, args...)
			for _, p := range running {
				p.Send(t, "begin")
			}
			for _, p := range running {
				if err := p.Stop(); err != nil {
					t.Fatalf("family.py was harmed: %v\n%s", err, r.said())
				}
			}
			r.wait(t)
			rec := open(t, r, nil)
			for _, dir := range dirs {
				checkContained(t, rec, members(t, dir))
			}
		}))
	}
}

// checkContained holds the recording to what the processes of one container said of themselves.
func checkContained(t testing.TB, r recording, found map[int32]member) {
	t.Helper()
	pids, outside := map[int32]int32{}, map[int32]member{}
	for own, m := range found {
		pids[own] = m.HostPID
	}
	for own, m := range found {
		renumber(t, m.truth, m.HostTIDs)
		m.Parent = pids[m.Parent]
		outside[m.HostPID] = m
		row := processOf(r.report, m.HostPID)
		if row == nil || row.NSPID == nil || *row.NSPID != own {
			t.Errorf("%s: the report has %s, want pid %d as %d in its namespace", m.How, rowText(row), m.HostPID, own)
		}
	}
	if len(outside) < 4 {
		t.Errorf("%d processes measured themselves, want 4 or more", len(outside))
	}
	checkFamily(t, r, outside)
}
