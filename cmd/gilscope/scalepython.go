package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"gilscope/collector"
	"gilscope/internal/scaling"
)

// askPython prints the version, and 1 for a build that can run without a GIL
// (Py_GIL_DISABLED of sysconfig, from 3.13 on).
const askPython = `import platform, sysconfig
print("gilscope", platform.python_version(), int(bool(sysconfig.get_config_var("Py_GIL_DISABLED"))))`

// askFor is how long an interpreter may take to answer.
const askFor = 20 * time.Second

var (
	pythonName   = regexp.MustCompile(`^(python|pypy)[0-9.]*[a-z]*$`)
	pythonAnswer = regexp.MustCompile(`(?m)^gilscope (\S{1,40}) ([01])$`)
)

// gils are the states of the GIL to measure. Only a free-threaded build obeys
// PYTHON_GIL; another one refuses to start with PYTHON_GIL=0.
func (m *measurement) gils(ctx context.Context) ([]scaling.GIL, error) {
	if m.o.gil == "keep" {
		return []scaling.GIL{scaling.Keep}, nil
	}
	python, err := m.interpreter(ctx)
	switch {
	case err != nil && m.o.gil == "auto":
		m.skip("gil", err.Error())
		return []scaling.GIL{scaling.Keep}, nil
	case err != nil:
		return nil, fmt.Errorf("scale --gil %s: %w", m.o.gil, err)
	}
	m.python = python
	switch {
	case !python.FreeThreaded && m.o.gil == "auto":
		m.skip("gil", fmt.Sprintf("Python %s is not a free-threaded build: it always has its GIL", python.Version))
		return []scaling.GIL{scaling.Keep}, nil
	case !python.FreeThreaded:
		return nil, fmt.Errorf("scale --gil %s: %w: Python %s is not a free-threaded build and always has its GIL: use one such as python3.14t, or --gil keep",
			m.o.gil, collector.ErrTarget, python.Version)
	}
	return map[string][]scaling.GIL{
		"auto": {scaling.On, scaling.Off}, "both": {scaling.On, scaling.Off}, "on": {scaling.On}, "off": {scaling.Off},
	}[m.o.gil], nil
}

// interpreter finds the command's Python, and asks it what it is.
func (m *measurement) interpreter(ctx context.Context) (*scaling.Python, error) {
	path, err := m.o.findPython()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	run, err := collector.RunTimed(ctx, collector.Timed{Command: []string{path, "-c", askPython}})
	if err != nil {
		return nil, fmt.Errorf("ask %s for its version: %w", path, err)
	}
	got := pythonAnswer.FindSubmatch(run.Output)
	if got == nil {
		return nil, fmt.Errorf("ask %s for its version: %w: it is no Python that works: name the interpreter with --python", path, collector.ErrTarget)
	}
	return &scaling.Python{Version: string(got[1]), FreeThreaded: string(got[2]) == "1"}, nil
}

// findPython is the interpreter: what was named, the command itself, or what the
// first line of the command's file starts.
func (o *scaleOptions) findPython() (string, error) {
	if o.python != "" {
		return o.python, nil
	}
	if pythonName.MatchString(filepath.Base(o.command[0])) {
		return o.command[0], nil
	}
	if path := shebang(o.command[0]); path != "" {
		return path, nil
	}
	return "", fmt.Errorf("whether %s runs a free-threaded Python cannot be told: %w: name its interpreter with --python, or use --gil keep",
		o.program(), collector.ErrTarget)
}

// maxShebang is how long the kernel lets such a line be (BINPRM_BUF_SIZE).
const maxShebang = 256

// shebang is the Python in the first line of a script, "" if there is none.
func shebang(name string) string {
	path, err := exec.LookPath(name)
	if err != nil {
		return ""
	}
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return ""
	}
	line, _ := bufio.NewReader(io.LimitReader(f, maxShebang)).ReadString('\n')
	rest, ok := strings.CutPrefix(line, "#!")
	if !ok {
		return ""
	}
	for _, word := range strings.Fields(rest) {
		if pythonName.MatchString(filepath.Base(word)) {
			return word
		}
	}
	return ""
}
