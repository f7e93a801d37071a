package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
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

// vmlinuz is the kernel's file, in the cache or from the archive.
func (k kernel) vmlinuz(cache string) (string, error) {
	dir, err := cached(cache, "linux-"+k.suite, k.suite, fillKernel)
	return filepath.Join(dir, "vmlinuz"), err
}

func fillKernel(s source, target string) error {
	names, err := s.kernelPackages("linux-image-cloud-amd64")
	if err != nil {
		return err
	}
	if _, err := s.apt("apt-get", append([]string{"-qq", "download"}, names...)...); err != nil {
		return err
	}
	root := filepath.Join(s.dir, "root")
	if err := s.unpack(root, "*.deb"); err != nil {
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

// kernelPackage are those that can have the kernel itself in them, which newer
// suites have in one of its own. The variant for clouds is small and has BTF.
var kernelPackage = regexp.MustCompile(`^linux-(image|binary)-[0-9].*-cloud-amd64$`)

// kernelPackages follows the dependencies of a package to those with the kernel.
func (s source) kernelPackages(name string) ([]string, error) {
	var names []string
	for todo := []string{name}; len(todo) > 0; todo = todo[1:] {
		out, err := s.apt("apt-cache", "depends", todo[0])
		if err != nil {
			return nil, err
		}
		for _, found := range dependencies(out) {
			if kernelPackage.MatchString(found) && !slices.Contains(names, found) {
				names, todo = append(names, found), append(todo, found)
			}
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s depends on no kernel", name)
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
