package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"gilscope/internal/testkernel"
	"gilscope/internal/testpy"
)

// pythonName is the interpreter that the guest runs, one that `make pythons`
// always gets: its libraries are glibc's and nothing else. This one is static,
// stripped and reordered by BOLT, so it is the hardest to look into, too.
const pythonName = "3.14.6"

// makeRoot writes the guest's root folder: built from this tree, and Python and
// glibc from this machine.
func makeRoot(out, work string) error {
	guest, gilscope := filepath.Join(work, "guest"), filepath.Join(work, "gilscope")
	if err := build(guest, "./internal/testkernel/guest"); err != nil {
		return err
	}
	if err := build(gilscope, "./cmd/gilscope"); err != nil {
		return err
	}
	python := filepath.Join(testpy.Dir(), pythonName)
	libraries, err := librariesOf(python)
	if err != nil {
		return err
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	defer f.Close()
	a := newInitramfs(f)
	a.device("/dev/console", 5, 1) // before devtmpfs is mounted
	a.file("/init", guest)
	a.file(testkernel.Gilscope, gilscope)
	for _, path := range libraries {
		a.file(path, path)
	}
	a.tree("/python", python, notNeeded)
	a.tree(testkernel.Programs, filepath.Join(testpy.Tree(), "testdata"), func(path string) bool {
		return path != "." && !strings.HasPrefix(path, "truth") && !strings.HasPrefix(path, "processes") || strings.Contains(path, "__pycache__")
	})
	if err := a.close(); err != nil {
		return fmt.Errorf("make the guest's root folder: %w", err)
	}
	return f.Close()
}

// unneeded are parts of Python's folder that would only fill the guest's memory.
var unneeded = regexp.MustCompile(`^(include|share)$|^lib/(itcl|tcl|tk|thread|libtcl|pkgconfig)` +
	`|^lib/python3\.[0-9]+/(test|idlelib|tkinter|ensurepip|site-packages|config-.*|pydoc_data|turtledemo|lib-dynload/_(test|tkinter).*)$`)

func notNeeded(path string) bool { return unneeded.MatchString(path) }

// build builds a static program.
func build(out, pkg string) error {
	cmd := exec.Command("go", "build", "-o", out, pkg)
	cmd.Dir, cmd.Env = testpy.Tree(), append(os.Environ(), "CGO_ENABLED=0")
	_, err := output(cmd)
	return err
}

// librariesOf asks the loader what the interpreter needs from outside its folder.
func librariesOf(python string) ([]string, error) {
	exe := filepath.Join(python, "bin/python3")
	if _, err := os.Stat(exe); err != nil {
		return nil, fmt.Errorf("%w: run 'make pythons'", err)
	}
	out, err := output(exec.Command("ldd", exe))
	if err != nil {
		return nil, err
	}
	var all []string
	for _, path := range regexp.MustCompile(`/\S+`).FindAllString(out, -1) {
		if !strings.HasPrefix(path, python) {
			all = append(all, path)
		}
	}
	return all, nil
}
