package main

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gilscope/internal/testpy"
)

// embedded compiles testdata/embed/host.c, a program with Python inside,
// against the first installed Python that has headers and a libpython.so.
func embedded(f *fetcher, _ string) error {
	home, _ := os.UserHomeDir()
	pythons, _ := filepath.Glob(filepath.Join(home, ".pyenv/versions/3.12.*/bin/python3.12"))
	all := []error{errors.New("no installed Python can be embedded; run 'pyenv install 3.12' with --enable-shared, or 'apt-get install python3-dev gcc'")}
	for _, python := range append(pythons, "/usr/bin/python3") {
		err := f.embed(python)
		if err == nil {
			return nil
		}
		all = append(all, fmt.Errorf("%s: %w", python, err))
	}
	return errors.Join(all...)
}

// embed makes the program with that Python, unless it is there and not older
// than its source.
func (f *fetcher) embed(python string) error {
	version, err := run("", python, "-c", "import platform; print(platform.python_version())")
	if err != nil {
		return err
	}
	source := filepath.Join(testpy.Tree(), "testdata/embed/host.c")
	dir := filepath.Join(f.dir, "embedded-"+strings.TrimSpace(version))
	target := filepath.Join(dir, testpy.HostProgram)
	if built, err := os.Stat(target); err == nil {
		if written, err := os.Stat(source); err == nil && built.ModTime().After(written.ModTime()) {
			return nil
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	temp := target + ".tmp"
	defer os.Remove(temp)
	if err := compile(python+"-config", source, temp); err != nil {
		return err
	}
	return os.Rename(temp, target)
}

// compile builds the program with the flags that python-config gives.
func compile(config, source, target string) error {
	cflags, err := run("", config, "--embed", "--cflags")
	if err != nil {
		return err
	}
	ldflags, err := run("", config, "--embed", "--ldflags")
	if err != nil {
		return err
	}
	flags := append(strings.Fields(cflags), "-o", target, source)
	for _, flag := range strings.Fields(ldflags) {
		flags = append(flags, flag)
		if dir, ok := strings.CutPrefix(flag, "-L"); ok {
			flags = append(flags, "-Wl,-rpath,"+dir) // it must start without LD_LIBRARY_PATH
		}
	}
	if _, err := run("", "gcc", flags...); err != nil {
		return err
	}
	file, err := elf.Open(target)
	if err != nil {
		return err
	}
	defer file.Close()
	libraries, err := file.ImportedLibraries()
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(libraries, func(l string) bool { return strings.HasPrefix(l, "libpython") }) {
		return errors.New("it has no libpython.so, only a static one")
	}
	return nil
}
