// Command guest is the first process of the virtual machine of `make kernels`
// (see package testkernel). It makes the few file systems that Python and
// gilscope need, takes its steps, and turns the machine off.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"gilscope/internal/testkernel"
)

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "guest: is made to be the first process of a virtual machine: run 'make kernels'")
		os.Exit(2)
	}
	os.Setenv("PATH", "/usr/bin")
	g := guest{dir: "/tmp"}
	if err := g.open(); err != nil {
		fmt.Println("guest:", err) // on the console, which the host keeps
	} else {
		g.all()
		unix.IoctlSetInt(int(g.port.Fd()), unix.TCSBRK, 1) // waits until the port has sent all
	}
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

// guest is the machine's state.
type guest struct {
	port *os.File
	dir  string // for traces
}

// mounts are what a booted system would have.
var mounts = []struct{ kind, dir string }{
	{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tracefs", "/sys/kernel/tracing"}, {"tmpfs", "/tmp"},
}

// open mounts, and opens the port.
func (g *guest) open() (err error) {
	for _, m := range mounts {
		if err := os.MkdirAll(m.dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.kind, m.dir, m.kind, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.dir, err)
		}
	}
	if g.port, err = os.OpenFile(os.Getenv(testkernel.PortArg), os.O_WRONLY|unix.O_NOCTTY, 0); err != nil {
		return err
	}
	return g.raw()
}

// raw makes the port send every byte as it is.
func (g *guest) raw() error {
	t, err := unix.IoctlGetTermios(int(g.port.Fd()), unix.TCGETS)
	if err != nil {
		return err
	}
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ICANON
	return unix.IoctlSetTermios(int(g.port.Fd()), unix.TCSETS, t)
}

// send sends one line, and says on the console what it is.
func (g *guest) send(s testkernel.Step) {
	line, err := json.Marshal(s)
	if err == nil {
		_, err = g.port.Write(append(line, '\n'))
	}
	fmt.Printf("guest: %s %s: exit %d after %.1f s, %d bytes, %v %s\n", s.Name, strings.Join(s.Run.Args, " "), s.Run.Exit,
		s.Run.Took.Seconds(), len(line), err, s.Error)
}

// all takes every step; on a kernel that gilscope refuses, those are soon over.
func (g *guest) all() {
	var u unix.Utsname
	unix.Uname(&u)
	g.send(testkernel.Step{Name: testkernel.Boot, Kernel: unix.ByteSliceToString(u.Release[:])})
	for _, step := range []func() (testkernel.Step, error){
		g.doctor,
		func() (testkernel.Step, error) {
			return g.one(testkernel.Waits, convoy, "-d", "3s", "--detail", "waits")
		},
		func() (testkernel.Step, error) { return g.one(testkernel.Full, convoy, "-d", "3s", "--detail", "full") },
		func() (testkernel.Step, error) { return g.one(testkernel.Auto, convoy, "-d", "3s") },
		g.follow,
		g.contain,
		func() (testkernel.Step, error) {
			return g.one(testkernel.Loops, "loops/two.py", "-d", "12s", "--detail", "waits")
		},
	} {
		s, err := step()
		if err != nil {
			g.send(testkernel.Step{Name: testkernel.Failed, Error: fmt.Sprintf("%s: %v", s.Name, err)})
			return
		}
		g.send(s)
	}
	g.send(testkernel.Step{Name: testkernel.Done})
}
