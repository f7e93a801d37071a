// Command boot boots kernels that the host does not have in virtual machines,
// where gilscope records programs that know the truth, and judges what came of
// it (see package testkernel). Kernels come from Debian's archive, and stay in
// ${GILSCOPE_CACHE:-$HOME/.cache/gilscope}/kernels.
//
//	go run ./internal/testkernel/boot [-arch amd64] [-kernel VMLINUZ] [-readme FILE] [SUITE...]
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gilscope/internal/testkernel"
)

func main() {
	var b bench
	name := flag.String("arch", hostArch, "kind of machine, by Debian's name")
	file := flag.String("kernel", "", "boot this kernel (vmlinuz) and no other")
	flag.StringVar(&b.readme, "readme", "", "if all suites are tried, write the table into this file, between its lines for it")
	flag.Parse()
	err := b.open(*name)
	if err == nil {
		if *file != "" {
			err = b.try(kernel{name: filepath.Base(*file)}, *file)
		} else {
			err = b.all(flag.Args())
		}
	}
	err = errors.Join(err, b.close())
	if err != nil {
		fmt.Fprintln(os.Stderr, "kernels:", err)
		os.Exit(1)
	}
}

// bench is where kernels are tried.
type bench struct {
	cache, work string // folders, the second for the run
	root        string // the guests' root folder
	emulator    emulator
	readme      string
	rows        []row
}

// open gets the emulator and makes the guests' root folder.
func (b *bench) open(machine string) error {
	a, err := archOf(machine)
	if err != nil {
		return err
	}
	base := os.Getenv("GILSCOPE_CACHE")
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return fmt.Errorf("find the cache folder: %w; set GILSCOPE_CACHE", err)
		}
		base = filepath.Join(home, ".cache", "gilscope")
	}
	b.cache = filepath.Join(base, "kernels")
	if err := os.MkdirAll(b.cache, 0o755); err != nil {
		return err
	}
	if b.work, err = os.MkdirTemp("", "gilscope-kernels-"); err != nil {
		return err
	}
	if b.emulator, err = emulatorOf(b.cache, a); err != nil {
		return err
	}
	b.root = filepath.Join(b.work, "root.cpio")
	return makeRoot(a, b.root, b.work, b.cache)
}

func (b *bench) close() error { return os.RemoveAll(b.work) }

// all tries the kernels of the named suites, or each one.
func (b *bench) all(suites []string) error {
	for _, name := range suites {
		if !slices.ContainsFunc(kernels, func(k kernel) bool { return k.suite == name }) {
			return fmt.Errorf("suite %s is unknown: see the table in internal/testkernel/boot/kernels.go", name)
		}
	}
	var errs []error
	for _, k := range kernels {
		if len(suites) > 0 && !slices.Contains(suites, k.suite) {
			continue
		}
		vmlinuz, err := k.vmlinuz(b.cache, b.emulator.arch)
		if err == nil {
			err = b.try(k, vmlinuz)
		}
		errs = append(errs, err)
	}
	if b.readme != "" && len(errs) == len(kernels) {
		errs = append(errs, write(b.readme, b.rows))
	}
	return errors.Join(errs...)
}

// try boots one kernel and judges. What the machine says stays in the cache.
func (b *bench) try(k kernel, vmlinuz string) error {
	dir := filepath.Join(b.cache, "said", strings.ReplaceAll(k.name, " ", "-")+"-"+b.emulator.name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	begin := time.Now()
	steps, err := machine{b.emulator, vmlinuz, b.root, dir}.run()
	v := judge(steps, k.refused)
	b.rows = append(b.rows, row{k, v})
	fmt.Printf("%s: Linux %s (%.0f s)\n", k.name, v.release+" "+b.emulator.name, time.Since(begin).Seconds())
	for _, s := range steps {
		if d, err := parseDoctor(s); s.Name == testkernel.Doctor && err == nil {
			fmt.Print(d)
		}
	}
	for _, line := range v.lines {
		fmt.Println(" ", line)
	}
	if err = errors.Join(err, v.err); err != nil {
		return fmt.Errorf("%s: Linux %s: %w", k.name, v.release, err)
	}
	return nil
}
