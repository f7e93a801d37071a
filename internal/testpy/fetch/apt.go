package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gilscope/internal/testapt"
)

// suites of Debian in which newer Pythons are looked for, newest first: an
// archive can list a package that it does not have any more.
var suites = []string{"sid", "forky", "trixie"}

// archive is Debian's archive, all of whose suites may be asked for a package. The
// zero value is ready for use.
type archive struct {
	dir     string
	address string
	updated map[string]error // by suite, once tried
}

// first runs do with the apt of each suite in turn, until it succeeds.
func (a *archive) first(do func(s testapt.Suite) error) error {
	if err := a.open(); err != nil {
		return err
	}
	var all []error
	for _, name := range suites {
		s := testapt.Suite{Name: name, Dir: filepath.Join(a.dir, name), Sources: true}
		err, tried := a.updated[name]
		if !tried {
			err = s.Update(a.address)
			a.updated[name] = err
		}
		if err == nil {
			err = do(s)
		}
		if err == nil {
			return nil
		}
		all = append(all, fmt.Errorf("suite %s: %w", name, err))
	}
	return errors.Join(all...)
}

func (a *archive) open() (err error) {
	if a.dir != "" {
		return nil
	}
	a.updated = map[string]error{}
	if a.dir, err = os.MkdirTemp("", "gilscope-apt"); err != nil {
		return err
	}
	// As root, apt gets files as a user of its own, who must be able to read here.
	if err := os.Chmod(a.dir, 0o755); err != nil {
		return err
	}
	a.address, err = testapt.Address(a.dir)
	return err
}

func (a *archive) close() {
	if a.dir != "" {
		os.RemoveAll(a.dir)
	}
}
