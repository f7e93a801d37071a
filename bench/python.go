package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// python is the interpreter that is measured.
type python struct {
	Path    string `json:"path"`
	Version string `json:"version"`
}

// interpreter returns $PYTHON, else the newest of pyenv, else python3.
func interpreter(ctx context.Context) (python, error) {
	path := os.Getenv("PYTHON")
	if path == "" {
		path = newest(pyenv())
	}
	if path == "" {
		path = "python3"
	}
	// What is found may be a script that chooses an interpreter: ask for that one.
	out, err := exec.CommandContext(ctx, path, "-c", "import platform, sys; print(sys.executable, platform.python_version(), sep='\\n')").Output()
	if err != nil {
		return python{}, fmt.Errorf("run %s: %w: set PYTHON to a CPython 3.8 or newer", path, err)
	}
	executable, version, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return python{executable, version}, nil
}

// pyenv is the directory of pyenv's interpreters.
func pyenv() string {
	root := os.Getenv("PYENV_ROOT")
	if root == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		root = filepath.Join(home, ".pyenv")
	}
	return filepath.Join(root, "versions")
}

// release is the name of a directory with a build that has a GIL.
var release = regexp.MustCompile(`^3\.(\d+)\.(\d+)$`)

// newest returns the newest python3 in a directory of versions, or "".
func newest(versions string) string {
	entries, err := os.ReadDir(versions)
	if err != nil {
		return ""
	}
	path, best := "", 0
	for _, e := range entries {
		m := release.FindStringSubmatch(e.Name())
		if m == nil {
			continue
		}
		minor, _ := strconv.Atoi(m[1])
		patch, _ := strconv.Atoi(m[2])
		if n := minor<<16 + patch; minor >= 8 && n > best {
			path, best = filepath.Join(versions, e.Name(), "bin", "python3"), n
		}
	}
	return path
}
