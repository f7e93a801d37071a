package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"gilscope/internal/testapt"
	"gilscope/internal/testpy"
)

// debianRoot makes a root folder with Debian's Python of that version and the
// libraries it depends on: a newer glibc than the machine has, among others.
func debianRoot(version string) func(*fetcher, string) error {
	return func(f *fetcher, name string) error {
		return f.place(name, func(temp string) error {
			return f.apt.first(func(s testapt.Suite) error {
				packages, err := s.Download(filepath.Join(s.Dir, "cache/archives-"+version), "python"+version+"-minimal", "libpython"+version+"-stdlib")
				if err != nil {
					return err
				}
				return fillRoot(temp, version, packages)
			})
		})
	}
}

// fillRoot unpacks package files. What their maintainers' scripts would do is
// not needed to run Python.
func fillRoot(root, version string, packages []string) error {
	// The folders are links in Debian, made by a package that nothing depends on.
	for _, dir := range []string{"bin", "sbin", "lib", "lib64"} {
		if err := os.MkdirAll(filepath.Join(root, "usr", dir), 0o755); err != nil {
			return err
		}
		if err := os.Symlink("usr/"+dir, filepath.Join(root, dir)); err != nil && !os.IsExist(err) {
			return err
		}
	}
	for _, dir := range testpy.MountPoints() {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			return err
		}
	}
	var names strings.Builder
	if err := testapt.Unpack(root, packages); err != nil {
		return err
	}
	for _, file := range packages {
		fmt.Fprintln(&names, filepath.Base(file))
	}
	if err := precompile(root, version); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, testpy.PackagesFile), []byte(names.String()), 0o644)
}

// precompile makes the compiled files of the library, as the maintainers'
// scripts would: the tests cannot, a root is read-only there. Entering the root
// needs privileges, so its own loader starts its Python from outside. That also
// proves that all libraries are there.
func precompile(root, version string) error {
	cmd := exec.Command(filepath.Join(root, "lib64/ld-linux-x86-64.so.2"),
		"--library-path", filepath.Join(root, "usr/lib/x86_64-linux-gnu"), filepath.Join(root, "usr/bin/python"+version),
		"-m", "compileall", "-q", "-s", root, "-p", "/", filepath.Join(root, "usr/lib/python"+version))
	cmd.Env = append(os.Environ(), "PYTHONHOME="+filepath.Join(root, "usr"))
	_, err := testapt.Output(cmd)
	return err
}
