package collector

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gilscope/internal/cpython"
)

// FindByName returns the pids of the Python processes of that name: the
// kernel's name of the process, that of its program, or that of the script or
// module it runs ("app.py", "gunicorn"). No match is an error.
func FindByName(name string) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("look for processes named %q: %w", name, err)
	}
	var pids []int
	var refused error
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() || !slices.Contains(namesOf(pid), name) {
			continue
		}
		if err := mayTrace(pid); err != nil {
			refused = err
			continue
		}
		p, err := cpython.Open(pid)
		if err != nil {
			if !errors.Is(err, cpython.ErrGone) {
				refused = err
			}
			continue
		}
		p.Close()
		pids = append(pids, pid)
	}
	switch {
	case len(pids) > 0:
		return pids, nil
	case refused != nil:
		return nil, fmt.Errorf("--name %s: %w", name, refused)
	}
	return nil, fmt.Errorf("--name %s: %w: no process has that name; look with ps, and give -p PID", name, ErrTarget)
}

// namesOf are the names by which a process can be found.
func namesOf(pid int) []string {
	var names []string
	if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil {
		names = append(names, strings.TrimSuffix(string(comm), "\n"))
	}
	names = append(names, executable(pid))
	args := bytes.Split(commandLine(pid), []byte{0})
	if len(args) == 0 || len(args[0]) == 0 {
		return names
	}
	names = append(names, filepath.Base(string(args[0])))
	for i, arg := range args[1:] {
		if string(arg) == "-m" && i+2 < len(args) {
			return append(names, string(args[i+2]))
		}
		if len(arg) > 0 && arg[0] != '-' {
			return append(names, filepath.Base(string(arg)))
		}
	}
	return names
}
