package livetest

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestProgress: a line every 10 s where there is no terminal.
func TestProgress(t *testing.T) {
	r := startRecord(t, "-p", fmt.Sprint(startBusy(t).PID), "-d", "10300ms")
	r.wait(t)
	line := regexp.MustCompile(`(?m)^rec 10s  \d+\.\dk events/s  lost 0  \d+\.\d MB$`)
	if n := len(line.FindAllString(r.said(), -1)); n != 1 {
		t.Errorf("%d progress lines, want 1:\n%s", n, r.said())
	}
}

// TestProgressOnTerminal: one line that is written over, four times a second.
func TestProgressOnTerminal(t *testing.T) {
	master, slave := openTerminal(t)
	cmd := command([]string{"record", "-p", fmt.Sprint(startBusy(t).PID), "-d", "700ms", "-o", filepath.Join(t.TempDir(), "t.pftrace")})
	cmd.Stderr = slave
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	said, _ := io.ReadAll(master) // ends with EIO when the terminal's last user is gone
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	if n := strings.Count(string(said), "\r\033[Krec "); n < 2 {
		t.Errorf("%d progress lines, want 2 or more:\n%q", n, said)
	}
	if !regexp.MustCompile(`MB\r\nwrote `).Match(said) {
		t.Errorf("the summary does not begin on a line of its own:\n%q", said)
	}
}

// openTerminal makes a pseudo terminal.
func openTerminal(t testing.TB) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}
