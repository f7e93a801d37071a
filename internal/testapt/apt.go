// Package testapt is Debian's archive for the set-up of the tests, asked through the
// machine's own apt: with its proxies, certificates and keys, but with lists, cache
// and status in a folder of ours. The machine's state stays as it is.
package testapt

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

// options keep apt away from the machine's state. The hooks are cleared because
// they act on the machine's cache.
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

// oneSource makes our list of sources the only one.
const oneSource = `
Dir::Etc::sourcelist "%[1]s/sources.list";
Dir::Etc::sourceparts "/dev/null";
`

// Suite is apt with one suite of the archive.
type Suite struct {
	Name    string // such as trixie
	Dir     string // where everything of apt's lies
	Arch    string // the kind of machine, as Debian calls it; "": this one's
	Sources bool   // with the lists of source packages
}

// Update gets the suite's lists of packages from the archive at an address.
func (s Suite) Update(address string) error {
	conf := fmt.Sprintf(options+oneSource, s.Dir)
	if s.Arch != "" {
		conf += fmt.Sprintf("APT::Architecture \"%[1]s\";\nAPT::Architectures { \"%[1]s\"; };\n", s.Arch)
	}
	if err := s.configure(conf, s.sources(address)); err != nil {
		return err
	}
	_, err := s.Run("", "apt-get", "-qq", "update")
	return err
}

func (s Suite) sources(address string) string {
	flags := "target=Packages"
	if s.Arch != "" {
		flags = "arch=" + s.Arch + " " + flags
	}
	key := ""
	if _, err := os.Stat(keyring); err == nil {
		key = " signed-by=" + keyring
	}
	text := fmt.Sprintf("deb [%s%s] %s %s main\n", flags, key, address, s.Name)
	if s.Sources {
		text += fmt.Sprintf("deb-src [target=Sources%s] %s %s main\n", key, address, s.Name)
	}
	return text
}

// configure makes the folders and files that apt needs. As root, apt gets files as a
// user of its own, who must be able to read here.
func (s Suite) configure(conf, sources string) error {
	for _, sub := range []string{"state/lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(s.Dir, sub), 0o755); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{"status": "", "apt.conf": conf, "sources.list": sources} {
		if err := os.WriteFile(filepath.Join(s.Dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return os.Chmod(s.Dir, 0o755)
}

// Run runs a program of apt in the folder dir ("": in the suite's), where what it
// downloads then is.
func (s Suite) Run(dir, program string, args ...string) (string, error) {
	cmd := exec.Command(program, append([]string{"-c", filepath.Join(s.Dir, "apt.conf")}, args...)...)
	if cmd.Dir = dir; dir == "" {
		cmd.Dir = s.Dir
	}
	return Output(cmd)
}

// Download gets the files of packages and of all that they depend on into the folder,
// as if nothing were installed, and returns them.
func (s Suite) Download(into string, packages ...string) ([]string, error) {
	if err := os.MkdirAll(filepath.Join(into, "partial"), 0o755); err != nil {
		return nil, err
	}
	args := []string{"-qq", "-o", "Dir::Cache::archives=" + into, "install", "--yes", "--download-only", "--no-install-recommends"}
	if _, err := s.Run("", "apt-get", append(args, packages...)...); err != nil {
		return nil, err
	}
	return filepath.Glob(filepath.Join(into, "*.deb"))
}

// Unpack unpacks package files into a folder. What their maintainers' scripts would
// do is not done.
func Unpack(into string, files []string) error {
	if len(files) == 0 {
		return errors.New("apt got no package file")
	}
	for _, file := range files {
		if _, err := Output(exec.Command("dpkg", "-x", file, into)); err != nil {
			return err
		}
	}
	return nil
}

// targets asks apt for the addresses of the archives it has lists of.
var targets = []string{"indextargets", "--format", "$(LABEL)|$(COMPONENT)|$(REPO_URI)", "Created-By: Packages"}

// Address asks apt which address the machine has for Debian's archive. It knows
// only once it has lists; a fresh machine may have none, then dir gets some.
func Address(dir string) (string, error) {
	out, err := Output(exec.Command("apt-get", targets...))
	if err != nil {
		return "", err
	}
	var updateErr error // of some source, maybe one that is not Debian's
	if out == "" {
		s := Suite{Name: "machine", Dir: filepath.Join(dir, "machine")}
		if err := s.configure(fmt.Sprintf(options, s.Dir), ""); err != nil {
			return "", err
		}
		_, updateErr = s.Run("", "apt-get", "-qq", "update")
		if out, err = s.Run("", "apt-get", targets...); err != nil {
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

// Output runs a command and returns what it prints; a failure says what it said last.
func Output(cmd *exec.Cmd) (string, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		said := strings.Split(strings.TrimSpace(stderr.String()), "\n")
		return "", fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, strings.Join(said[max(0, len(said)-5):], "\n"))
	}
	return string(out), nil
}
