package main

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// modulePath is a Go module that carries builds of python-build-standalone, one
// file after another, compressed: so the Go tool's download cache and checksums
// do the work.
const modulePath = "github.com/kluctl/go-embed-python"

// standalone unpacks one build out of that version of the module.
func standalone(tag string) func(*fetcher, string) error {
	return func(f *fetcher, name string) error {
		return f.place(name, func(temp string) error {
			source, err := download(tag)
			if err != nil {
				return err
			}
			return unpack(filepath.Join(source, "python/internal/data", "linux-"+runtime.GOARCH), temp)
		})
	}
}

// download gets the module into the Go tool's cache and returns its folder.
func download(tag string) (string, error) {
	cmd := exec.Command("go", "mod", "download", "-json", modulePath+"@"+tag)
	cmd.Dir = os.TempDir() // outside of this module: it must not become a dependency
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	var info struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &info); jsonErr != nil && err == nil {
		err = jsonErr
	}
	if err != nil {
		return "", fmt.Errorf("go mod download: %w %s", err, info.Error)
	}
	return info.Dir, nil
}

// entry is one row of the module's files.json.
type entry struct {
	Name       string
	Perm       uint32
	Symlink    string
	Compressed bool
}

// unpack recreates the tree that files.json in data lists.
func unpack(data, target string) error {
	raw, err := os.ReadFile(filepath.Join(data, "files.json"))
	if err != nil {
		return err
	}
	var list struct{ Files []entry }
	if err := json.Unmarshal(raw, &list); err != nil {
		return fmt.Errorf("files.json: %w", err)
	}
	for _, e := range list.Files {
		if !filepath.IsLocal(e.Name) {
			return fmt.Errorf("files.json: path %q leaves the folder", e.Name)
		}
		if err := e.unpack(filepath.Join(data, e.Name), filepath.Join(target, e.Name)); err != nil {
			return err
		}
	}
	return nil
}

// unpack writes one file, folder or link.
func (e *entry) unpack(from, to string) error {
	mode := os.FileMode(e.Perm)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	switch {
	case mode.IsDir():
		return os.MkdirAll(to, 0o755)
	case e.Symlink != "":
		return os.Symlink(e.Symlink, to)
	case e.Compressed:
		from += ".gz"
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	var r io.Reader = in
	if e.Compressed {
		if r, err = gzip.NewReader(in); err != nil {
			return fmt.Errorf("%s: %w", from, err)
		}
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode.Perm()|0o200)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, r); err != nil {
		out.Close()
		return fmt.Errorf("%s: %w", from, err)
	}
	return out.Close()
}
