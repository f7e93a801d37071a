package main

import (
	_ "embed"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gilscope/internal/testpy"
)

// serverPackages are what `make bench-peers` runs: two servers, what they need, and
// the tools of others that gilscope is measured beside. All are pinned, with
// what they depend on, so that tables of different days can be compared.
var serverPackages = []string{
	"uvicorn==0.54.0", "starlette==1.10.0", "anyio==4.16.0", "click==8.5.1", "h11==0.16.0", "idna==3.20", "typing_extensions==4.16.0",
	"gunicorn==23.0.0", "packaging==24.2",
	"flask==3.1.3", "werkzeug==3.1.9", "jinja2==3.1.6", "markupsafe==3.0.4", "itsdangerous==2.2.0", "blinker==1.9.0",
	"py-spy==0.4.3", "viztracer==1.1.1", "objprint==0.3.0", "gilknocker==0.4.2",
}

// servers gets the packages of `make bench-peers` for CPython of a version.
func servers(version string) func(f *fetcher, name string) error {
	return func(f *fetcher, name string) error { return f.wheels(name, version, serverPackages) }
}

// eventLoopPackages are the servers and loops of the tests, with the hash of each: pip refuses others.
// Some of it is compiled, for CPython 3.12 only.
//
//go:embed eventloops.txt
var eventLoopPackages []byte

// threadPackages are what programs with threads use in the tests, and threadParser what has no
// wheel for a build without a GIL.
var (
	//go:embed threads.txt
	threadPackages []byte
	//go:embed threadsgil.txt
	threadParser []byte
)

// hashed gets packages for CPython of a version into a folder. Each has a hash in the list.
func hashed(version string, lists ...[]byte) func(f *fetcher, name string) error {
	return func(f *fetcher, name string) error {
		return f.place(name, func(temp string) error {
			list, err := os.CreateTemp("", "packages-*.txt")
			if err != nil {
				return err
			}
			defer os.Remove(list.Name())
			_, err = list.Write(slices.Concat(lists...))
			if err = errors.Join(err, list.Close()); err != nil {
				return err
			}
			return install(filepath.Join(temp, testpy.PackageFolder), version, "--require-hashes", "-r", list.Name())
		})
	}
}

// wheels puts packages for CPython of a version into a folder for PYTHONPATH.
func (f *fetcher) wheels(name, version string, packages []string) error {
	return f.place(name, func(temp string) error { return install(temp, version, packages...) })
}

// install puts wheels for CPython of a version into a folder, whichever Python runs pip:
// some versions of pip compare what a wheel requires with that one, so they must not.
// A version that ends in t is a build without a GIL, which has no stable ABI.
func install(dir, version string, what ...string) error {
	number, free := strings.CutSuffix(version, "t")
	stable := []string{"--abi", "abi3"}
	if free {
		stable = nil
	}
	args := []string{"-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", "--no-deps", "--ignore-requires-python",
		"--only-binary", ":all:", "--python-version", number, "--implementation", "cp",
		"--platform", "manylinux2014_x86_64", "--platform", "manylinux_2_28_x86_64", "--target", dir,
		"--abi", "cp" + strings.ReplaceAll(version, ".", "")}
	args = slices.Concat(args, stable, []string{"--abi", "none"}, what)
	_, err := run("", "python3", args...)
	return err
}
