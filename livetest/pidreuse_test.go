package livetest

import (
	"fmt"
	"os/exec"
	"testing"

	"gilscope/analyze"
	"gilscope/internal/testpy"
	"gilscope/internal/trace"
)

// reuseScript becomes a worker in a process of the number that it is given, by
// clone3 with set_tid (which its caller, root, may use), and ends as that does.
const reuseScript = `
import ctypes, os, struct, sys
pid = int(sys.argv[1])
tids = (ctypes.c_int * 1)(pid)
# struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size
args = ctypes.create_string_buffer(struct.pack("10Q", 0, 0, 0, 0, 17, 0, 0, 0, ctypes.addressof(tids), 1))
libc = ctypes.CDLL(None, use_errno=True)
child = libc.syscall(435, args, 80)
if child == 0: os.execv(sys.executable, [sys.executable, "-u", "-c", sys.argv[2]])
if child != pid: sys.exit("clone3: %s" % os.strerror(ctypes.get_errno()))
os.close(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`

// TestPIDReuse: another process that gets the number of a target which ended is
// none: nothing of it is in the trace, and it is left alone.
func TestPIDReuse(t *testing.T) {
	in := testpy.One(t, "3.12")
	for _, follow := range []string{"--follow=false", "--follow"} {
		t.Run(follow, func(t *testing.T) {
			first, other := startWorker(t), startWorker(t)
			r := startRecord(t, "-p", fmt.Sprint(first.PID), "-p", fmt.Sprint(other.PID), "--detail", "full", follow)
			answers(t, first, turns)
			if code := exitOf(t, first.Stop()); code != 7 {
				t.Errorf("the target ended with %d, want its 7", code)
			}
			ended := bootTime(t)
			second := testpy.StartCommand(t, exec.Command(in.Path, "-u", "-c", reuseScript, fmt.Sprint(first.PID), workerScript))
			answers(t, second, turns)
			answers(t, other, turns)
			r.finish(t)
			cleanCode(t, first.PID)
			if code := exitOf(t, second.Stop()); code != 7 {
				t.Errorf("the process with its number ended with %d, want its 7", code)
			}
			unharmed(t, other)
			checkReuse(t, r, int32(first.PID), ended)
		})
	}
}

func checkReuse(t *testing.T, r *recorder, pid int32, ended trace.Time) {
	t.Helper()
	tr := readTrace(t, r.trace)
	checkExact(t, tr)
	for i := range tr.Events {
		if e := &tr.Events[i]; e.PID == pid && e.Time > ended {
			t.Fatalf("%s at %d of pid %d, which ended before %d", e.Kind, e.Time, pid, ended)
		}
	}
	report := analyze.Analyze(tr)
	row := processOf(report, pid)
	if row == nil || row.Exit == nil || *row.Exit != (analyze.Exit{Code: 7}) || len(report.Processes) != 2 {
		t.Errorf("of %d processes, the report has %s; want one that ended with 7", len(report.Processes), rowText(row))
	}
}
