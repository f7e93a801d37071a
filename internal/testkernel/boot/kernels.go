package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gilscope/internal/testapt"
)

// kernel is one to boot.
type kernel struct {
	suite   string // of Debian
	name    string // for people
	refused bool   // too old: gilscope must say so
}

var kernels = []kernel{
	{"bullseye", "Debian 11", true},
	{"bookworm", "Debian 12", false},
	{"trixie", "Debian 13", false},
	{"sid", "Debian unstable", false},
}

// vmlinuz is the kernel's file for a kind of machine, in the cache or from the archive.
func (k kernel) vmlinuz(cache string, a arch) (string, error) {
	dir, err := cached(cache, "linux-"+k.suite+"-"+a.name, k.suite, a.name, a.fillKernel)
	return filepath.Join(dir, "vmlinuz"), err
}

func (a arch) fillKernel(s testapt.Suite, target string) error {
	names, err := a.kernelPackages(s)
	if err != nil {
		return err
	}
	if _, err := s.Run("", "apt-get", append([]string{"-qq", "download"}, names...)...); err != nil {
		return err
	}
	root := filepath.Join(s.Dir, "root")
	debs, err := filepath.Glob(filepath.Join(s.Dir, "*.deb"))
	if err != nil {
		return err
	}
	if err := testapt.Unpack(root, debs); err != nil {
		return err
	}
	var found []string
	for _, place := range []string{"boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz"} {
		some, err := filepath.Glob(filepath.Join(root, place))
		if err != nil {
			return err
		}
		found = append(found, some...)
	}
	if len(found) != 1 {
		return fmt.Errorf("found %d kernels in %d packages", len(found), len(names))
	}
	return os.Rename(found[0], filepath.Join(target, "vmlinuz"))
}

// kernelPackages follows dependencies to the packages with the kernel.
func (a arch) kernelPackages(s testapt.Suite) ([]string, error) {
	var names []string
	for todo := []string{a.kernel}; len(todo) > 0; todo = todo[1:] {
		out, err := s.Run("", "apt-cache", "depends", todo[0])
		if err != nil {
			return nil, err
		}
		for _, found := range dependencies(out) {
			if a.kernels.MatchString(found) && !slices.Contains(names, found) {
				names, todo = append(names, found), append(todo, found)
			}
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s depends on no kernel", a.kernel)
	}
	return names, nil
}

// dependencies reads what apt-cache depends says.
func dependencies(text string) []string {
	var names []string
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(strings.TrimLeft(line, " |"), "Depends: "); ok {
			names = append(names, strings.TrimSpace(name))
		}
	}
	return names
}
