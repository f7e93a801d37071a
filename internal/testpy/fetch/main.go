// Command fetch gets what the tests of gilscope trace and no package manager
// installs side by side: interpreters of several builders (see testpy.Matrix)
// gunicorn, servers on event loops, packages for programs with threads, and what ../../bench measures beside it. Each thing is made beside its place and renamed at the end:
// half of one is never found. What is there already is left alone.
//
//	go run ./internal/testpy/fetch [-dir DIR] [NAME...]
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"gilscope/internal/testapt"
	"gilscope/internal/testpy"
)

// thing is one folder of the cache.
type thing struct {
	name   string
	always bool // without it the tests prove too little; the others only CI must have
	get    func(f *fetcher, name string) error
}

var things = []thing{
	{"3.10.16", true, standalone("v0.0.0-3.10.16-20241219-1")},
	{"3.11.11", true, standalone("v0.0.0-3.11.11-20241219-1")},
	{"3.14.6", true, standalone("v0.0.0-3.14.6-20260610-1")},
	{"debian-3.13", false, debianRoot("3.13")},
	{"debian-3.14", false, debianRoot("3.14")},
	{"debian-3.15", false, debianRoot("3.15")},
	{"embedded", false, embedded},
	{"3.13t", false, freeThreaded("3.13")},
	{"gunicorn-" + testpy.GunicornVersion, false, gunicorn},
	{"servers-3.13", false, servers("3.13")},
	{testpy.AsyncServersFolder, false, hashed("3.12", eventLoopPackages)},
	{testpy.ThreadPackagesFolder, false, hashed("3.13", threadPackages, threadParser)},
	{testpy.ThreadPackagesFolder + "t", false, hashed("3.13t", threadPackages)},
}

func main() {
	f := &fetcher{}
	flag.StringVar(&f.dir, "dir", testpy.Dir(), "folder to put things into")
	flag.Parse()
	err := f.all(flag.Args())
	f.apt.close()
	if err != nil {
		fmt.Fprintln(os.Stderr, "fetch:", err)
		os.Exit(1)
	}
}

// fetcher gets things into dir.
type fetcher struct {
	dir string
	apt archive
}

// all gets the named things, or each one.
func (f *fetcher) all(names []string) error {
	if err := os.MkdirAll(f.dir, 0o755); err != nil {
		return err
	}
	for _, name := range names {
		if !slices.ContainsFunc(things, func(t thing) bool { return t.name == name }) {
			return fmt.Errorf("%s is unknown: see the table in internal/testpy/fetch/main.go", name)
		}
	}
	for _, t := range things {
		if len(names) > 0 && !slices.Contains(names, t.name) {
			continue
		}
		begin := time.Now()
		err := t.get(f, t.name)
		switch {
		case err == nil:
			fmt.Printf("%-16s in %s (%.1f s)\n", t.name, f.dir, time.Since(begin).Seconds())
		case t.always || len(names) > 0 || os.Getenv("CI") != "":
			return fmt.Errorf("%s: %w", t.name, err)
		default:
			fmt.Fprintf(os.Stderr, "fetch: left out %s: %v\n", t.name, err)
		}
	}
	return nil
}

// place makes the folder name, unless it is there already, out of what fill
// puts into the folder it is given.
func (f *fetcher) place(name string, fill func(temp string) error) error {
	target := filepath.Join(f.dir, name)
	if _, err := os.Stat(target); err == nil {
		return nil
	}
	temp, err := os.MkdirTemp(f.dir, "."+name+".tmp")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	if err := fill(temp); err != nil {
		return err
	}
	if err := os.Chmod(temp, 0o755); err != nil {
		return err
	}
	return os.Rename(temp, target)
}

// run runs a command in a folder and returns its output.
func run(dir, program string, args ...string) (string, error) {
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	return testapt.Output(cmd)
}
