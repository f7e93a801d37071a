package testpy

import (
	"os"
	"path/filepath"
	"testing"
)

// AsyncServersFolder is where `make pythons` puts servers that run on event loops,
// uvloop and trio. They are for CPython 3.12.
const AsyncServersFolder = "event-loops-3.12"

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
