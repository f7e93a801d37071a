package testpy

import (
	"os"
	"path/filepath"
	"testing"
)

// AsyncServersFolder is where `make pythons` puts servers that run on event loops,
// and uvloop. They are for CPython 3.12.
const AsyncServersFolder = "async-servers-3.12"

// AsyncPackages is all that is in it.
var AsyncPackages = []string{
	"annotated_doc==0.0.7", "annotated_types==0.8.0", "anyio==4.16.0", "click==8.5.1", "fastapi==0.165.0", "h11==0.16.0", "httptools==0.9.0",
	"idna==3.20", "opentelemetry_api==1.45.2", "pydantic==2.14.3", "pydantic_core==2.50.4", "starlette==1.10.0", "typing_extensions==4.16.0", "typing_inspection==0.4.5",
	"uvicorn==0.54.0", "uvloop==0.23.0",
}

// AsyncServers returns the folder with uvicorn, FastAPI and uvloop, for PYTHONPATH.
func AsyncServers(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(Dir(), AsyncServersFolder)
	if _, err := os.Stat(filepath.Join(dir, "uvicorn")); err != nil {
		t.Fatalf("the test needs uvicorn: %v: run 'make pythons'", err)
	}
	return dir
}
