// Package testpy owns the Python interpreters of the tests: it finds those of
// the machine, starts scripts in them and talks to the scripts. It is imported
// by tests only.
package testpy

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Interpreter is one Python to test with.
type Interpreter struct {
	Name    string // "pyenv-3.11.7", "debian-3.11", "standalone-3.14.6"
	Path    string // of the executable
	Version string // "3.11.7"
	Minor   int    // 11
}

// minInterpreters is how many different ones a test run must have: what
// `make pythons` fetches, and in CI more, the oldest supported one among them.
func minInterpreters() int {
	if os.Getenv("CI") != "" {
		return 5
	}
	return 3
}

var (
	findOnce sync.Once
	found    []Interpreter
)

// All returns the supported interpreters of this machine. With too few the test
// fails: it would prove too little.
func All(t testing.TB) []Interpreter {
	t.Helper()
	findOnce.Do(func() { found = find() })
	if len(found) < minInterpreters() {
		t.Fatalf("found %d Python interpreters, the tests need %d: run 'make pythons'", len(found), minInterpreters())
	}
	return found
}

// Some returns those of the named interpreters that this machine has. In CI it
// must have all of them; elsewhere one that everybody has stands in for none.
func Some(t testing.TB, versions ...string) []Interpreter {
	t.Helper()
	var some []Interpreter
	for _, v := range versions {
		if i, ok := lookup(All(t), v); ok {
			some = append(some, i)
		} else if os.Getenv("CI") != "" {
			t.Fatalf("CI needs Python %s: install it, or run 'make pythons'", v)
		}
	}
	if len(some) == 0 {
		some = All(t)[:1]
	}
	return some
}

// One is Some for a single interpreter.
func One(t testing.TB, version string) Interpreter {
	t.Helper()
	return Some(t, version)[0]
}

func lookup(all []Interpreter, version string) (Interpreter, bool) {
	for _, i := range all {
		if i.Name == version || i.Version == version || strings.HasPrefix(i.Version, version+".") {
			return i, true
		}
	}
	return Interpreter{}, false
}

// Need returns the interpreter of that name or version ("3.8", "3.10.16",
// "debian-3.11"); the first one found, pyenv before others.
func Need(t testing.TB, version string) Interpreter {
	t.Helper()
	if i, ok := lookup(All(t), version); ok {
		return i
	}
	t.Fatalf("the test needs Python %s: run 'make pythons'", version)
	return Interpreter{}
}

// find looks in the known places: pyenv, the distribution, and the unpacked
// builds of python-build-standalone (see package testpy/fetch).
func find() []Interpreter {
	home, _ := os.UserHomeDir()
	var all []Interpreter
	for _, path := range glob(filepath.Join(home, ".pyenv/versions/3.*/bin/python3.*")) {
		all = appendInterpreter(all, "pyenv", path, filepath.Base(filepath.Dir(filepath.Dir(path))))
	}
	if out, err := exec.Command("/usr/bin/python3.11", "-c", "import platform; print(platform.python_version())").Output(); err == nil {
		all = appendInterpreter(all, "debian", "/usr/bin/python3.11", strings.TrimSpace(string(out)))
	}
	for _, path := range glob(filepath.Join(Dir(), "*/bin/python3.*")) {
		all = appendInterpreter(all, "standalone", path, filepath.Base(filepath.Dir(filepath.Dir(path))))
	}
	return all
}

// Dir is where the fetched interpreters lie: $GILSCOPE_PYTHONS, else
// ~/.cache/gilscope/pythons.
func Dir() string {
	if dir := os.Getenv("GILSCOPE_PYTHONS"); dir != "" {
		return dir
	}
	home, _ := os.UserHomeDir()
	return filepath.Join(home, ".cache", "gilscope", "pythons")
}

var versionName = regexp.MustCompile(`^3\.(\d+)\.\d+$`)

