package collector

import (
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// givesUp makes the test program what it runs in itself: one that gives up.
const givesUp = "GILSCOPE_TEST_GIVES_UP"

// TestNothingIsGained: what a recorder starts has no more than the recorder kept,
// though root's programs have everything otherwise. The kernel decides that when
// it begins a program (security/commoncap.c, cap_bprm_creds_from_file).
func TestNothingIsGained(t *testing.T) {
	keep := capabilitiesOf(unix.CAP_BPF, unix.CAP_PERFMON)
	if os.Getenv(givesUp) != "" {
		giveUpAndExec(t, keep)
	}
	own, err := ownPrivileges()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", "-test.run", "^TestNothingIsGained$")
	cmd.Env = append(os.Environ(), givesUp+"=1")
	status, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, status)
	}
	for _, set := range []string{"CapPrm", "CapEff", "CapInh", "CapAmb"} {
		m := regexp.MustCompile(set + `:\s+([0-9a-f]+)`).FindSubmatch(status)
		if m == nil {
			t.Fatalf("no %s in:\n%s", set, status)
		}
		got, err := strconv.ParseUint(string(m[1]), 16, 64)
		if more := capabilities(got) &^ (keep & own.permitted); err != nil || more != 0 {
			t.Errorf("%s has %#x more (%v)", set, more, err)
		}
	}
}

// giveUpAndExec does for one thread what giveUp does for all, which takes a program
// built without cgo.
func giveUpAndExec(t *testing.T, keep capabilities) {
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	own, err := ownPrivileges()
	if err != nil {
		t.Fatal(err)
	}
	header, data := privileges{permitted: own.permitted & keep, effective: own.effective & keep}.words()
	if err := unix.Capset(&header, &data[0]); err != nil {
		t.Fatal(err)
	}
	t.Fatal(unix.Exec("/bin/cat", []string{"cat", "/proc/self/status"}, nil))
}
