package cpython

import (
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

// mapFilesPath names the very file that is mapped, even if it was replaced or
// deleted on disk since.
func mapFilesPath(pid int, m *Mapping) string {
	return fmt.Sprintf("/proc/%d/map_files/%x-%x", pid, m.Start, m.End)
}

// openMapped opens the file behind a mapping: through map_files, which needs
// CAP_CHECKPOINT_RESTORE, else by path below the root of the process.
func openMapped(pid int, m *Mapping) (*os.File, fileID, error) {
	fd, err := unix.Open(mapFilesPath(pid, m), unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	byPath := err != nil
	if byPath {
		if fd, err = openInRoot(pid, m.Path); err != nil {
			return nil, fileID{}, procError(fmt.Sprintf("open the mapped file %q", m.Path), pid, err)
		}
	}
	f := os.NewFile(uintptr(fd), m.Path)
	id, err := identify(fd, m, byPath)
	if err != nil {
		f.Close()
		return nil, fileID{}, err
	}
	return f, id, nil
}

// identify checks that fd is the regular file that the mapping names: a path
// comes from the target, which may have put a FIFO or another file there.
func identify(fd int, m *Mapping, byPath bool) (fileID, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fileID{}, fmt.Errorf("stat %q: %w", m.Path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return fileID{}, fmt.Errorf("%q is no regular file: %w", m.Path, ErrMalformed)
	}
	if byPath && (st.Ino != m.Inode || st.Dev != m.Dev) {
		return fileID{}, fmt.Errorf("%q was replaced on disk since it was mapped: %w; restart the process or give gilscope CAP_CHECKPOINT_RESTORE", m.Path, ErrPermission)
	}
	return fileID{dev: st.Dev, ino: st.Ino, size: st.Size, mtime: st.Mtim}, nil
}

// openInRoot opens path inside the root directory of pid and does not follow
// any link out of it.
func openInRoot(pid int, path string) (int, error) {
	root, err := unix.Open(fmt.Sprintf("/proc/%d/root", pid), unix.O_PATH|unix.O_CLOEXEC|unix.O_DIRECTORY, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(root)
	return unix.Openat2(root, strings.TrimPrefix(path, "/"), &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
}
