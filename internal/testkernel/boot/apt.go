package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gilscope/internal/testapt"
)

// cached returns the folder name of the cache. If it is not there, it is what
// fill puts into the folder it is given, with apt of that suite of Debian for
// that kind of machine. What is there stays: to get a newer one, remove it.
func cached(cache, name, suite, machine string, fill func(s testapt.Suite, target string) error) (string, error) {
	target := filepath.Join(cache, name)
	if _, err := os.Stat(target); err == nil {
		return target, nil
	}
	temp, err := os.MkdirTemp(cache, "."+name+".tmp")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp)
	s := testapt.Suite{Name: suite, Dir: temp, Arch: machine}
	made := filepath.Join(temp, "made")
	err = errors.Join(open(s), os.Mkdir(made, 0o755))
	if err == nil {
		err = fill(s, made)
	}
	if err != nil {
		return "", fmt.Errorf("get %s from Debian %s: %w", name, suite, err)
	}
	return target, os.Rename(made, target)
}

// open gets the suite's lists of packages.
func open(s testapt.Suite) error {
	address, err := testapt.Address(s.Dir)
	if err != nil {
		return err
	}
	if err := s.Update(address); err != nil {
		return fmt.Errorf("the suite is not in the archive that this machine uses, or out of reach: %w", err)
	}
	return nil
}

// install unpacks packages, and all that they depend on, into the folder target.
func install(s testapt.Suite, target string, packages ...string) error {
	files, err := s.Download(filepath.Join(s.Dir, "cache/archives"), packages...)
	if err != nil {
		return err
	}
	return testapt.Unpack(target, files)
}