// appendInterpreter adds path if it is a supported python3.N itself (and not
// python3.N-config or a second name of one that is there).
func appendInterpreter(all []Interpreter, kind, path, version string) []Interpreter {
	m := versionName.FindStringSubmatch(version)
	if m == nil {
		return all
	}
	minor, _ := strconv.Atoi(m[1])
	if minor < 8 || filepath.Base(path) != "python3."+m[1] {
		return all
	}
	return append(all, Interpreter{Name: kind + "-" + version, Path: path, Version: version, Minor: minor})
}

// glob returns the matches in the order of their versions.
func glob(pattern string) []string {
	paths, _ := filepath.Glob(pattern)
	number := regexp.MustCompile(`\d+`)
	slices.SortFunc(paths, func(a, b string) int {
		x, y := number.FindAllString(a, -1), number.FindAllString(b, -1)
		return slices.CompareFunc(x, y, func(a, b string) int {
			m, _ := strconv.Atoi(a)
			n, _ := strconv.Atoi(b)
			return cmp.Compare(m, n)
		})
	})
	return paths
}

// Proc is a running script.
type Proc struct {
	PID   int
	Lines <-chan string // what it prints after "ready"; closed at its end
	Last  string        // its last line, once Stop has returned

	cmd   *exec.Cmd
	stdin io.WriteCloser
	once  sync.Once
}

// startTimeout bounds the wait for a script's "ready".
const startTimeout = 60 * time.Second

// Start runs script (Python source text) with args and returns once it has
// printed the line "ready". The script should end when its stdin is closed.
// The test's end stops it.
func Start(t testing.TB, interp Interpreter, script string, args ...string) *Proc {
	t.Helper()
	return StartCommand(t, exec.Command(interp.Path, append([]string{"-u", "-c", script}, args...)...))
}

// StartScript is Start for a script in a file.
func StartScript(t testing.TB, interp Interpreter, path string, args ...string) *Proc {
	t.Helper()
	return StartCommand(t, exec.Command(interp.Path, append([]string{"-u", path}, args...)...))
}

// StartCommand is Start for a prepared command.
func StartCommand(t testing.TB, cmd *exec.Cmd) *Proc {
	t.Helper()
	cmd.Stderr = os.Stderr
	// If the test is killed, the script must not stay behind.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	lines := make(chan string, 65536)
	p := &Proc{PID: cmd.Process.Pid, Lines: lines, cmd: cmd, stdin: stdin}
	t.Cleanup(p.Kill)
	go func() {
		defer close(lines)
		s := bufio.NewScanner(stdout)
		s.Buffer(nil, 16<<20)
		for s.Scan() {
			lines <- s.Text()
		}
	}()
	if line := p.Line(t); line != "ready" {
		t.Fatalf("%s printed %q, not \"ready\"", cmd.Path, line)
	}
	return p
}

// Line returns the next line that the script prints.
func (p *Proc) Line(t testing.TB) string {
	t.Helper()
	select {
	case line, ok := <-p.Lines:
		if !ok {
			t.Fatalf("the script (pid %d) ended", p.PID)
		}
		return line
	case <-time.After(startTimeout):
		t.Fatalf("the script (pid %d) printed nothing for %v", p.PID, startTimeout)
	}
	return ""
}

// Send writes a line to the script's stdin.
func (p *Proc) Send(t testing.TB, line string) {
	t.Helper()
	if _, err := fmt.Fprintln(p.stdin, line); err != nil {
		t.Fatalf("write to the script (pid %d): %v", p.PID, err)
	}
}

// Stop closes the script's stdin, waits for its end and returns its error.
func (p *Proc) Stop() (err error) {
	p.once.Do(func() {
		p.stdin.Close()
		for line := range p.Lines {
			p.Last = line
		}
		err = p.cmd.Wait()
	})
	return err
}

// Kill ends the script at once and reaps it.
func (p *Proc) Kill() {
	p.cmd.Process.Kill()
	p.Stop()
}
