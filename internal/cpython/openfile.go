package cpython

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// fileID is the identity of a mapped file. While one of our descriptors is
// open the inode number cannot be used again; size and time of change tell a
// file that was rewritten in place.
type fileID struct {
	dev, ino uint64
	size     int64
	mtime    unix.Timespec
}

// file returns the path of the mapped file, also after it was deleted.
func (m *Mapping) file() string { return strings.TrimSuffix(m.Path, " (deleted)") }

// mapFilesPath names the very file that is mapped, even if it was replaced or
// deleted on disk since.
func mapFilesPath(pid int, m *Mapping) string {
	return fmt.Sprintf("/proc/%d/map_files/%x-%x", pid, m.Start, m.End)
}

// openMapped opens the file behind a mapping: through map_files, which needs
// CAP_CHECKPOINT_RESTORE, else by path below the root of the process.
func openMapped(pid int, m *Mapping) (*os.File, fileID, error) {
	handle, err := unix.Open(mapFilesPath(pid, m), unix.O_PATH|unix.O_CLOEXEC, 0)
	byPath := err != nil
	if byPath {
		handle, err = findBelow(fmt.Sprintf("/proc/%d/root", pid), m.file())
	}
	if err != nil {
		return nil, fileID{}, procError(fmt.Sprintf("open the mapped file %q", m.Path), pid, err)
	}
	f, st, err := openRegular(handle, m.Path)
	if err != nil && !errors.Is(err, ErrMalformed) {
		err = procError(fmt.Sprintf("open the mapped file %q", m.Path), pid, err)
	}
	if err != nil {
		return nil, fileID{}, err
	}
	if byPath && (st.Ino != m.Inode || st.Dev != m.Dev) {
		f.Close()
		return nil, fileID{}, fmt.Errorf("%q was replaced on disk since it was mapped: %w; restart the process or give gilscope CAP_CHECKPOINT_RESTORE", m.Path, ErrPermission)
	}
	return f, fileID{dev: st.Dev, ino: st.Ino, size: st.Size, mtime: st.Mtim}, nil
}

// findBelow looks up a path below a root directory, following no link out of
// it, and returns a handle (O_PATH) of whatever is there.
func findBelow(root, path string) (handle int, err error) {
	dir, err := unix.Open(root, unix.O_PATH|unix.O_CLOEXEC|unix.O_DIRECTORY, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(dir)
	return unix.Openat2(dir, strings.TrimPrefix(path, "/"), &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
}

// openRegular opens the file of a handle for reading and closes the handle. The
// path came from the target, which may have put a FIFO or a device there, and
// some devices act when they are merely opened: they are not.
func openRegular(handle int, name string) (*os.File, *unix.Stat_t, error) {
	defer unix.Close(handle)
	var st unix.Stat_t
	if err := unix.Fstat(handle, &st); err != nil {
		return nil, nil, fmt.Errorf("stat %q: %w", name, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, nil, fmt.Errorf("%q is no regular file: %w", name, ErrMalformed)
	}
	fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", handle), unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open %q: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), &st, nil
}
