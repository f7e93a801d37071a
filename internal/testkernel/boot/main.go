// Command boot boots kernels that the host does not have in virtual machines,
// where gilscope records programs that know the truth, and judges what came of
// it (see package testkernel). Kernels come from Debian's archive, and stay in
// ${GILSCOPE_CACHE:-$HOME/.cache/gilscope}/kernels.
//
//	go run ./internal/testkernel/boot [-kernel VMLINUZ] [-readme FILE] [SUITE...]
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
	file := flag.String("kernel", "", "boot this kernel (vmlinuz) and no other")
	flag.StringVar(&b.readme, "readme", "", "write the table into this file, between its lines for it")
	flag.Parse()
	err := b.open()
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
func (b *bench) open() error {
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
	var err error
	if b.work, err = os.MkdirTemp("", "gilscope-kernels-"); err != nil {
		return err
	}
	if b.emulator, err = emulatorOf(b.cache); err != nil {
		return err
	}
	b.root = filepath.Join(b.work, "root.cpio")
	return makeRoot(b.root, b.work)
}

func (b *bench) close() error { return os.RemoveAll(b.work) }

// all tries the kernels of the named suites, or each one.
func (b *bench) all(suites []string) error {
	for _, name := range suites {
		if !slices.ContainsFunc(kernels, func(k kernel) bool { return k.suite == name }) {
			return fmt.Errorf("suite %s is unknown: see the table in internal/testkernel/boot/main.go", name)
		}
	}
	var errs []error
	for _, k := range kernels {
		if len(suites) > 0 && !slices.Contains(suites, k.suite) {
			continue
		}
		vmlinuz, err := k.vmlinuz(b.cache)
		if err == nil {
			err = b.try(k, vmlinuz)
		}
		errs = append(errs, err)
	}
	if b.readme != "" {
		errs = append(errs, write(b.readme, b.rows))
	}
	return errors.Join(errs...)
}

// try boots one kernel and judges. What the machine says stays in the cache.
func (b *bench) try(k kernel, vmlinuz string) error {
	dir := filepath.Join(b.cache, "said", strings.ReplaceAll(k.name, " ", "-"))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	begin := time.Now()
	steps, err := machine{b.emulator, vmlinuz, b.root, dir}.run()
	v := judge(steps, k.refused)
	b.rows = append(b.rows, row{k, v})
	fmt.Printf("%s: Linux %s (%.0f s)\n", k.name, v.release, time.Since(begin).Seconds())
	for _, s := range steps {
		if s.Name == testkernel.Doctor {
			fmt.Print("  ", strings.ReplaceAll(strings.TrimSpace(s.Run.Stdout), "\n", "\n  "), "\n")
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
