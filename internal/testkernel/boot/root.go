package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"gilscope/internal/testapt"
	"gilscope/internal/testkernel"
	"gilscope/internal/testpy"
)

// rootSuite is of which Debian the guest's Python and libraries are, whatever
// kernel it runs on.
const rootSuite = "trixie"

// makeRoot writes the guest's root folder: Debian's Python and the libraries it
// depends on, and gilscope and the guest, built from this tree.
func makeRoot(a arch, out, work, cache string) error {
	debian, err := cached(cache, "root-"+a.name, rootSuite, a.name, fillRoot)
	if err != nil {
		return err
	}
	programs := map[string]string{"/init": "./internal/testkernel/guest", testkernel.Gilscope: "./cmd/gilscope"}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	defer f.Close()
	archive := newInitramfs(f)
	archive.device("/dev/console", 5, 1) // before devtmpfs is mounted
	for name, pkg := range programs {
		built := filepath.Join(work, filepath.Base(name))
		if err := a.build(built, pkg); err != nil {
			return err
		}
		archive.file(name, built)
	}
	archive.tree("/", debian, notNeeded)
	archive.tree(testkernel.Programs, filepath.Join(testpy.Tree(), "testdata"), func(path string) bool {
		folder, _, _ := strings.Cut(path, "/")
		return path != "." && !slices.Contains([]string{"truth", "processes", "loops"}, folder) || strings.Contains(path, "__pycache__")
	})
	if err := archive.close(); err != nil {
		return fmt.Errorf("make the guest's root folder: %w", err)
	}
	return f.Close()
}

// fillRoot makes what there is of Debian in the root folder.
func fillRoot(s testapt.Suite, target string) error {
	// The folders are links in Debian, made by a package that nothing depends on.
	for _, dir := range []string{"bin", "sbin", "lib", "lib64"} {
		if err := os.MkdirAll(filepath.Join(target, "usr", dir), 0o755); err != nil {
			return err
		}
		if err := os.Symlink("usr/"+dir, filepath.Join(target, dir)); err != nil {
			return err
		}
	}
	return install(s, target, "python3")
}

// unneeded would only fill the guest's memory.
var unneeded = regexp.MustCompile(`^(etc|var|usr/(share|sbin|games|include))$|^usr/lib/python3$` +
	`|^usr/lib/python3\.[0-9]+/(test|idlelib|tkinter|ensurepip|pydoc_data|turtledemo|lib-dynload/_(test|tkinter).*)$` +
	`|^usr/lib/[^/]+-linux-gnu/(gconv|perl.*|openssl.*)$`)

func notNeeded(path string) bool { return unneeded.MatchString(path) }

// build builds a static program for the kind of machine.
func (a arch) build(out, pkg string) error {
	cmd := exec.Command("go", "build", "-o", out, pkg)
	cmd.Dir, cmd.Env = testpy.Tree(), append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+a.name)
	_, err := testapt.Output(cmd)
	return err
}
