// Package safefile owns the writing of output files by a program that may run
// as root in a directory that others can write to: no symlink, FIFO or device
// is ever followed or written, files are private (0600), and under sudo they
// belong to the user who called it.
package safefile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// ErrRefused says that the path is something that must not be written to.
var ErrRefused = errors.New("refused to write")

const private = 0o600

// openFlags never follow a link at the end of the path, never hang on a FIFO,
// and never make a terminal ours.
const openFlags = unix.O_WRONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC

// Write makes the file appear at path with what fill writes, whole or not at
// all: into a new file beside it, renamed at the end.
func Write(path string, fill func(io.Writer) error) error {
	dir, name, err := openDir(path)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	if err := refuseOdd(dir, name, path); err != nil {
		return err
	}
	temp := "." + name + "." + rand.Text()[:10]
	fd, err := unix.Openat(dir, temp, openFlags|unix.O_CREAT|unix.O_EXCL, private)
	if err != nil {
		return fmt.Errorf("create a file in %s: %w; choose a directory you may write to", filepath.Dir(path), err)
	}
	f := os.NewFile(uintptr(fd), path)
	if err = fillFile(f, fill); err == nil {
		err = unix.Renameat(dir, temp, dir, name)
	}
	if err != nil {
		// The name is random and ours: what is removed is the file made above.
		return fmt.Errorf("write %s: %w", path, errors.Join(err, unix.Unlinkat(dir, temp, 0)))
	}
	return nil
}

func fillFile(f *os.File, fill func(io.Writer) error) error {
	err := own(f)
	if err == nil {
		err = fill(f)
	}
	return errors.Join(err, f.Close())
}

// Create opens the file at path for writing from its start, for output that
// must be readable while it grows. A file that is there is truncated only if it
// is a regular file of the caller's, with no second name.
func Create(path string) (*os.File, error) {
	dir, name, err := openDir(path)
	if err != nil {
		return nil, err
	}
	defer unix.Close(dir)
	if err := refuseOdd(dir, name, path); err != nil {
		return nil, err
	}
	// Without O_CREAT first: the kernel (fs.protected_regular) forbids root the
	// user's own file in a sticky directory when that flag is given.
	fd, err := unix.Openat(dir, name, openFlags, 0)
	if errors.Is(err, unix.ENOENT) {
		fd, err = unix.Openat(dir, name, openFlags|unix.O_CREAT|unix.O_EXCL, private)
	}
	if err != nil {
		return nil, fmt.Errorf("create %s: %w; choose another -o FILE", path, err)
	}
	f := os.NewFile(uintptr(fd), path)
	if err := takeOver(f, path); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// takeOver checks the opened file itself, which no rename can change, and empties it.
func takeOver(f *os.File, path string) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return fmt.Errorf("look at %s: %w", path, err)
	}
	caller, _, _ := sudoUser()
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return odd(path)
	case st.Nlink != 1:
		return fmt.Errorf("%w %s: it has a second name (hard link); choose another -o FILE", ErrRefused, path)
	case int(st.Uid) != os.Geteuid() && int(st.Uid) != caller:
		return fmt.Errorf("%w %s: it belongs to uid %d; choose another -o FILE", ErrRefused, path, st.Uid)
	}
	if err := f.Truncate(0); err != nil {
		return fmt.Errorf("empty %s: %w", path, err)
	}
	if err := f.Chmod(private); err != nil {
		return fmt.Errorf("make %s private: %w", path, err)
	}
	return own(f)
}

// openDir opens the directory once, so that what is checked there is what is
// written there. Writable for all without the sticky bit means that anybody can
// replace the file afterwards.
func openDir(path string) (fd int, name string, err error) {
	parent, name := filepath.Split(filepath.Clean(path))
	if name == "" || name == "." || name == ".." {
		return -1, "", fmt.Errorf("%w %s: not a file name; choose another -o FILE", ErrRefused, path)
	}
	if parent == "" {
		parent = "."
	}
	fd, err = unix.Open(parent, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, "", fmt.Errorf("open directory %s: %w; create it first", parent, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return -1, "", errors.Join(fmt.Errorf("look at directory %s: %w", parent, err), unix.Close(fd))
	}
	if st.Mode&unix.S_IWOTH != 0 && st.Mode&unix.S_ISVTX == 0 {
		err := fmt.Errorf("%w in %s: everybody may replace files there; chmod o-w it or choose another directory", ErrRefused, parent)
		return -1, "", errors.Join(err, unix.Close(fd))
	}
	return fd, name, nil
}

// refuseOdd refuses what is there and is no regular file, before it is opened:
// opening a device can already do something.
func refuseOdd(dir int, name, path string) error {
	var st unix.Stat_t
	err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil
	case err != nil:
		return fmt.Errorf("look at %s: %w; choose another -o FILE", path, err)
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return odd(path)
	}
	return nil
}

func odd(path string) error {
	return fmt.Errorf("%w %s: it is a link, a device, a pipe or a directory; choose another -o FILE", ErrRefused, path)
}

// own gives the file to the user behind sudo.
func own(f *os.File) error {
	uid, gid, ok := sudoUser()
	if !ok {
		return nil
	}
	if err := f.Chown(uid, gid); err != nil {
		return fmt.Errorf("give %s to uid %d: %w", f.Name(), uid, err)
	}
	return nil
}

// sudoUser is who called sudo; ok only if this is root on behalf of somebody else.
func sudoUser() (uid, gid int, ok bool) {
	if os.Geteuid() != 0 {
		return -1, -1, false
	}
	uid, uidErr := strconv.Atoi(os.Getenv("SUDO_UID"))
	gid, gidErr := strconv.Atoi(os.Getenv("SUDO_GID"))
	if uidErr != nil || gidErr != nil || uid <= 0 || gid < 0 {
		return -1, -1, false
	}
	return uid, gid, true
}
