package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// suites of Debian in which newer Pythons are looked for, newest first: an
// archive can list a package that it does not have any more.
var suites = []string{"sid", "forky", "trixie"}

// keyring is the file with Debian's keys; without it apt uses those it trusts.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// archive is Debian's archive, asked through the machine's apt: with its
// proxies and certificates, but with lists, cache and status of our own in dir.
// The zero value is ready for use.
type archive struct {
	dir     string
	address string
	updated map[string]error // by suite, once tried
}

// options of apt-get that keep it away from the machine's state. The hooks are
// cleared because they act on the machine's cache.
const options = `
Dir::State "%[1]s/state";
Dir::State::lists "%[1]s/state/lists";
Dir::State::status "%[1]s/status";
Dir::Cache "%[1]s/cache";
Dir::Cache::archives "%[1]s/cache/archives";
Debug::NoLocking "true";
Acquire::Languages "none";
Acquire::Retries "2";
APT::Update::Error-Mode "any";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
`

// first runs do with the apt of each suite in turn, until it succeeds.
func (a *archive) first(do func(s suite) error) error {
	if err := a.open(); err != nil {
		return err
	}
	var all []error
	for _, name := range suites {
		s := suite{name, filepath.Join(a.dir, name)}
		err, tried := a.updated[name]
		if !tried {
			err = s.update(a.address)
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
	a.address, err = a.find()
	return err
}

func (a *archive) close() {
	if a.dir != "" {
		os.RemoveAll(a.dir)
	}
}

// find asks apt which address the machine has for Debian's archive. It knows
// only once it has lists; a fresh machine may have none, then it gets some here.
func (a *archive) find() (string, error) {
	targets := []string{"indextargets", "--format", "$(LABEL)|$(COMPONENT)|$(REPO_URI)", "Created-By: Packages"}
	out, err := run("", "apt-get", targets...)
	if err != nil {
		return "", err
	}
	var updateErr error // of some source, maybe one that is not Debian's
	if out == "" {
		s := suite{"machine", filepath.Join(a.dir, "machine")}
		if err := s.configure(); err != nil {
			return "", err
		}
		_, updateErr = s.apt("", "update")
		if out, err = s.apt("", targets...); err != nil {
			return "", err
		}
	}
	for line := range strings.Lines(out) {
		if address, ok := strings.CutPrefix(strings.TrimSpace(line), "Debian|main|"); ok {
			return address, nil
		}
	}
	err = errors.New("apt on this machine knows no Debian archive (label Debian, component main): add one to its sources")
	return "", errors.Join(err, updateErr)
}

// suite is apt-get with one suite of the archive.
type suite struct{ name, dir string }

// configure makes the folders and files that apt needs.
func (s suite) configure() error {
	for _, sub := range []string{"state/lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(s.dir, sub), 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(s.dir, "status"), nil, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.dir, "apt.conf"), fmt.Appendf(nil, options, s.dir), 0o644)
}

// update configures the suite and gets its lists of packages.
func (s suite) update(address string) error {
	if err := s.configure(); err != nil {
		return err
	}
	key := ""
	if _, err := os.Stat(keyring); err == nil {
		key = "signed-by=" + keyring
	}
	sources := filepath.Join(s.dir, "sources.list")
	text := fmt.Sprintf("deb [target=Packages %[1]s] %[2]s %[3]s main\ndeb-src [target=Sources %[1]s] %[2]s %[3]s main\n", key, address, s.name)
	if err := os.WriteFile(sources, []byte(text), 0o644); err != nil {
		return err
	}
	only := fmt.Appendf(nil, options+"Dir::Etc::sourcelist \"%s\";\nDir::Etc::sourceparts \"/dev/null\";\n", s.dir, sources)
	if err := os.WriteFile(filepath.Join(s.dir, "apt.conf"), only, 0o644); err != nil {
		return err
	}
	_, err := s.apt("", "update")
	return err
}

// apt runs apt-get in a folder.
func (s suite) apt(dir string, args ...string) (string, error) {
	return run(dir, "apt-get", slices.Concat([]string{"-qq", "-c", filepath.Join(s.dir, "apt.conf")}, args)...)
}
