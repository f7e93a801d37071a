package main

import "gilscope/internal/testpy"

// gunicorn puts gunicorn and the one package it needs into a folder for
// PYTHONPATH. Both are pure Python, and not compiled: every interpreter of the
// tests uses the folder.
func gunicorn(f *fetcher, name string) error {
	return f.place(name, func(temp string) error {
		_, err := run("", "python3", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", "--no-deps",
			"--only-binary", ":all:", "--target", temp, "gunicorn=="+testpy.GunicornVersion, "packaging==24.2")
		return err
	})
}
