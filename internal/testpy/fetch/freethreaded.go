package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"gilscope/internal/testapt"
)

// disabled are the extension modules that no test imports: they cost
// time to build. What the build cannot find libraries for it leaves out anyway.
var disabled = []string{
	"_bz2", "_codecs_cn", "_codecs_hk", "_codecs_iso2022", "_codecs_jp", "_codecs_kr", "_codecs_tw", "_ctypes_test", "_curses",
	"_curses_panel", "_dbm", "_decimal", "_elementtree", "_gdbm", "_hashlib", "_lzma", "_multibytecodec", "_sqlite3", "_ssl",
	"_tkinter", "_uuid", "pyexpat", "readline", "xxlimited", "xxlimited_35", "xxsubtype",
}

const remedy = "first run 'apt-get install gcc libc6-dev make xz-utils libffi-dev zlib1g-dev'"

// freeThreaded builds Python without the GIL out of Debian's source package.
func freeThreaded(version string) func(*fetcher, string) error {
	return func(f *fetcher, name string) error {
		prefix := filepath.Join(f.dir, name)
		if checkFree(prefix, version) == nil {
			return nil
		}
		work, err := os.MkdirTemp(f.dir, "."+name+".tmp")
		if err != nil {
			return err
		}
		defer os.RemoveAll(work)
		if err := f.source(work, version); err != nil {
			return err
		}
		if err := build(work, prefix); err != nil {
			return err
		}
		installed := filepath.Join(work, "installed", prefix)
		if err := checkFree(installed, version); err != nil {
			return err
		}
		if err := os.RemoveAll(prefix); err != nil { // one that does not work
			return err
		}
		return os.Rename(installed, prefix)
	}
}

// checkFree asks the interpreter in prefix whether it runs without a GIL, and
// whether it has what the tests import and a missing library would take away.
func checkFree(prefix, version string) error {
	const script = "import sys, ctypes, zlib; print(sys._is_gil_enabled())"
	out, err := run("", filepath.Join(prefix, "bin/python"+version+"t"), "-c", script)
	if err != nil {
		return fmt.Errorf("%w; %s", err, remedy)
	}
	if strings.TrimSpace(out) != "False" {
		return errors.New("the interpreter runs with a GIL")
	}
	return nil
}

// source gets and unpacks the source of that version, from the first suite that
// still has it.
func (f *fetcher) source(work, version string) error {
	return f.apt.first(func(s testapt.Suite) error {
		if _, err := s.Run(work, "apt-get", "-qq", "source", "--download-only", "--tar-only", "python"+version); err != nil {
			return err
		}
		tarballs, err := filepath.Glob(filepath.Join(work, "*.orig.tar.*"))
		if err != nil || len(tarballs) != 1 {
			return fmt.Errorf("got %d source archives of python%s, want one", len(tarballs), version)
		}
		_, err = run(work, "tar", "xf", tarballs[0], "--one-top-level=source", "--strip-components=1")
		return err
	})
}

// build compiles the source in work/source and installs it below
// work/installed, as if it were to run in prefix.
func build(work, prefix string) error {
	source := filepath.Join(work, "source")
	local := "*disabled*\n" + strings.Join(disabled, "\n") + "\n"
	if err := os.WriteFile(filepath.Join(source, "Modules/Setup.local"), []byte(local), 0o644); err != nil {
		return err
	}
	for _, step := range [][]string{
		{"./configure", "--quiet", "--disable-gil", "--prefix=" + prefix, "--without-ensurepip",
			"--without-static-libpython", "--disable-test-modules", "OPT=-DNDEBUG -O2"},
		{"make", "-s", fmt.Sprintf("-j%d", runtime.NumCPU())},
		{"make", "-s", "install", "DESTDIR=" + filepath.Join(work, "installed")},
	} {
		if _, err := run(source, step[0], step[1:]...); err != nil {
			return fmt.Errorf("%w; %s", err, remedy)
		}
	}
	return nil
}
