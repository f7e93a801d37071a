// Command fetch unpacks builds of python-build-standalone for the tests. It
// takes them out of a Go module that carries them compressed, so that the Go
// tool's download cache and checksums do the work.
//
//	go run ./internal/testpy/fetch [-dir DIR] [VERSION...]
package main

import (
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"gilscope/internal/testpy"
)

// modulePath is the Go module with the interpreters.
const modulePath = "github.com/kluctl/go-embed-python"

// builds are the module's versions for each Python version.
var builds = map[string]string{
	"3.10.16": "v0.0.0-3.10.16-20241219-1",
	"3.11.11": "v0.0.0-3.11.11-20241219-1",
	"3.14.6":  "v0.0.0-3.14.6-20260610-1",
}

func main() {
	dir := flag.String("dir", testpy.Dir(), "folder to unpack into")
	flag.Parse()
	versions := flag.Args()
	if len(versions) == 0 {
		versions = []string{"3.10.16", "3.11.11", "3.14.6"}
	}
	for _, v := range versions {
		if err := fetch(*dir, v); err != nil {
			fmt.Fprintf(os.Stderr, "fetch Python %s: %v\n", v, err)
			os.Exit(1)
		}
		fmt.Println(filepath.Join(*dir, v))
	}
}

// fetch unpacks one version, unless it is there already. It unpacks beside the
// target and renames at the end: half an interpreter is never found.
func fetch(dir, version string) error {
	tag, ok := builds[version]
	if !ok {
		return fmt.Errorf("unknown version; choose among 3.10.16, 3.11.11, 3.14.6")
	}
	target := filepath.Join(dir, version)
	if _, err := os.Stat(target); err == nil {
		return nil
	}
	source, err := download(tag)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(dir, version+".tmp")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	data := filepath.Join(source, "python/internal/data", "linux-"+runtime.GOARCH)
	if err := unpack(data, temp); err != nil {
		return err
	}
	if err := os.Chmod(temp, 0o755); err != nil {
		return err
	}
	return os.Rename(temp, target)
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
