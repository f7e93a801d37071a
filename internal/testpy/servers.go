package testpy

import (
	"os"
	"path/filepath"
	"testing"
)

// AsyncServersFolder is where `make pythons` puts servers that run on event loops,
// uvloop and trio. They are for CPython 3.12.
const AsyncServersFolder = "event-loops-3.12"

// ThreadPackagesFolder is where `make pythons` puts what programs with threads use, for
// CPython 3.13; one for its builds without a GIL is named so with a t.
const ThreadPackagesFolder = "threads-3.13"

// PackageFolder is the folder in it that holds them: packages that are installed lie
// in one of this name, too.
const PackageFolder = "site-packages"

// AsyncServers returns the folder with uvicorn, hypercorn, FastAPI, aiohttp, Django, uvloop and trio, for PYTHONPATH.
func AsyncServers(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(Dir(), AsyncServersFolder, PackageFolder)
	if _, err := os.Stat(filepath.Join(dir, "uvicorn")); err != nil {
		t.Fatalf("the test needs uvicorn: %v: run 'make pythons'", err)
	}
	return dir
}

// ThreadPackages returns the folder with numpy, requests, Beautiful Soup and, but for builds without a GIL,
// lxml for an interpreter of CPython 3.13, for PYTHONPATH.
func ThreadPackages(t testing.TB, in Interpreter) string {
	t.Helper()
	folder := ThreadPackagesFolder
	if in.FreeThreaded {
		folder += "t"
	}
	dir := filepath.Join(Dir(), folder, PackageFolder)
	if _, err := os.Stat(filepath.Join(dir, "numpy")); err != nil {
		t.Fatalf("the test needs numpy: %v: run 'make pythons'", err)
	}
	return dir
}
