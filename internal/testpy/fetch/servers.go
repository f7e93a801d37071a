package main

import "gilscope/internal/testpy"

// asyncServers puts uvicorn, FastAPI and uvloop, with what they need, into a folder
// for PYTHONPATH. Some of it is compiled, for CPython 3.12 only.
func asyncServers(f *fetcher, name string) error {
	return f.place(name, func(temp string) error {
		args := []string{"-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", "--no-deps",
			"--only-binary", ":all:", "--python-version", "3.12", "--platform", "manylinux2014_x86_64", "--platform", "manylinux_2_28_x86_64", "--target", temp}
		_, err := run("", "python3", append(args, testpy.AsyncPackages...)...)
		return err
	})
}
