// Command boot boots kernels that the host does not have in virtual machines,
// where gilscope records programs that know the truth, and judges what came of
// it (see package testkernel). Kernels come from Debian's archive, and stay in
// ${GILSCOPE_CACHE:-$HOME/.cache/gilscope}/kernels.
//
//	go run ./internal/testkernel/boot [-arch NAME] [-readme FILE] [SUITE...]
//	go run ./internal/testkernel/boot -arch NAME -kernel VMLINUZ
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
	name := flag.String("arch", "", "kind of machine, by Debian's name; without it, all")
	file := flag.String("kernel", "", "boot this kernel (vmlinuz) and no other")
	readme := flag.String("readme", "", "if everything is tried, write the table into this file, between its lines for it")
	flag.Parse()
	rows, err := try(*name, *file, flag.Args())
	if *readme != "" && len(rows) == len(archs)*len(kernels) {
		err = errors.Join(err, write(*readme, rows))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "kernels:", err)
		os.Exit(1)
	}
}

// try tries a kernel, or those of the named suites (none: all), on one kind of
// machine ("": all), and returns what the table tells of them.
func try(machine, file string, suites []string) ([]row, error) {
	kinds := archs
	if machine != "" || file != "" {
		a, err := archOf(machine)
		if err != nil {
			return nil, err
		}
		kinds = []arch{a}
	}
	var rows []row
	var errs []error
	for _, a := range kinds {
		var b bench
		err := b.open(a)
		switch {
		case err != nil:
		case file != "":
			err = b.try(kernel{name: filepath.Base(file)}, file)
		default:
			err = b.all(suites)
		}
		rows, errs = append(rows, b.rows...), append(errs, err, b.close())
	}
	return rows, errors.Join(errs...)
}

// bench is where the kernels of one kind of machine are tried.
type bench struct {
	cache, work string // folders, the second for the run
	root        string // the guests' root folder
	emulator    emulator
	rows        []row
}

// open gets the emulator and makes the guests' root folder.
func (b *bench) open(a arch) error {
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
