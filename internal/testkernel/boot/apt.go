package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// keyring is the file with Debian's keys; without it apt uses those it trusts.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// aptOptions keep apt away from the machine's state: lists, cache and status
// are in a folder of ours. The hooks are cleared because they act on the
// machine's cache.
const aptOptions = `
APT::Architecture "%[2]s";
APT::Architectures { "%[2]s"; };
Dir::State "%[1]s/state";
Dir::State::lists "%[1]s/state/lists";
Dir::State::status "%[1]s/status";
Dir::Cache "%[1]s/cache";
Dir::Etc::sourcelist "%[1]s/sources.list";
Dir::Etc::sourceparts "/dev/null";
Debug::NoLocking "true";
Acquire::Languages "none";
Acquire::Retries "2";
APT::Update::Error-Mode "any";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
`

// cached returns the folder name of the cache. If it is not there, it is what
// fill puts into the folder it is given, with apt of that suite of Debian for
// that kind of machine. What is there stays: to get a newer one, remove it.
func cached(cache, name, suite, machine string, fill func(s source, target string) error) (string, error) {
	target := filepath.Join(cache, name)
	if _, err := os.Stat(target); err == nil {
		return target, nil
	}
	temp, err := os.MkdirTemp(cache, "."+name+".tmp")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp)
	// As root, apt gets files as a user of its own, who must be able to read here.
	if err := os.Chmod(temp, 0o755); err != nil {
		return "", err
	}
	s := source{suite, machine, temp}
	made := filepath.Join(temp, "made")
	err = errors.Join(s.open(), os.Mkdir(made, 0o755))
	if err == nil {
		err = fill(s, made)
	}
	if err != nil {
		return "", fmt.Errorf("get %s from Debian %s: %w", name, suite, err)
	}
	return target, os.Rename(made, target)
}

// source is apt with one suite of Debian's archive, for one kind of machine.
type source struct{ suite, machine, dir string }

// open gets the suite's lists of packages.
func (s source) open() error {
	address, err := archive()
	if err != nil {
		return err
	}
	if err := s.configure(address); err != nil {
		return err
	}
	if _, err := s.apt("apt-get", "-qq", "update"); err != nil {
		return fmt.Errorf("the suite is not in the archive that this machine uses, or out of reach: %w", err)
	}
	return nil
}

// configure makes the folders and files that apt needs.
func (s source) configure(address string) error {
	for _, sub := range []string{"state/lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(s.dir, sub), 0o755); err != nil {
			return err
		}
	}
	key := ""
	if _, err := os.Stat(keyring); err == nil {
		key = "signed-by=" + keyring
	}
	for name, text := range map[string]string{
		"status":       "",
		"apt.conf":     fmt.Sprintf(aptOptions, s.dir, s.machine),
		"sources.list": fmt.Sprintf("deb [arch=%s target=Packages %s] %s %s main\n", s.machine, key, address, s.suite),
	} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// apt runs a program of apt in the folder, where downloads then are.
func (s source) apt(program string, args ...string) (string, error) {
	cmd := exec.Command(program, append([]string{"-c", "apt.conf"}, args...)...)
	cmd.Dir = s.dir
	return output(cmd)
}

// install unpacks packages, and all that they depend on, into the folder target.
// What their maintainers' scripts would do is not done.
func (s source) install(target string, packages ...string) error {
	_, err := s.apt("apt-get", append([]string{"-qq", "install", "--yes", "--download-only", "--no-install-recommends"}, packages...)...)
	if err != nil {
		return err
	}
	return s.unpack(target, "cache/archives/*.deb")
}

// unpack unpacks the package files that apt got into the folder target.
func (s source) unpack(target, pattern string) error {
	debs, err := filepath.Glob(filepath.Join(s.dir, pattern))
	if err == nil && len(debs) == 0 {
		err = errors.New("apt got no package file")
	}
	for _, deb := range debs {
		if err == nil {
			_, err = output(exec.Command("dpkg", "-x", deb, target))
		}
	}
	return err
}

// archive asks apt which address the machine has for Debian's archive. It knows
// once it has lists.
func archive() (string, error) {
	out, err := output(exec.Command("apt-get", "indextargets", "--format", "$(LABEL)|$(COMPONENT)|$(REPO_URI)", "Created-By: Packages"))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(out) {
		if address, ok := strings.CutPrefix(strings.TrimSpace(line), "Debian|main|"); ok {
			return address, nil
		}
	}
	return "", errors.New("apt on this machine knows no Debian archive: add one to its sources and run 'apt-get update'")
}

// output runs a command; a failure says what the command said last.
func output(cmd *exec.Cmd) (string, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		said := strings.Split(strings.TrimSpace(stderr.String()), "\n")
		return "", fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, strings.Join(said[max(0, len(said)-5):], "\n"))
	}
	return string(out), nil
}
