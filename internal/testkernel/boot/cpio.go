package main

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// initramfs writes the archive that the kernel unpacks as its root folder: the
// form "newc" of cpio (Documentation/driver-api/early-userspace/buffer-format.rst
// of the kernel). All files are root's.
type initramfs struct {
	w     *bufio.Writer
	inode int
	at    int64 // bytes written
	dirs  map[string]bool
	err   error // the first
}

func newInitramfs(w io.Writer) *initramfs {
	return &initramfs{w: bufio.NewWriterSize(w, 1<<20), dirs: map[string]bool{"/": true}}
}

// Types of inodes, as in st_mode.
const (
	typeDir     = 0o040000
	typeFile    = 0o100000
	typeSymlink = 0o120000
	typeChar    = 0o020000
)

// entry writes one inode and those of the folders that it lies in.
func (a *initramfs) entry(name string, mode uint32, size int64, major, minor int, body io.Reader) {
	if dir := path.Dir(name); !a.dirs[dir] {
		a.dir(dir)
	}
	name = strings.TrimPrefix(name, "/")
	a.inode++
	a.printf("070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00",
		a.inode, mode, 0, 0, 1, 0, size, 0, 0, major, minor, len(name)+1, 0, name)
	a.pad()
	n, err := io.Copy(a.w, body)
	if a.at += n; err == nil && n != size {
		err = fmt.Errorf("%s has %d bytes, not %d: it changes", name, n, size)
	}
	a.fail(err)
	a.pad()
}

func (a *initramfs) printf(format string, args ...any) {
	n, err := fmt.Fprintf(a.w, format, args...)
	a.at += int64(n)
	a.fail(err)
}

// pad makes what follows begin at a multiple of four.
func (a *initramfs) pad() { a.printf("%s", "\x00\x00\x00"[:-a.at&3]) }

func (a *initramfs) fail(err error) {
	if a.err == nil {
		a.err = err
	}
}

func (a *initramfs) dir(name string) {
	if !a.dirs[name] {
		a.dirs[name] = true
		a.entry(name, typeDir|0o755, 0, 0, 0, strings.NewReader(""))
	}
}

func (a *initramfs) symlink(name, target string) {
	a.entry(name, typeSymlink|0o777, int64(len(target)), 0, 0, strings.NewReader(target))
}

func (a *initramfs) device(name string, major, minor int) {
	a.entry(name, typeChar|0o600, 0, major, minor, strings.NewReader(""))
}

// file puts in a file of this machine, with what a link to it leads to.
func (a *initramfs) file(name, source string) {
	f, err := os.Open(source)
	if err != nil {
		a.fail(err)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		a.fail(err)
		return
	}
	a.entry(name, typeFile|uint32(info.Mode().Perm()), info.Size(), 0, 0, f)
}

// tree puts in a folder of this machine, without the paths for which leave says so.
func (a *initramfs) tree(name, source string, leave func(path string) bool) {
	a.fail(filepath.WalkDir(source, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(source, p)
		if err != nil {
			return err
		}
		inside := path.Join(name, below)
		switch {
		case leave(below) && d.IsDir():
			return fs.SkipDir
		case leave(below):
		case d.IsDir():
			a.dir(inside)
		case d.Type() == fs.ModeSymlink:
			target, err := os.Readlink(p)
			if err != nil {
				return err
			}
			a.symlink(inside, target)
		case d.Type().IsRegular():
			a.file(inside, p)
		}
		return a.err
	}))
}

// close writes the end.
func (a *initramfs) close() error {
	a.entry("/TRAILER!!!", 0, 0, 0, 0, strings.NewReader(""))
	a.fail(a.w.Flush())
	return a.err
}
